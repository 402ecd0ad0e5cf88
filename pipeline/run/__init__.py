"""What every command shares: its command line, progress, threads, clusters and interrupts."""
