"""Cells as torch data sets, pools of images to train on, and the prompts of their classes."""
