"""Crop and resize with integers alone, so that the same pixels give the same bytes on every machine."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.workspace.cell import SIZE


def fitted(image: NDArray[np.uint8], size: int = SIZE) -> NDArray[np.uint8]:
    """Return the square in the middle of `image` (H, W, C) at `size` x `size`, uint8.

    To a smaller size each new pixel is the mean of the area that it covers, to a larger one it is interpolated linearly
    between the two nearest in each direction. Sums are of whole numbers, the one division rounds halves up.
    """
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    vertical, total = _summed(square, size)
    horizontal, _ = _summed(vertical.transpose(1, 0, 2), size)
    return ((2 * horizontal.transpose(1, 0, 2) + total**2) // (2 * total**2)).astype(np.uint8)


def _summed(lines: NDArray[Any], size: int) -> tuple[NDArray[np.int64], int]:
    """Return `size` weighted sums of `lines` along the first axis, and what the weights of each add up to."""
    count = len(lines)
    new = np.arange(size + 1)
    if count > size:  # new line n covers [n * count, (n + 1) * count) where an old one is `size` long
        first, part = np.divmod(new * count, size)
        sums = np.stack([lines[begin:end].sum(axis=0, dtype=np.int64) for begin, end in pairwise(first)]) * size
        begun = lines[np.minimum(first, count - 1)] * part[:, np.newaxis, np.newaxis]
        return sums - begun[:-1] + begun[1:], count
    place = (2 * new[:-1] + 1) * count - size  # of a new line's middle, where an old one is 2 * size long
    first, part = np.divmod(place[:, np.newaxis, np.newaxis], 2 * size)
    near, far = (np.clip(line.ravel(), 0, count - 1) for line in (first, first + 1))
    return lines[near].astype(np.int64) * (2 * size - part) + lines[far].astype(np.int64) * part, 2 * size
