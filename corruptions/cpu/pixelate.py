"""The CPU kernel of pixelate: box averages along the rows, then down the columns, then nearest pixels."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.spec import Images


def pixelate(images: Images, *, percent: int) -> Images:
    """Shrink to `percent` percent, 1 to 100, by box averages, and enlarge again by nearest neighbours [HD], [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    count, height, width, channels = images.shape
    down = lookup.boxes(height, percent)
    across = _across(width, channels, percent)
    shape = (count, height, width * channels)
    out = np.empty(images.shape, np.uint8)
    _pixelate(flat(images, shape), channels, *down, *across, out.reshape(shape))
    return out


class _Across(NamedTuple):
    """The boxes of a row by element: its first and last one, is the last one extra, the reciprocal; what is shown."""

    first: NDArray[np.uint32]
    last: NDArray[np.uint32]
    extra: NDArray[np.uint32]
    reciprocals: NDArray[np.uint32]
    shown: NDArray[np.uint32]
    common: int


@functools.lru_cache(maxsize=32)
def _across(width: int, channels: int, percent: int) -> _Across:
    edges, reciprocals, shown = lookup.boxes(width, percent)
    counts = np.diff(edges)
    # Boxes over evenly spread edges hold `common` pixels or one more.
    common = int(counts.min())

    def elements(pixels: NDArray[Any]) -> NDArray[np.uint32]:
        return _unsigned((pixels[:, None] * channels + np.arange(channels)).reshape(-1))

    return _Across(
        first=elements(edges[:-1]),
        last=elements(edges[1:] - 1),
        extra=_unsigned(np.repeat(counts - common, channels)),
        reciprocals=_unsigned(np.repeat(reciprocals, channels)),
        shown=elements(shown),
        common=common,
    )


def _unsigned(array: NDArray[Any]) -> NDArray[np.uint32]:
    return lookup.constant(array.astype(np.uint32))


@njit
def _pixelate(images, channels, edges, tall, shown, first, last, extra, wide, back, common, out):  # type: ignore[no-untyped-def]
    narrow = np.empty((images.shape[1], wide.size), np.uint8)
    sums = np.empty(wide.size, np.uint32)
    for n in range(images.shape[0]):
        image, coarse = images[n], out[n]
        for p in range(image.shape[0]):
            _shrink(image[p], channels, first, last, extra, wide, common, narrow[p])
        for p in range(image.shape[0]):
            if p > 0 and shown[p] == shown[p - 1]:
                coarse[p] = coarse[p - 1]
                continue
            i = shown[p]
            _average(narrow[edges[i] : edges[i + 1]], np.uint32(tall[i]), sums)
            row = coarse[p]
            for j in range(row.size):
                row[j] = sums[back[j]]


@njit
def _shrink(row, channels, first, last, extra, reciprocals, common, narrow):  # type: ignore[no-untyped-def]
    for k in range(narrow.size):
        total = np.uint32(row[first[k]])
        for t in range(1, common):
            total += np.uint32(row[first[k] + t * channels])
        total += np.uint32(extra[k] * np.uint32(row[last[k]]))
        narrow[k] = np.uint32(np.uint32(total * reciprocals[k]) + np.uint32(1 << 21)) >> np.uint32(22)


@njit
def _average(rows, reciprocal, sums):  # type: ignore[no-untyped-def]
    sums[:] = 0
    for p in range(rows.shape[0]):
        row = rows[p]
        for j in range(row.size):
            sums[j] = np.uint32(sums[j] + np.uint32(row[j]))
    for j in range(sums.size):
        sums[j] = np.uint32(np.uint32(sums[j] * reciprocal) + np.uint32(1 << 21)) >> np.uint32(22)
