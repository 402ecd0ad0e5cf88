"""A data-set repository on the Hugging Face Hub: its files, its card, its commits, and loading it back."""
