"""MedMNIST+ at 224 pixels (Yang et al. 2023; Zenodo record 10519652): one npz a data set, under `root`.

``<dataset>_224.npz`` has ``{train,val,test}_images``, uint8 (N, 224, 224) or (N, 224, 224, 3), and
``{train,val,test}_labels``, (N, 1). The MedMNIST-C release (Di Salvo et al. 2024; Zenodo record 11471504) is read too,
by `load_corrupted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.layout import SIZE
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


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split, in the file's order; `count` images of it evenly spaced. `seed` is unused."""
    _check(dataset)
    if split not in SPLITS:
        raise SourceError(f"medmnist has no split {split!r}; have {', '.join(SPLITS)}")
    path = root / f"{dataset}_224.npz"
    return _clean(path, dataset, f"{split}_images", f"{split}_labels", count=count)


def load_corrupted(dataset: str, corruption: str, severity: int, *, root: Path, count: int | None = None) -> Clean:
    """Return one severity, 1 to 5, of a file ``<dataset>/<corruption>.npz`` of the MedMNIST-C release.

    Such a file holds the test split five times over, severity by severity, as ``test_images`` and ``test_labels``.
    """
    _check(dataset)
    if severity not in range(1, 6):
        raise SourceError(f"no severity {severity}; have 1..5")
    if not corruption.replace("_", "").isalnum():
        raise SourceError(f"no corruption {corruption!r}: a name has letters, digits and _ only")
    path = root / dataset / f"{corruption}.npz"
    return _clean(path, dataset, "test_images", "test_labels", count=count, part=severity - 1, parts=5)


def _check(dataset: str) -> None:
    if dataset not in CLASSES:
        raise SourceError(f"medmnist has no data set {dataset!r} here; have {', '.join(CLASSES)}")


def _clean(
    path: Path, dataset: str, images: str, given: str, *, count: int | None, part: int = 0, parts: int = 1
) -> Clean:
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
    taken = evenly(total // parts, count) + part * (total // parts)

    def images_at(positions: Sequence[int]) -> NDArray[np.uint8]:
        distinct, where = np.unique(taken[np.asarray(positions, np.int64)], return_inverse=True)
        pixels = [rows.read(start, stop) for start, stop in runs(distinct)]
        found = np.concatenate(pixels) if pixels else np.empty((0, *rows.shape[1:]), np.uint8)
        return (found[..., np.newaxis] if grey else found)[where]

    return Clean(
        labels=checked_labels(read, len(CLASSES[dataset]), f"{path}: {given}")[taken],
        class_names=CLASSES[dataset],
        ids=[f"{images}/{row}" for row in taken],
        channels=1 if grey else 3,
        read=images_at,
    )
