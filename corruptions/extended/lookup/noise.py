"""The integer tables of the noises."""

from __future__ import annotations

import functools
import math

import numpy as np

from corruptions.lookup import Ints, constant, normal_table


@functools.lru_cache(maxsize=16)
def speckle_factors(std: float) -> Ints:
    """Return the factor 1 + noise of `speckle_noise` for each 16-bit uniform, in units of 1/4096; int32 (65536,)."""
    if not 0 <= std <= 1:
        raise ValueError(f"speckle_noise needs a std from 0 to 1, a fraction of the level, not {std}")
    scale = math.floor(65536 * std + 0.5)
    return constant((4096 + ((scale * normal_table().astype(np.int64) + 2**15) >> 16)).astype(np.int32))
