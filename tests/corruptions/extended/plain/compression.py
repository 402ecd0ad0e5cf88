"""The compression of the extended set."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.corruptions.extended.plain import Array

# The rows of F, and the tables K.1 and K.2 of ITU-T T.81.
F = np.array([
    [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
    [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
    [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
    [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
    [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
    [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
    [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
    [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
])  # fmt: skip
LUMA_STEPS = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
CHROMA_STEPS = np.array([
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
])  # fmt: skip


def clip(level: Any) -> Any:
    return np.clip(level, 0, 255)


def jpeg_compression(x: Array, *, quality: int) -> Array:
    height, width, channels = x.shape
    if channels == 1:
        return through_blocks(x[..., 0], LUMA_STEPS, quality)[..., None]
    red, green, blue = np.moveaxis(x, -1, 0)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    cb = (-11059 * red - 21709 * green + 32768 * blue + 8421375) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + 8421375) >> 16
    luma = through_blocks(luma, LUMA_STEPS, quality)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    small = [through_blocks(half_size(plane), CHROMA_STEPS, quality)[:rows, :columns] for plane in (cb, cr)]
    b, r = (full_size(plane)[:height, :width] - 128 for plane in small)
    return np.stack(
        [
            clip(luma + ((91881 * r + 32768) >> 16)),
            clip(luma + ((-22554 * b - 46802 * r + 32768) >> 16)),
            clip(luma + ((116130 * b + 32768) >> 16)),
        ],
        axis=-1,
    )


def repeat_edges(plane: Array, height: int, width: int) -> Array:
    """Return the plane enlarged to the size by repeating its last row and column."""
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="edge")


def half_size(plane: Array) -> Array:
    """Return ceil(H / 2) rows of samples and a whole number of blocks of columns."""
    rows, columns = (plane.shape[0] + 1) // 2, (plane.shape[1] + 1) // 2
    plane = repeat_edges(plane, 2 * rows, 16 * -(-columns // 8))
    small = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), np.int64)
    for i, j in np.ndindex(*small.shape):
        small[i, j] = (plane[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum() + (1 if j % 2 == 0 else 2)) >> 2
    return small


def through_blocks(plane: Array, steps: Array, quality: int) -> Array:
    """Return the plane after its frequencies have been rounded to multiples of their steps."""
    height, width = plane.shape
    s = 5000 // quality if quality < 50 else 200 - 2 * quality
    q = np.clip((steps * s + 50) // 100, 1, 255)
    plane = repeat_edges(plane, 8 * -(-height // 8), 8 * -(-width // 8)) - 128
    for top in range(0, plane.shape[0], 8):
        for left in range(0, plane.shape[1], 8):
            block = plane[top : top + 8, left : left + 8]
            f = (F @ ((block @ F.T + 2**10) >> 11) + 2**14) >> 15
            f = np.sign(f) * ((abs(f) + 4 * q) // (8 * q)) * q
            block[:] = clip(((((F.T @ f + 2**10) >> 11) @ F + 2**17) >> 18) + 128)
    return plane[:height, :width]


def full_size(c: Array) -> Array:
    """Return twice as many rows and columns."""
    rows, columns = c.shape
    if columns <= 2:
        return c.repeat(2, axis=0).repeat(2, axis=1)
    y = np.empty((2 * rows, 2 * columns), np.int64)
    for p in range(2 * rows):
        m = 3 * c[p // 2] + c[neighbour(p, rows)]
        for q in range(2 * columns):
            y[p, q] = (3 * m[q // 2] + m[neighbour(q, columns)] + 8 - q % 2) >> 4
    return y


def neighbour(p: int, n: int) -> int:
    """Return the other sample of n that pixel p reads."""
    return min(max(p // 2 + (1 if p % 2 else -1), 0), n - 1)
