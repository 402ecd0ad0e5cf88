"""How alike corrupted images are to clean ones, which strengths chosen here are calibrated by.

`python -m tests.corruptions.extended.similarity NAME...` prints the mean structural similarity at severities 1 to 5.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from corruptions import SEVERITIES, corrupt
from pipeline.sources import phantom
from tests.corruptions.literature.photographs import photographs

PHANTOMS = ("pbc", "fundus", "mammo_mass", "oct", "pneumonia")
IMAGES = 4
"""Images of each phantom, and draws on each photograph."""


def pictures() -> Iterator[NDArray[np.uint8]]:
    """Yield batches uint8 (4, 224, 224, C): five photographs, each four times, and the phantom of each modality."""
    for title, picture in photographs().items():
        if title != "noise":
            yield picture.repeat(IMAGES, axis=0)
    for dataset in PHANTOMS:
        yield phantom.load(dataset, "val", count=IMAGES).read(range(IMAGES))


def mean_similarity(name: str) -> list[float]:
    """Return the mean similarity of a corruption's severities 1 to 5, in the profile imagenet-c."""
    batches = list(pictures())
    means = []
    for severity in SEVERITIES:
        similar = [
            structural_similarity(clean, made, channel_axis=2, data_range=255)
            for n, images in enumerate(batches)
            for clean, made in zip(images, _corrupted(images, name, severity, n), strict=True)
        ]
        means.append(float(np.mean(similar)))
    return means


def _corrupted(images: NDArray[np.uint8], name: str, severity: int, batch: int) -> NDArray[np.uint8]:
    indices = range(batch * IMAGES, (batch + 1) * IMAGES)
    return corrupt(images, name, severity, dataset="calibration", split="test", seed=1, indices=list(indices))


def main() -> int:
    """Print a line for each corruption."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    for name in parser.parse_args().names:
        print(name, *(f"{mean:.3f}" for mean in mean_similarity(name)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
