"""Corrupt an array of images: one severity, then all five with one draw.

python examples/corrupt_array.py
"""

import hashlib

import numpy as np

from corruptions import CORRUPTIONS, corrupt, sweep

images = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)  # (N, H, W, C), C is 1 or 3

for name in CORRUPTIONS:
    result = corrupt(images, name, 3, dataset="pbc", split="test", seed=2025)
    checksum = hashlib.sha256(result.tobytes()).hexdigest()[:16]
    print(f"{name:16} severity 3: uint8 {result.shape}, SHA-256 {checksum}")  # the same on every machine

for severity, result in sweep(images, "motion_blur", dataset="pbc", split="test", seed=2025):
    change = np.abs(result.astype(int) - images).mean()
    print(f"motion_blur severity {severity}: mean change {change:.1f} grey levels")
