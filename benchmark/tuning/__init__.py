"""LoRA tuning: augmentation, schedule and adapters."""
