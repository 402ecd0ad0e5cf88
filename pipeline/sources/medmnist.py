"""MedMNIST+ at 224 pixels (Yang et al. 2023; Zenodo record 10519652): one npz a data set, under `root`.

``<dataset>_224.npz`` has ``{train,val,test}_images``, uint8 (N, 224, 224) or (N, 224, 224, 3), and
``{train,val,test}_labels``, (N, 1). The MedMNIST-C release (Di Salvo et al. 2024; Zenodo record 11471504) is read too,
by `load_corrupted`; `pipeline.adopt` makes cells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions import SEVERITIES
from pipeline.cell import SIZE
from pipeline.sources import Clean, SourceError
from pipeline.sources.arrays import checked_labels, evenly, runs
from pipeline.sources.members import Rows, labels

SPLITS = ("train", "val", "test")

CLASSES = {
    "bloodmnist": (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    "breastmnist": ("malignant", "normal, benign"),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),
}
"""Class names in label order, from INFO of medmnist 3.0.2: the files themselves hold numbers only."""

_ALL = ("pixelate", "jpeg_compression")

CORRUPTED = {
    "bloodmnist": (
        *_ALL,
        "defocus_blur",
        "motion_blur",
        "brightness_up",
        "brightness_down",
        "contrast_up",
        "contrast_down",
        "saturate",
        "stain_deposit",
        "bubble",
    ),
    "breastmnist": (*_ALL, "speckle_noise", "motion_blur", "brightness_up", "brightness_down", "contrast_down"),
    "octmnist": (*_ALL, "speckle_noise", "defocus_blur", "motion_blur", "contrast_down"),
    "pneumoniamnist": (
        *_ALL,
        "gaussian_noise",
        "speckle_noise",
        "impulse_noise",
        "shot_noise",
        "gaussian_blur",
        "brightness_up",
        "brightness_down",
        "contrast_up",
        "contrast_down",
        "gamma_corr_up",
        "gamma_corr_down",
    ),
    "retinamnist": (
        *_ALL,
        "gaussian_noise",
        "speckle_noise",
        "defocus_blur",
        "motion_blur",
        "brightness_down",
        "contrast_down",
    ),
}
"""The corruptions of each data set in the MedMNIST-C release: CORRUPTIONS_DS of registry.py in medmnistc 0.1.0."""


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split, in the file's order; `count` images of it evenly spaced. `seed` is unused."""
    _check(dataset)
    if split not in SPLITS:
        raise SourceError(f"medmnist has no split {split!r}; have {', '.join(SPLITS)}")
    path = root / f"{dataset}_224.npz"
    return _parts(path, dataset, f"{split}_images", f"{split}_labels", count=count)[0]


def load_corrupted(dataset: str, corruption: str, *, root: Path) -> tuple[Clean, ...]:
    """Return the severities 1 to 5 of ``<dataset>/<corruption>.npz`` of the MedMNIST-C release, each in its order.

    Such a file holds the test split five times over, severity by severity, as ``test_images`` and ``test_labels``.
    """
    _check(dataset)
    if corruption not in CORRUPTED[dataset]:
        raise SourceError(f"{dataset} has no corruption {corruption!r}; have {', '.join(CORRUPTED[dataset])}")
    path = corrupted_file(root, dataset, corruption)
    return _parts(path, dataset, "test_images", "test_labels", parts=len(SEVERITIES))


def corrupted_file(root: Path, dataset: str, corruption: str) -> Path:
    """Return where a file of the MedMNIST-C release lies under `root`."""
    return root / dataset / f"{corruption}.npz"


def _check(dataset: str) -> None:
    if dataset not in CLASSES:
        raise SourceError(f"medmnist has no data set {dataset!r} here; have {', '.join(CLASSES)}")


def _parts(
    path: Path, dataset: str, images: str, given: str, *, count: int | None = None, parts: int = 1
) -> tuple[Clean, ...]:
    """Return the `parts` equal runs of images that a file holds one after the other."""
    read = labels(path, given)
    rows = Rows(path, images)
    grey = rows.shape[1:] == (SIZE, SIZE)
    if rows.dtype != np.uint8 or not (grey or rows.shape[1:] == (SIZE, SIZE, 3)):
        raise SourceError(
            f"{path}: {images} is {rows.dtype} {rows.shape}; MedMNIST+'s files that end in _{SIZE}.npz have uint8"
            f" (N, {SIZE}, {SIZE}) or (N, {SIZE}, {SIZE}, 3)"
        )
    total = rows.shape[0]
    if len(read) != total or not total or total % parts:
        raise SourceError(f"{path}: {images} has {total} images and {given} {len(read)} labels")
    checked = checked_labels(read, len(CLASSES[dataset]), f"{path}: {given}")

    def part(first: int) -> Clean:
        taken = evenly(total // parts, count) + first

        def images_at(positions: Sequence[int]) -> NDArray[np.uint8]:
            distinct, where = np.unique(taken[np.asarray(positions, np.int64)], return_inverse=True)
            pixels = [rows.read(start, stop) for start, stop in runs(distinct)]
            found = np.concatenate(pixels) if pixels else np.empty((0, *rows.shape[1:]), np.uint8)
            return (found[..., np.newaxis] if grey else found)[where]

        return Clean(
            labels=checked[taken],
            class_names=CLASSES[dataset],
            ids=[f"{images}/{row}" for row in taken],
            channels=1 if grey else 3,
            read=images_at,
        )

    return tuple(part(first) for first in range(0, total, total // parts))
