"""Trees of images that others published: read without trust, and compared with ours."""
