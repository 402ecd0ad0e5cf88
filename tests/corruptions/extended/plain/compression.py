"""JPEG, block by block."""

from __future__ import annotations

import math

import numpy as np

from tests.corruptions.extended.plain import Array

HALF_OF_F = [
    [8192, 8192, 8192, 8192],
    [11363, 9633, 6437, 2260],
    [10703, 4433, -4433, -10703],
    [9633, -2259, -11362, -6436],
    [8192, -8192, -8192, 8192],
    [6437, -11362, 2261, 9633],
    [4433, -10704, 10704, -4433],
    [2260, -6436, 9633, -11363],
]
F = np.array([row + [(-1) ** k * entry for entry in reversed(row)] for k, row in enumerate(HALF_OF_F)])
K1 = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
K2 = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def table(entries: list[list[int]], quality: int) -> Array:
    full = np.full((8, 8), 99)
    full[: len(entries), : len(entries[0])] = entries
    s = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((full * s + 50) // 100, 1, 255)


def extended(plane: Array, height: int, width: int) -> Array:
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="edge")


def coded(plane: Array, q: Array, width: int) -> Array:
    """Return a plane after the frequencies of its blocks have been quantised by `q`."""
    height = plane.shape[0]
    whole = extended(plane, math.ceil(height / 8) * 8, math.ceil(plane.shape[1] / 8) * 8)
    for top in range(0, whole.shape[0], 8):
        for left in range(0, whole.shape[1], 8):
            block = whole[top : top + 8, left : left + 8] - 128
            f = (F @ ((block @ F.T + 2**10) >> 11) + 2**14) >> 15
            f = np.sign(f) * ((np.abs(f) + 4 * q) // (8 * q)) * q
            samples = ((((F.T @ f + 2**10) >> 11) @ F + 2**17) >> 18) + 128
            whole[top : top + 8, left : left + 8] = np.clip(samples, 0, 255)
    return whole[:height, :width]


def halved(plane: Array) -> Array:
    rows, columns = math.ceil(plane.shape[0] / 2), math.ceil(plane.shape[1] / 2)
    whole = extended(plane, 2 * rows, 16 * math.ceil(columns / 8))
    total = whole[0::2, 0::2] + whole[1::2, 0::2] + whole[0::2, 1::2] + whole[1::2, 1::2]
    return (total + 1 + np.arange(total.shape[1]) % 2) >> 2


def enlarged(c: Array, height: int, width: int) -> Array:
    rows, columns = c.shape
    if columns <= 2:
        return c.repeat(2, 0).repeat(2, 1)[:height, :width]
    y = np.empty((height, width), np.int64)
    for p in range(height):
        i = min(max(p // 2 + (1 if p % 2 else -1), 0), rows - 1)
        m = 3 * c[p // 2] + c[i]
        for q in range(width):
            j = min(max(q // 2 + (1 if q % 2 else -1), 0), columns - 1)
            y[p, q] = (3 * m[q // 2] + m[j] + 8 - q % 2) >> 4
    return y


def jpeg_compression(x: Array, *, quality: int) -> Array:
    height, width, channels = x.shape
    if channels == 1:
        return coded(x[..., 0], table(K1, quality), width)[..., None]
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    y = coded((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16, table(K1, quality), width)
    cb = (-11059 * red - 21709 * green + 32768 * blue + 8421375) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + 8421375) >> 16
    b, r = (enlarged(coded(halved(c), table(K2, quality), math.ceil(width / 2)), height, width) - 128 for c in (cb, cr))
    colours = (
        y + ((91881 * r + 32768) >> 16),
        y + ((-22554 * b - 46802 * r + 32768) >> 16),
        y + ((116130 * b + 32768) >> 16),
    )
    return np.clip(np.stack(colours, -1), 0, 255)
