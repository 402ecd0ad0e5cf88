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

from corruptions.spec import SEVERITIES
from pipeline.errors import UserError
from pipeline.io.npz import Array
from pipeline.sources import Clean, SourceFile
from pipeline.sources.arrays import evenly, read_labels, take
from pipeline.sources.zenodo import ZenodoFile, file_url, remove_remains
from pipeline.workspace.cell import SIZE

RECORD = 10519652
"""Zenodo record of MedMNIST+."""

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

COUNTS = {
    "bloodmnist": {"train": 11959, "val": 1712, "test": 3421},
    "breastmnist": {"train": 546, "val": 78, "test": 156},
    "octmnist": {"train": 97477, "val": 10832, "test": 1000},
    "pneumoniamnist": {"train": 4708, "val": 524, "test": 624},
    "retinamnist": {"train": 1080, "val": 120, "test": 400},
}
"""Images of each split, from the same."""

DATASETS = tuple(CLASSES)

MD5 = {
    "bloodmnist": "b718ff6835fcbdb22ba9eacccd7b2601",
    "breastmnist": "b56378a6eefa9fed602bb16d192d4c8b",
    "octmnist": "abc493b6d529d5de7569faaef2773ba3",
    "pneumoniamnist": "d6a3c71de1b945ea11211b03746c1fe1",
    "retinamnist": "eae7e3b6f3fcbda4ae613ebdcbe35348",
}
"""``MD5_224`` of INFO in medmnist 3.0.2."""

_CORRUPTED = {
    "bloodmnist": "defocus_blur motion_blur brightness_up brightness_down contrast_up contrast_down saturate"
    " stain_deposit bubble",
    "breastmnist": "speckle_noise motion_blur brightness_up brightness_down contrast_down",
    "octmnist": "speckle_noise defocus_blur motion_blur contrast_down",
    "pneumoniamnist": "gaussian_noise speckle_noise impulse_noise shot_noise gaussian_blur brightness_up"
    " brightness_down contrast_up contrast_down gamma_corr_up gamma_corr_down",
    "retinamnist": "gaussian_noise speckle_noise defocus_blur motion_blur brightness_down contrast_down",
}

CORRUPTED = {name: ("pixelate", "jpeg_compression", *names.split()) for name, names in _CORRUPTED.items()}
"""The corruptions of each data set in the MedMNIST-C release: CORRUPTIONS_DS of registry.py in medmnistc 0.1.0."""


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split in the file's order; `count` images of it, evenly by class. `seed` is unused."""
    remedy = "run `python -m pipeline.fetch`, or put the file there"
    (clean,) = _parts(root / f"{dataset}_224.npz", dataset, split, remedy=remedy, count=count)
    return clean


def fetch(folder: Path, datasets: Sequence[str], base_url: str) -> dict[str, SourceFile]:
    """Bring the npz files of `datasets`; see `Source.fetch`."""
    files = {}
    for dataset in datasets:
        path = folder / f"{dataset}_224.npz"
        sums = ZenodoFile(file_url(base_url, RECORD, path.name), MD5[dataset]).bring(path)
        files[path.name] = SourceFile(size=sums.size, sha256=sums.sha256)
        remove_remains(folder, dataset)
    return files


def load_corrupted(dataset: str, corruption: str, *, root: Path) -> tuple[Clean, ...]:
    """Return the severities 1 to 5 of ``<dataset>/<corruption>.npz`` of the MedMNIST-C release, each in its order.

    Such a file holds the test split five times over, severity by severity, as ``test_images`` and ``test_labels``.
    """
    if corruption not in CORRUPTED[dataset]:
        raise UserError(f"{dataset} has no corruption {corruption!r}; have {', '.join(CORRUPTED[dataset])}")
    path = corrupted_file(root, dataset, corruption)
    return _parts(path, dataset, "test", remedy="put the released file there", parts=len(SEVERITIES))


def corrupted_file(root: Path, dataset: str, corruption: str) -> Path:
    """Return where a file of the MedMNIST-C release lies under `root`."""
    return root / dataset / f"{corruption}.npz"


def _parts(
    path: Path, dataset: str, split: str, *, remedy: str, count: int | None = None, parts: int = 1
) -> tuple[Clean, ...]:
    """Return the `parts` equal runs of images that a file's split holds one after the other."""
    images = Array(path, f"{split}_images", remedy=remedy)
    is_grey = images.shape[1:] == (SIZE, SIZE)
    if images.dtype != np.uint8 or not (is_grey or images.shape[1:] == (SIZE, SIZE, 3)):
        raise UserError(
            f"{images.where} is {images.dtype} {images.shape}; MedMNIST+'s files that end in _{SIZE}.npz have uint8"
            f" (N, {SIZE}, {SIZE}) or (N, {SIZE}, {SIZE}, 3)"
        )
    total = images.shape[0]
    if not total or total % parts:
        raise UserError(f"{images.where} has {total} images; it must have some, and as many of each severity")
    labels = read_labels(Array(path, f"{split}_labels", remedy=remedy), count=total, classes=len(CLASSES[dataset]))
    images.check()

    def part(first: int, stop: int) -> Clean:
        rows = evenly(labels[first:stop], count) + first

        def read(positions: Sequence[int]) -> NDArray[np.uint8]:
            pixels = take(images.rows, rows[np.asarray(positions, np.int64)])
            return pixels[..., np.newaxis] if is_grey else pixels

        return Clean(
            labels=labels[rows],
            class_names=CLASSES[dataset],
            image_ids=[f"{split}_images/{row}" for row in rows],
            channels=1 if is_grey else 3,
            read=read,
        )

    size = total // parts
    return tuple(part(first, first + size) for first in range(0, total, size))
