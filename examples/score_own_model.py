"""Load a published revision with `datasets` and score a model of your own on it. Needs datasets and NumPy alone.

python examples/score_own_model.py ORG/MediMeta-C pbc --revision v1.0 --corruption motion_blur
"""

import argparse
from collections import defaultdict

import numpy as np
from datasets import load_dataset


def predict(images: np.ndarray, classes: int) -> np.ndarray:
    """Return one class a uint8 image (N, H, W, 3). Put your own model here; this one looks at the mean level alone."""
    return (images.mean((1, 2, 3)) * classes / 256).astype(int)


def main() -> None:
    """Score the model on the clean and the corrupted images."""
    parser = argparse.ArgumentParser(description="Score a model on one published corruption of one data set.")
    parser.add_argument("repo", help="ORG/NAME on the Hub")
    parser.add_argument("dataset")
    parser.add_argument("--corruption", required=True)
    parser.add_argument("--revision", required=True, help="a tag or a commit; a tag never moves")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    args = parser.parse_args()

    right, total = defaultdict(int), defaultdict(int)
    for config in (f"{args.dataset}-clean", f"{args.dataset}-{args.corruption}"):
        rows = load_dataset(args.repo, config, split=args.split, revision=args.revision)
        classes = rows.features["label"].num_classes
        for batch in rows.iter(batch_size=64):
            images = np.stack([np.asarray(image.convert("RGB")) for image in batch["image"]])
            for severity, hit in zip(batch["severity"], predict(images, classes) == batch["label"], strict=True):
                right[severity] += int(hit)
                total[severity] += 1
    for severity in sorted(total):
        name = "clean" if severity == 0 else f"severity {severity}"
        print(f"{name:11} accuracy {right[severity] / total[severity]:.3f} of {total[severity]} images")


if __name__ == "__main__":
    main()
