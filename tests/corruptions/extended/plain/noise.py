"""The noises of the extended set."""

from __future__ import annotations

import functools
import math
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
