"""The blurs of the extended set."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.corruptions.extended.plain import Array


def weights(r: int, sigma: float) -> list[int]:
    """Return B(r, sigma), w_0 to w_r."""
    if r == 0:
        return [16384]
    v = [math.exp(-(j**2) / (2 * sigma**2)) for j in range(r + 1)] if sigma else [1.0] + [0.0] * r
    total = v[0] + 2 * math.fsum(v[1:])
    outer = [math.floor(16384 * value / total + 0.5) for value in v[1:]]
    return [16384 - 2 * sum(outer), *outer]


def clamp(i: int, n: int) -> int:
    return min(max(i, 0), n - 1)


def mirror(i: int, n: int) -> int:
    place = i % (2 * (n - 1))
    return min(place, 2 * (n - 1) - place)


def along(values: Array, axis: int, w: list[int], edge: Callable[[int, int], int]) -> Array:
    """Return the weighted sums along an axis."""
    n, total = values.shape[axis], np.zeros_like(values)
    for j in range(1 - len(w), len(w)):
        total += w[abs(j)] * values.take([edge(i + j, n) for i in range(n)], axis)
    return total


def soften(s: Array, w: list[int], edge: Callable[[int, int], int]) -> Array:
    t = (along(s, 0, w, edge) + 2**13) >> 14
    return np.minimum(255, (along(t, 1, w, edge) + 2**19) >> 20)


def gaussian_blur(x: Array, *, sigma: float) -> Array:
    return soften(64 * x, weights(math.floor(4 * sigma + 0.5), sigma), clamp)


def gaussian_window(x: Array, *, size: int) -> Array:
    return soften(64 * x, weights((size - 1) // 2, 0.15 * size + 0.35), mirror)


def defocus_blur(x: Array, *, radius: float, alias_blur: float) -> Array:
    height, width = x.shape[:2]
    reach = math.floor(radius)
    disk = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1) if i**2 + j**2 <= radius**2]
    g, c = (8, 1) if radius <= 8 else (int(radius), 2)
    v = [math.exp(-(j**2) / (2 * alias_blur**2)) for j in range(c + 1)]
    a = [value / (v[0] + 2 * math.fsum(v[1:])) for value in v]
    m = {g: 1 - math.fsum(a[1:])} | {g - j: 1 + a[j] for j in range(1, c + 1)}
    total = math.fsum(m.get(abs(i), 1.0) * m.get(abs(j), 1.0) for i, j in disk)
    r = math.floor(2**23 * total / len(disk) ** 2 + 0.5)
    sums = np.zeros_like(x)
    for i, j in disk:
        rows, columns = [mirror(p + i, height) for p in range(height)], [mirror(q + j, width) for q in range(width)]
        sums += x[rows][:, columns]
    return soften((r * sums + 2**16) >> 17, weights(c, alias_blur), mirror)


def glass_blur(x: Array, pixels: Array, *, sigma: float, max_delta: int, iterations: int) -> Array:
    height, width = x.shape[:2]
    d, y = max_delta, gaussian_blur(x, sigma=sigma).copy()
    for k in range(iterations):
        for p in range(height - d, d, -1):
            for q in range(width - d, d, -1):
                fraction = int(pixels[p, q])
                digits = []
                for _ in range(2 * k + 2):
                    digits.append((2 * d * fraction) >> 16)
                    fraction = (2 * d * fraction) & 65535
                there = p + digits[2 * k + 1] - d, q + digits[2 * k] - d
                y[p, q], y[there] = y[there].copy(), y[p, q].copy()
    return gaussian_blur(y, sigma=sigma)
