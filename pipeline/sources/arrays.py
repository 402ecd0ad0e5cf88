"""Labels that others wrote, choices of rows, and reading these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.npz import Array


def read_labels(array: Array, *, count: int, classes: int, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the labels of `rows`, or all, of an array (`count`,) or (`count`, 1).

    Raises:
        UserError: it has another shape, or one of the labels is not 0 to `classes` - 1.
    """
    if array.shape not in ((count,), (count, 1)):
        raise UserError(f"{array.where} has the shape {array.shape} for {count} images; labels must be (N,) or (N, 1)")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{array.where} holds {array.dtype}; labels must be whole numbers, one an image")
    rows = np.arange(count) if rows is None else rows
    labels = array.rows(0, count).reshape(count)[rows]
    numbers = labels.astype(np.float64)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < classes) & (numbers == np.floor(numbers))))
    if wrong.size:
        raise UserError(
            f"{array.where}: the label at position {rows[wrong[0]]} is {labels[wrong[0]]}; {classes} classes have"
            f" 0..{classes - 1}"
        )
    return labels.astype(np.int64)


def evenly(labels: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """Return `count` positions of `labels`, ascending, or all of them if there are no more.

    Every class has as many as every other, as far as it has them, and its positions are evenly spaced over it.
    """
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    rounds = np.concatenate([np.arange(size) for size in sizes])  # each class gives one image a round
    givers = np.repeat(np.arange(len(classes)), sizes)[np.argsort(rounds, kind="stable")[:count]]
    quotas = np.bincount(givers, minlength=len(classes))
    positions = [
        np.flatnonzero(labels == label)[np.arange(quota) * size // max(quota, 1)]
        for label, size, quota in zip(classes, sizes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(positions))


def take(read: Callable[[int, int], NDArray[Any]], positions: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
    """Return the rows at `positions`, in any order, by way of `read`, which returns the rows from one up to another.

    Each row is read once, and neighbours together.
    """
    distinct, inverse = np.unique(np.asarray(positions, np.int64), return_inverse=True)
    pieces = [read(start, stop) for start, stop in runs(distinct)]
    return np.concatenate(pieces or [read(0, 0)])[inverse]


def runs(positions: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges that ascending, distinct `positions` are made of."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    for run in np.split(np.asarray(positions, np.int64), breaks):
        if run.size:
            yield int(run[0]), int(run[-1]) + 1
