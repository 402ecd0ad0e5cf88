"""The images of several data sets as one pool to train on, read when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """Some images of one split of a data set.

    Attributes:
        dataset: its name.
        split: where they are from.
        images: of the whole split, uint8 (M, 224, 224, C) with the native channels, mapped into memory.
        labels: of the whole split, int64 (M,).
        indices: of the subset in the split, int64 (n,), ascending.
    """

    dataset: str
    split: str
    images: Images
    labels: Ints
    indices: Ints


class Pool:
    """Subsets of several data sets, their images at positions from 0.

    Attributes:
        subsets: the data sets' own; a data set may have several.
        datasets: names of the data sets, in the order of their first subset.
        dataset_ids: position in `datasets` of each image's data set, int64 (n,).
        indices: index in its split of each image, int64 (n,).
        labels: of each image, in its data set's own order, int64 (n,).
    """

    def __init__(self, subsets: Sequence[Subset]) -> None:
        self.subsets = tuple(subsets)
        self.datasets = tuple(dict.fromkeys(subset.dataset for subset in subsets))
        self._subset_ids = np.concatenate([np.full(len(subset.indices), k) for k, subset in enumerate(subsets)])
        self.dataset_ids = np.array([self.datasets.index(subset.dataset) for subset in subsets])[self._subset_ids]
        self.indices = np.concatenate([subset.indices for subset in subsets])
        self.labels = np.concatenate([subset.labels[subset.indices] for subset in subsets])

    def __len__(self) -> int:
        return len(self.indices)

    def native(self, position: int) -> Images:
        """Return one image with its data set's native channels, uint8 (224, 224, C)."""
        image: Images = self.subsets[self._subset_ids[position]].images[self.indices[position]]
        return image

    def read(self, positions: Sequence[int] | Ints) -> Images:
        """Return the images at `positions`, uint8 (n, 224, 224, 3); grey ones with three equal channels."""
        return np.stack([rgb(self.native(position)) for position in positions])


def rgb(image: Images) -> Images:
    """Return an image (..., 1 or 3) with three channels, not copied if it has them."""
    return image if image.shape[-1] == 3 else np.broadcast_to(image, (*image.shape[:-1], 3))


def open_subset(workspace: Workspace, dataset: str, split: str, indices: Sequence[int] | Ints | None = None) -> Subset:
    """Open a split of a data set, all of it unless `indices` name some.

    A grey data set's images have one channel, however they are stored.

    Raises:
        UserError: the split or its manifest is not there.
    """
    images, labels = npz.read(workspace.npz(Cell(dataset, split)))
    # a plain array on the memory map: numpy.memmap does more work at each indexing
    native = np.asarray(images)[..., : manifest.read_clean(workspace, dataset).native_channels]
    positions = np.arange(len(labels)) if indices is None else np.asarray(indices, np.int64)
    return Subset(dataset, split, native, labels, np.sort(positions))
