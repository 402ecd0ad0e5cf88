"""Arrays that others wrote: headers, labels and rows, read without trust and never unpickled."""

from __future__ import annotations

import math
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.sources import SourceError

_LABELS = 10_000_000
"""More labels than this are a damaged header: the largest source has about a hundred thousand."""

_HEADER_FAILURES = (ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError)
"""What NumPy's header reader raises for bytes that are no header: it parses them as a Python literal."""


class Header(NamedTuple):
    """What an npy header announces; `size` is that of the header itself, in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int

    @property
    def bytes(self) -> int:
        """Length of header and array together."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize


def header(stream: IO[bytes], where: str) -> Header:
    """Read an npy header from `stream`, which stands at its first byte; SourceError names `where`."""
    try:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except _HEADER_FAILURES as broken:
        raise SourceError(f"{where} is damaged: it does not begin as an npy array ({_line(broken)})") from None
    if dtype.hasobject:
        raise SourceError(f"{where} holds pickled Python objects, which are never loaded")
    if fortran and len(shape) > 1:
        raise SourceError(f"{where} is in Fortran order; write it with numpy.ascontiguousarray")
    if min(shape, default=0) < 0:
        raise SourceError(f"{where} is damaged: its shape is {shape}")
    return Header(shape, dtype, stream.tell())


def read_labels(stream: IO[bytes], where: str) -> NDArray[Any]:
    """Read a small npy array, (N,) or (N, 1), as (N,); SourceError if it is another shape, cut short or pickled."""
    head = header(stream, where)
    if len(head.shape) not in (1, 2) or head.shape[1:] not in ((), (1,)):
        raise SourceError(f"{where} has the shape {head.shape}; labels must be (N,) or (N, 1)")
    if head.shape[0] > _LABELS or head.dtype.kind not in "biuf":
        raise SourceError(f"{where} holds {head.dtype} {head.shape}; labels must be whole numbers, one an image")
    raw = stream.read(head.bytes - head.size + 1)
    if len(raw) != head.bytes - head.size:
        raise SourceError(f"{where} is damaged: its length does not fit its header")
    return np.frombuffer(raw, head.dtype)


def read_labels_file(path: Path) -> NDArray[Any]:
    """Read an npy file of labels, see `read_labels`."""
    try:
        with path.open("rb") as stream:
            return read_labels(stream, str(path))
    except FileNotFoundError:
        raise SourceError(f"no {path}: the release is incomplete") from None


def checked_labels(labels: NDArray[Any], classes: int, where: str) -> NDArray[np.int64]:
    """Return `labels` as int64 if each is one of 0..classes - 1, else raise SourceError."""
    whole = labels.astype(np.float64)
    wrong = np.flatnonzero(~((whole >= 0) & (whole < classes) & (whole == np.floor(whole))))
    if wrong.size:
        raise SourceError(
            f"{where}: the label at position {wrong[0]} is {labels[wrong[0]]}; {classes} classes have 0..{classes - 1}"
        )
    return labels.astype(np.int64)


def evenly(total: int, count: int | None) -> NDArray[np.int64]:
    """Return `count` of `total` positions, ascending and evenly spaced, or all of them if there are no more.

    Releases are often sorted by class, so the first few rows would show one class alone.
    """
    if count is None or count >= total:
        return np.arange(total)
    return np.arange(count) * total // count


def runs(positions: Sequence[int] | NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the half-open ranges that ascending, distinct `positions` are made of."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position:
            found[-1] = (found[-1][0], int(position) + 1)
        else:
            found.append((int(position), int(position) + 1))
    return found


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:120] or type(problem).__name__
