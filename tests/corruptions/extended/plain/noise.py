"""The noises of the extended set."""

from __future__ import annotations

import decimal
import functools
import math
from decimal import Decimal
from statistics import NormalDist

import numpy as np

from tests.corruptions.extended.plain import Array


@functools.cache
def normal_table() -> Array:
    """Return T of docs/corruptions.md for every uniform."""
    half = [-math.floor(-4096 * NormalDist().inv_cdf((u + 0.5) / 65536) + 0.5) for u in range(32768)]
    return np.array([*half, *(-value for value in reversed(half))])


def speckle_noise(x: Array, u: Array, *, std: float) -> Array:
    a = math.floor(65536 * std + 0.5)
    f = 4096 + ((a * normal_table()[u] + 2**15) >> 16)
    return np.clip((x * f + 2048) >> 12, 0, 255)


def shot_noise(x: Array, u: Array, *, photons: int) -> Array:
    return x if photons == 0 else (510 * counts(photons)[x, u] + photons) // (2 * photons)


@functools.cache
def counts(photons: int) -> Array:
    """Return K for every level and uniform."""
    table = np.zeros((256, 65536), np.int64)
    with decimal.localcontext(prec=60):
        for level in range(256):
            mean = Decimal(photons * level) / 255
            term = (-mean).exp()
            total = Decimal(0)
            for k in range(photons):
                total += term
                table[level, math.floor(65536 * total + Decimal("0.5")) :] += 1
                term = term * mean / (k + 1)
    return table
