"""What moves pixels, of the extended set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.corruptions.extended.plain import Array
from tests.corruptions.extended.plain.blur import mirror


def mirror_edges(i: int, n: int) -> int:
    place = i % (2 * n)
    return min(place, 2 * n - 1 - place)


def between(z: Array, x: int, y: int, edge: Callable[[int, int], int]) -> Array:
    """Return Z(X, Y) of a plane for every channel."""
    height, width = z.shape[:2]
    q, a, p, b = x >> 10, x & 1023, y >> 10, y & 1023
    rows, columns = [edge(p + i, height) for i in (0, 1)], [edge(q + j, width) for j in (0, 1)]
    upper, lower = ((1024 - a) * z[row, columns[0]] + a * z[row, columns[1]] for row in rows)
    return (1024 - b) * upper + b * lower


def affine(x: Array, words: Sequence[int], shift: float) -> Array:
    height, width = x.shape[:2]
    cx, cy, s = width // 2, height // 2, max(1, min(height, width) // 3)
    t = math.floor(256 * shift + 0.5)
    corners = []
    for word, (right, below) in zip(words, ((1, 1), (1, -1), (-1, -1)), strict=True):
        across, down = (((t * (2 * h - 65535) + 2**15) >> 16) for h in (word >> 16, word & 65535))
        corners.append((256 * (cx + right * s) + across, 256 * (cy + below * s) + down))
    (x0, y0), (x1, y1), (x2, y2) = corners
    ux, uy, wx, wy = x0 - x1, y0 - y1, x1 - x2, y1 - y2
    d = ux * wy - uy * wx or 1

    def share(n: int) -> int:
        n = -n if d < 0 else n
        return min(max((2**29 * n + abs(d)) // (2 * abs(d)), -(2**31)), 2**31)

    m = np.empty_like(x)
    for p, q in np.ndindex(height, width):
        gx, gy = 256 * q - x1, 256 * p - y1
        at_x = 1024 * (cx + s) + ((share(-2 * s * uy) * gx + share(2 * s * ux) * gy + 2**17) >> 18)
        at_y = 1024 * (cy - s) + ((share(2 * s * wy) * gx + share(-2 * s * wx) * gy + 2**17) >> 18)
        m[p, q] = (between(x, at_x, at_y, mirror) + 2**13) >> 14
    return m


def field(e: Array, sigma: float) -> Array:
    """Return S."""
    r = math.floor(3 * sigma + 0.5)
    v = [math.exp(-(j**2) / (2 * sigma**2)) for j in range(r + 1)]
    total = v[0] + 2 * math.fsum(v[1:])
    w = [math.floor(2**20 * value / total + 0.5) for value in v]
    w[0] = 2**20 - 2 * sum(w[1:])
    for axis in (0, 1):
        n = e.shape[axis]
        e = sum(w[abs(j)] * e.take([mirror_edges(i + j, n) for i in range(n)], axis) for j in range(-r, r + 1))
    return e


def elastic_transform(
    x: Array, pixels: Array, words: Sequence[int], *, alpha: float, sigma: float, shift: float
) -> Array:
    m = affine(x, words, shift)
    a = math.floor(4096 * alpha + 0.5)
    right, below = (
        (((field(2 * byte - 255, sigma) + 2**19) >> 20) * a + 2**29) >> 30 for byte in (pixels >> 8, pixels & 255)
    )
    y = np.empty_like(x)
    for p, q in np.ndindex(*x.shape[:2]):
        moved = 1024 * q + int(right[p, q]), 1024 * p + int(below[p, q])
        y[p, q] = (between(m, *moved, mirror_edges) + 2**25) >> 26
    return y
