"""From logits to scores; no model, no torch."""
