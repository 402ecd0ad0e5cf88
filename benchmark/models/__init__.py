"""One adapter a family of models."""
