"""The images of several data sets as one pool to train on, read when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import datasets, manifest
from pipeline.cell import Cell
from pipeline.io import npz
from pipeline.paths import Workspace

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Chosen images of one data set.

    Attributes:
        dataset: its name.
        split: where they are from.
        images: of the whole split, uint8 (M, 224, 224, C) with the native channels, mapped into memory.
        labels: of the whole split, int64 (M,).
        indices: the chosen ones, int64 (n,), ascending.
    """

    dataset: str
    split: str
    images: Images
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


class Pool:
    """The chosen images of several data sets, numbered through from 0.

    Attributes:
        parts: the data sets' own; a data set may have several.
        datasets: names of the data sets, in the order of their first part.
        sets: position in `datasets` of each image, int64 (n,).
        rows: index in its split of each image, int64 (n,).
        labels: of each image, in its data set's own order, int64 (n,).
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.datasets = tuple(dict.fromkeys(part.dataset for part in parts))
        self._part = np.concatenate([np.full(len(part.indices), k) for k, part in enumerate(parts)])
        of_part = np.array([self.datasets.index(part.dataset) for part in parts])
        self.sets = of_part[self._part]
        self.rows = np.concatenate([part.indices for part in parts])
        self.labels = np.concatenate([part.labels[part.indices] for part in parts])

    def __len__(self) -> int:
        return len(self.rows)

    def native(self, place: int) -> Images:
        """Return one image with its data set's native channels, uint8 (224, 224, C)."""
        one: Images = self.parts[self._part[place]].images[self.rows[place]]
        return one

    def read(self, places: Sequence[int] | NDArray[Any]) -> Images:
        """Return images by number, uint8 (n, 224, 224, 3); grey ones with three equal channels."""
        return np.stack([rgb(self.native(place)) for place in places])


def rgb(image: Images) -> Images:
    """Return an image (..., 1 or 3) with three channels, not copied if it has them."""
    return image if image.shape[-1] == 3 else np.broadcast_to(image, (*image.shape[:-1], 3))


def part(
    workspace: Workspace, dataset: str, split: str, indices: Sequence[int] | NDArray[np.int64] | None = None
) -> Part:
    """Open a split of a data set, all of it unless `indices` are given; `npz.NpzError` if it is not there.

    A grey data set's images have one channel, however they are stored.
    """
    images, labels = npz.read(workspace.npz(Cell(dataset, split)))
    images = images[..., : manifest.read_clean(workspace, dataset).native_channels]
    chosen = np.arange(len(labels)) if indices is None else np.asarray(indices, np.int64)
    return Part(dataset, split, images, labels, np.sort(chosen))


def shots(labels: NDArray[np.int64], *, count: int, percent: float, seed: Sequence[int]) -> NDArray[np.int64]:
    """Draw the same number of images of every class, or the same percentage and at least one.

    Args:
        labels: int64 (N,).
        count: images a class, all of a class that has fewer; 0 to go by `percent`.
        percent: of each class's images, rounded half up.
        seed: of the draw.

    Returns:
        Indices, int64, ascending.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(own[: count if count else max(1, int(len(own) * percent / 100 + 0.5))])
    return np.sort(np.concatenate(chosen))


def mirror(dataset: str) -> tuple[bool, bool]:
    """Return whether the data set's images may be mirrored left to right, and top to bottom; no if it has no card."""
    if dataset not in datasets.DATASETS:
        return False, False
    known = datasets.card(dataset)
    return known.mirror_horizontal, known.mirror_vertical
