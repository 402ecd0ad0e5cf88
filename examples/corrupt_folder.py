"""Corrupt a folder of images into a folder, keeping names and subfolders. Needs Pillow.

python examples/corrupt_folder.py photos corrupted --corruption motion_blur --severity 3
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from corruptions import CORRUPTIONS, SEVERITIES, corrupt


def main() -> None:
    """Corrupt every image of a folder."""
    parser = argparse.ArgumentParser(description="Corrupt a folder of images into a folder.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--corruption", choices=CORRUPTIONS, required=True)
    parser.add_argument("--severity", type=int, choices=SEVERITIES, required=True)
    parser.add_argument("--seed", type=int, default=2025)
    args = parser.parse_args()

    paths = sorted(path for path in args.source.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    for index, path in enumerate(paths):  # an image's draw depends on its index, so sort the files
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
        batch = pixels.reshape(1, *pixels.shape[:2], -1)  # (1, H, W, C)
        result = corrupt(
            batch,
            args.corruption,
            args.severity,
            dataset=args.source.name,  # any ASCII name; part of the key of the draws
            split="test",
            indices=[index],
            seed=args.seed,
        )
        target = (args.target / path.relative_to(args.source)).with_suffix(".png")  # lossless
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(result[0].squeeze()).save(target)
    print(f"wrote {len(paths)} images to {args.target}")


if __name__ == "__main__":
    main()
