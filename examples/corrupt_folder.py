"""Corrupt a folder of images into a folder of PNGs, keeping names and subfolders. Needs the extra `pipeline`.

python examples/corrupt_folder.py photos corrupted --corruption motion_blur --severity 3
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pipeline.errors import UserError
from pipeline.sources.imagefolder.pixels import decode


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
    left_out = 0
    for index, path in enumerate(paths):  # an image's draw depends on its index, so sort the files
        try:
            batch = decode(path)[np.newaxis]  # uint8 (1, H, W, C), turned as EXIF says, 16 bits brought to 8
        except UserError as wrong:
            print(f"left out: {wrong}")
            left_out += 1
            continue
        result = corrupt(
            batch,
            args.corruption,
            args.severity,
            dataset=args.source.name,  # any ASCII name; part of the key of the draws
            split="test",
            indices=[index],
            seed=args.seed,
        )
        target = args.target / path.relative_to(args.source)
        if path.suffix.lower() != ".png":
            target = target.with_name(f"{path.name}.png")  # lossless, and beside 1.png there may be a 1.jpg
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(result[0].squeeze(-1) if result.shape[-1] == 1 else result[0]).save(target)
    print(f"wrote {len(paths) - left_out} images to {args.target}")


if __name__ == "__main__":
    main()
