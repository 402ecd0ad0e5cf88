"""A data-set repository on the Hugging Face Hub: its card, its metadata, its commits, and loading it back."""
