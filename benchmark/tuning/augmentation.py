"""What an image looks like while a model is tuned on it: corrupted or not, cropped, mirrored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from kornia.augmentation import RandomResizedCrop
from kornia.geometry.transform import hflip, vflip
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data import pool
from benchmark.data.pool import Images, Pool
from corruptions import CORRUPTIONS, corrupt

CROP = (0.7, 1.0)
"""Part of an image's area that a random resized crop keeps."""

SHARE = 0.5
"""Part of the images that corruption augmentation corrupts; the others stay clean."""


class Corrupting:
    """Draws a corruption and a severity for each image, from those that may be trained on."""

    def __init__(
        self, names: Sequence[str], *, strength: int, profile: str, columns: Mapping[str, str], share: float = SHARE
    ) -> None:
        unknown = [name for name in names if name not in CORRUPTIONS]
        if unknown:
            raise ValueError(f"no corruption {unknown[0]!r}; have {', '.join(CORRUPTIONS)}")
        self.names = tuple(names)
        self.strength = strength
        self.profile = profile
        self.columns = columns
        self.share = share

    def __call__(self, images: Pool, places: NDArray[np.int64], seed: tuple[int, ...]) -> Images:
        """Return images by number, uint8 (n, 224, 224, 3); grey ones are corrupted as one channel, as the cells are.

        The draws are keyed by `seed` and by the split that is tuned on, so they are never those of a scored cell.
        """
        rng = np.random.default_rng(seed)
        corrupted = rng.random(len(places)) < self.share
        which = rng.integers(0, len(self.names), len(places))
        severity = rng.integers(1, self.strength + 1, len(places))
        made = images.read(places)
        groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for row in np.flatnonzero(corrupted):
            groups[int(images.sets[places[row]]), int(which[row]), int(severity[row])].append(int(row))
        for (k, name, level), rows in groups.items():
            dataset = images.datasets[k]
            # "train" keeps the key apart from both released splits, also when the shots come from val.
            made[rows] = corrupt(
                np.stack([images.native(places[row]) for row in rows]),
                self.names[name],
                level,
                dataset=dataset,
                split="train",
                indices=[int(images.rows[places[row]]) for row in rows],
                seed=int(rng.integers(2**31)),
                profile=self.profile,
                column=self.columns.get(dataset, dataset),
            )
        return made


class Moving:
    """Random resized crops, and mirroring of the data sets whose card allows it, on the device of the images."""

    def __init__(self, size: int, datasets: Sequence[str]) -> None:
        self._crop = RandomResizedCrop((size, size), scale=CROP, ratio=(0.9, 1.1), cropping_mode="resample")
        self._mirror = torch.tensor([pool.mirror(name) for name in datasets])

    def __call__(self, prepared: Tensor, sets: Tensor) -> Tensor:
        """Return float (N, 3, S, S) images moved, by torch's own generator; `sets` is each image's data set."""
        moved: Tensor = self._crop(prepared)
        flips = (torch.rand(len(sets), 2) < 0.5) & self._mirror[sets]
        for way, flip in enumerate((hflip, vflip)):
            chosen = flips[:, way].to(moved.device)
            moved = torch.where(chosen[:, None, None, None], flip(moved), moved)
        return moved
