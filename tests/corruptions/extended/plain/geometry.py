"""The geometry of the extended set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.corruptions.extended.plain import Array
from tests.corruptions.extended.plain.blur import mirror


def elastic_transform(
    x: Array, pixels: Array, words: Sequence[int], *, alpha: float, sigma: float, shift: float
) -> Array:
    height, width = x.shape[:2]
    m = corners_moved(x, words, shift)
    e = [2 * (pixels >> 8) - 255, 2 * (pixels & 255) - 255]
    amplitude = math.floor(4096 * alpha + 0.5)
    across, down = ((((smooth(noise, sigma) + 2**19) >> 20) * amplitude + 2**29) >> 30 for noise in e)
    y = np.empty_like(x)
    for p, q in np.ndindex(height, width):
        z = value_at(m, 1024 * q + int(across[p, q]), 1024 * p + int(down[p, q]), mirror_edge)
        y[p, q] = (z + 2**25) >> 26
    return y


def mirror_edge(i: int, n: int) -> int:
    """Return the pixel at i, mirrored at the outer edges of the outermost pixels."""
    place = i % (2 * n)
    return min(place, 2 * n - 1 - place)


def value_at(z: Array, x: int, y: int, edge: Callable[[int, int], int]) -> Array:
    """Return Z(x, y) of each channel, in 2^-20 of the unit of z."""
    height, width = z.shape[:2]
    q, a, p, b = x >> 10, x & 1023, y >> 10, y & 1023
    rows, columns = (edge(p, height), edge(p + 1, height)), (edge(q, width), edge(q + 1, width))
    (z00, z01), (z10, z11) = ([z[row, column] for column in columns] for row in rows)
    interpolated: Array = (1024 - b) * ((1024 - a) * z00 + a * z01) + b * ((1024 - a) * z10 + a * z11)
    return interpolated


def corners_moved(x: Array, words: Sequence[int], shift: float) -> Array:
    """Return m, the image after the affine map, in 1/64 level."""
    height, width = x.shape[:2]
    cx, cy, s = width // 2, height // 2, max(1, min(height, width) // 3)
    t = math.floor(256 * shift + 0.5)
    moved = []
    for word, corner in zip(words, [(cx + s, cy + s), (cx + s, cy - s), (cx - s, cy - s)], strict=False):
        halves = word >> 16, word & 65535
        moved.append([256 * at + ((t * (2 * h - 65535) + 2**15) >> 16) for at, h in zip(corner, halves, strict=True)])
    (q0x, q0y), (q1x, q1y), (q2x, q2y) = moved
    ux, uy, wx, wy = q0x - q1x, q0y - q1y, q1x - q2x, q1y - q2y
    d = (ux * wy - uy * wx) or 1

    def r(n: int) -> int:
        ratio = (2**29 * (n if d > 0 else -n) + abs(d)) // (2 * abs(d))
        return min(max(ratio, -(2**31)), 2**31)

    m = np.empty_like(x)
    for p, q in np.ndindex(height, width):
        gx, gy = 256 * q - q1x, 256 * p - q1y
        at_x = 1024 * (cx + s) + ((r(-2 * s * uy) * gx + r(2 * s * ux) * gy + 2**17) >> 18)
        at_y = 1024 * (cy - s) + ((r(2 * s * wy) * gx + r(-2 * s * wx) * gy + 2**17) >> 18)
        m[p, q] = (value_at(x, at_x, at_y, mirror) + 2**13) >> 14
    return m


def smooth(noise: Array, sigma: float) -> Array:
    """Return S, the noise under the Gaussian, in 2^-40."""
    r = math.floor(3 * sigma + 0.5)
    v = [math.exp(-(j**2) / (2 * sigma**2)) for j in range(r + 1)]
    outer = [math.floor(2**20 * value / (v[0] + 2 * math.fsum(v[1:])) + 0.5) for value in v[1:]]
    w = [2**20 - 2 * sum(outer), *outer]

    def along(n: int) -> Array:
        """Return (n, n): what each pixel of an axis has from each."""
        matrix = np.zeros((n, n), np.int64)
        for p in range(n):
            for j in range(-r, r + 1):
                matrix[p, mirror_edge(p + j, n)] += w[abs(j)]
        return matrix

    height, width = noise.shape
    return along(height) @ noise @ along(width).T
