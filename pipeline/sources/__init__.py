"""Where clean images come from. Every source is a module that gives a data set's split as a `Clean`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pipeline.config.params import SOURCES
from pipeline.errors import UserError
from pipeline.io.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Clean:
    """One split of one data set, images read on demand.

    Attributes:
        labels: int64 (N,), positions in `class_names`.
        class_names: in label order, as the source gives them.
        image_ids: where each image came from, unique in the split, stable from run to run.
        channels: 1 for grey images, 3 for colour.
        read: images at the given positions, uint8 (n, 224, 224, channels); may be called from several threads.
        dropped: (image id, reason) of what the source holds and this split leaves out.
    """

    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_ids: Sequence[str]
    channels: int
    read: Callable[[Sequence[int]], NDArray[np.uint8]]
    dropped: Sequence[tuple[str, str]] = field(default=())

    def batches(self, size: int) -> Iterator[range]:
        """Yield the positions of all images in order, `size` at a time."""
        for start in range(0, len(self.labels), size):
            yield range(start, min(start + size, len(self.labels)))


class SourceFile(Record):
    """A file that a source reads: size in bytes and SHA-256."""

    size: int
    sha256: str


class Source(Protocol):
    """What the module of a source has: ``pipeline.sources.<name>``, with the name that params.yaml gives it.

    Attributes:
        DATASETS: that it has; None if any name may be one.
        SPLITS: that its data sets have.
    """

    DATASETS: tuple[str, ...] | None
    SPLITS: tuple[str, ...]

    def load(self, dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
        """Return a split, see `load` of this package."""
        ...

    def fetch(self, folder: Path, datasets: Sequence[str], base_url: str) -> dict[str, SourceFile]:
        """Bring what `datasets` need into `folder`, and return every file that they are read from by its path there.

        `base_url` is zenodo.org's, or that of a mirror.
        """
        ...


def load(source: str, dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return `split` of `dataset` from `source`.

    Args:
        source: one of params.yaml's.
        dataset: a data set that the source has; for ``imagefolder`` any folder's name.
        split: ``train``, ``val`` or ``test``; ``phantom`` also has ``pretrain`` and ``pretest``.
        root: folder of the source's own files (``phantom`` reads none).
        count: how many images, as evenly spread over the classes as can be; all if not given (``phantom`` has no end,
            so it needs one).
        seed: of the ``phantom``'s drawings; the other sources draw nothing.

    Raises:
        UserError: the data set or split is not there, or its files are damaged.
    """
    module = find(source, [dataset])
    if split not in module.SPLITS:
        raise UserError(f"{source} has no split {split!r}; have {', '.join(module.SPLITS)}")
    return module.load(dataset, split, root=root, count=count, seed=seed)


def find(source: str, datasets: Sequence[str]) -> Source:
    """Return the module of a source; UserError if there is none, or if it lacks one of `datasets`."""
    if source not in SOURCES:
        raise UserError(f"no source {source!r}; have {', '.join(SOURCES)}")
    module = cast(Source, importlib.import_module(f"pipeline.sources.{source}"))  # with what this source alone needs
    for dataset in datasets:
        if module.DATASETS is not None and dataset not in module.DATASETS:
            raise UserError(f"{source} has no data set {dataset!r}; have {', '.join(module.DATASETS)}")
    return module
