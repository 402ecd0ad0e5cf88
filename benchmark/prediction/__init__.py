"""From images to logits: batches, devices and processes."""
