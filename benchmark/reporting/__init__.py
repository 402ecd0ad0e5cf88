"""From scores to tables, figures and documents; no model, no torch."""
