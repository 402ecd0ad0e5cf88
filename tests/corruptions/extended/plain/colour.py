"""The colours of the extended set."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from tests.corruptions.extended.plain import Array


def half_up(value: float | Fraction) -> int:
    return math.floor(value + Fraction(1, 2)) if isinstance(value, Fraction) else math.floor(value + 0.5)


def mean_luma(x: Array) -> int:
    """Return mu of luma_mean."""
    grey = x.shape[2] == 1
    luma = x[..., 0] if grey else (19595 * x[..., 0] + 38470 * x[..., 1] + 7471 * x[..., 2] + 32768) >> 16
    return int((2 * luma.sum() + luma.size) // (2 * luma.size))


def saturate(x: Array, *, percent: int, rise: int) -> Array:
    if x.shape[2] == 1:
        return x
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[:2]):
        pixel = x[place].tolist()
        v, d = max(pixel), max(pixel) - min(pixel)
        n = min(percent * d + rise * v, 100 * v)
        m = 100 * max(d, 1)
        k = (2**16 * n + m // 2) // m
        distances = [v - level for level in pixel] if d else [0, 1, 1]
        y[place] = [(2**16 * v - k * e + 2**15) >> 16 for e in distances]
    return y


def luma_stretch(x: Array, *, percent: int) -> Array:
    mu = mean_luma(x)
    return np.clip((100 * mu + percent * (x - mu) + 50) // 100, 0, 255)


def gamma(x: Array, *, exponent: float) -> Array:
    return np.array([half_up(255 * (level / 255) ** exponent) for level in range(256)])[x]


STAINS = [[Fraction(part) for part in row.split()] for row in ("0.65 0.70 0.29", "0.07 0.99 0.11", "0.27 0.57 0.78")]


@functools.cache
def inverse_of_stains() -> list[list[Fraction]]:
    """Return the inverse of the stains' matrix, by Gauss and Jordan."""
    rows = [[*row, *(Fraction(int(i == j)) for j in range(3))] for i, row in enumerate(STAINS)]
    for i in range(3):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for other in range(3):
            if other != i:
                rows[other] = [a - rows[other][i] * b for a, b in zip(rows[other], rows[i], strict=True)]
    return [row[3:] for row in rows]


def stain_variation(x: Array, words: Sequence[int], *, spread: float) -> Array:
    channels = x.shape[2]
    stains = range(3 if channels == 3 else 1)
    if channels == 3:
        inverse = inverse_of_stains()
        p = [[[half_up(4096 * inverse[j][s] * STAINS[s][i]) for i in stains] for j in stains] for s in stains]
        q = [[half_up(4096 * STAINS[s][i]) for i in stains] for s in stains]
    else:
        p, q = [[[4096]]], [[4096]]
    t = math.floor(65536 * spread + 0.5)
    c = [(t * ((word >> 16) - 32768) + 2**14) >> 15 for word in words[:6]]
    density = np.array([half_up(-1024 * math.log((level + 1) / 256)) for level in range(256)])
    level_of = np.array([max(0, half_up(256 * math.exp(-d / 1024) - 1)) for d in range(8192)])
    y = np.empty_like(x)
    for i in stains:
        o = (sum(c[3 + s] * q[s][i] for s in stains) + 2**7) >> 8
        total = np.full(x.shape[:2], o + 2**11, np.int64)
        for j in stains:
            a = 4096 * int(i == j) + ((sum(c[s] * p[s][j][i] for s in stains) + 2**15) >> 16)
            total += a * density[x[..., j]]
        y[..., i] = level_of[np.clip(total >> 12, 0, 8191)]
    return y
