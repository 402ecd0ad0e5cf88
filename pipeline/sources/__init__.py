"""Where clean images come from. Every source gives the same thing: a `Clean` for a data set and a split."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError

SOURCES = ("phantom", "medimeta", "medmnist", "imagefolder")


class SourceError(UserError):
    """What a source holds is missing, damaged or not in its documented form; the message says what to do."""


@dataclass(frozen=True)
class Clean:
    """One split of one data set, images read on demand.

    Attributes:
        labels: int64 (N,), positions in `class_names`.
        class_names: in label order, as the source gives them.
        ids: where each image came from, unique in the split, stable from run to run.
        channels: 1 for grey images, 3 for colour.
        read: images at the given positions, uint8 (n, 224, 224, channels); may be called from several threads.
        dropped: (id, reason) of what the source holds and this split leaves out.
    """

    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    ids: Sequence[str]
    channels: int
    read: Callable[[Sequence[int]], NDArray[np.uint8]]
    dropped: Sequence[tuple[str, str]] = field(default=())


def load(source: str, dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return `split` of `dataset` from `source`.

    Args:
        source: one of `SOURCES`.
        dataset: a data set that the source has; for ``imagefolder`` any folder's name.
        split: ``train``, ``val`` or ``test``; ``phantom`` also has ``pretrain`` and ``pretest``.
        root: folder of the source's own files (``phantom`` reads none).
        count: take the first so many images; all if not given (``phantom`` has no end, so it needs one).
        seed: of the ``phantom``'s drawings; the other sources draw nothing.

    Raises:
        SourceError: the data set or split is not there, or its files are damaged.
    """
    if source not in SOURCES:
        raise SourceError(f"no source {source!r}; have {', '.join(SOURCES)}")
    module: Any = importlib.import_module(f"pipeline.sources.{source}")
    clean: Clean = module.load(dataset, split, root=root, count=count, seed=seed)
    return clean
