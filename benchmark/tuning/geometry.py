"""Move, crop and mirror images while a model is trained on them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from kornia.augmentation import RandomResizedCrop
from kornia.geometry.transform import hflip, vflip
from torch import Tensor

from benchmark.data.pool import Images, Ints, Pool
from pipeline.workspace import datasets
from pipeline.workspace.cell import SIZE

CROP, RATIO = (0.7, 1.0), (0.9, 1.1)
"""Part of an image's area that a random resized crop keeps, and its width by its height."""

REFERENCE_CROP, REFERENCE_RATIO = (0.8, 1.0), (3 / 4, 4 / 3)
"""The same of BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, `get_transform`; torchvision's default ratio."""

SHIFT = 16
"""Pixels that `shift_and_mirror` moves an image at most."""


class RandomCropAndMirror:
    """Random resized crops, and mirroring of the data sets whose card allows it, on the device of the images.

    As the reference does it, every data set is mirrored left to right, and none top to bottom. `sources` has the data
    sets in their order, each with its source.
    """

    def __init__(self, size: int, sources: Mapping[str, str], *, as_reference: bool = False) -> None:
        crop, ratio = (REFERENCE_CROP, REFERENCE_RATIO) if as_reference else (CROP, RATIO)
        self._crop = RandomResizedCrop((size, size), scale=crop, ratio=ratio, cropping_mode="resample")
        allowed = [(True, False) if as_reference else may_mirror(*pair) for pair in sources.items()]
        self._mirror = torch.tensor(allowed)

    def __call__(self, images: Tensor, dataset_ids: Tensor) -> Tensor:
        """Return float (N, 3, S, S) images cropped and mirrored; torch's own generator draws."""
        cropped: Tensor = self._crop(images)
        mirrored = (torch.rand(len(dataset_ids), 2) < 0.5) & self._mirror[dataset_ids]
        for axis, flip in enumerate((hflip, vflip)):
            rows = mirrored[:, axis].nonzero()[:, 0].to(cropped.device)
            cropped[rows] = flip(cropped[rows])
        return cropped


def shift_and_mirror(pool: Pool, positions: Ints, rng: np.random.Generator) -> Images:
    """Return images uint8 (n, 224, 224, 3) moved by up to `SHIFT` pixels, edges replicated, and mirrored if allowed."""
    images = np.empty((len(positions), SIZE, SIZE, 3), np.uint8)
    mirror = np.array([may_mirror(dataset, "phantom") for dataset in pool.datasets])
    for image, position in zip(images, positions, strict=True):
        down, right = rng.integers(-SHIFT, SHIFT + 1, 2)
        flip_x, flip_y = rng.integers(0, 2, 2).astype(bool) & mirror[pool.dataset_ids[position]]
        padded = np.pad(pool.native(position), ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
        moved = padded[SHIFT + down : SHIFT + down + SIZE, SHIFT + right : SHIFT + right + SIZE]
        image[:] = moved[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return images


def may_mirror(dataset: str, source: str) -> tuple[bool, bool]:
    """Return whether a data set's images may be mirrored left to right, and top to bottom; no if it has no card."""
    card = datasets.card_from(dataset, source)
    return (card.mirror.horizontal, card.mirror.vertical) if card else (False, False)
