"""Read and write files: whole or absent, and read without trust."""
