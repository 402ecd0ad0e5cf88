"""The integer tables of the noises."""

from __future__ import annotations

import functools
import math
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corruptions.lookup import Ints, constant, normal_table

MOST_PHOTONS = 1000


@functools.lru_cache(maxsize=16)
def speckle_factors(std: float) -> Ints:
    """Return the factor 1 + noise of `speckle_noise` for each 16-bit uniform, in units of 1/4096; int32 (65536,)."""
    if not 0 <= std <= 1:
        raise ValueError(f"speckle_noise needs a std from 0 to 1, a fraction of the level, not {std}")
    scale = math.floor(65536 * std + 0.5)
    return constant((4096 + ((scale * normal_table().astype(np.int64) + 2**15) >> 16)).astype(np.int32))


@functools.lru_cache(maxsize=16)
def shot_thresholds(photons: int) -> Ints:
    """Return the Poisson distribution that `shot_noise` draws from at each level; int32 (256, photons), 0 to 65536.

    Entry [x, k] is the probability of at most k photons where the mean is photons * x / 255, in units of 1/65536,
    rounded to the nearest. A pixel of level x and uniform u counts as many photons as entries of row x are u or less.
    """
    if not 0 <= photons <= MOST_PHOTONS or photons != int(photons):
        raise ValueError(f"shot_noise needs photons from 0 to {MOST_PHOTONS}, a whole number, not {photons}")
    thresholds = np.empty((256, photons), np.int32)
    with localcontext() as context:  # so that no mathematics library of a machine rounds in its own way
        context.prec = 40
        for level in range(256):
            mean = Decimal(photons * level) / 255
            probability = (-mean).exp()
            below = Decimal(0)
            for k in range(photons):
                below += probability
                thresholds[level, k] = math.floor(65536 * below + Decimal("0.5"))
                probability = probability * mean / (k + 1)
    return constant(thresholds)


class Guide(NamedTuple):
    """What `shot_noise` makes of each level at each 256 neighbouring uniforms, at 256 * level + uniform // 256.

    Attributes:
        entries: uint32. Bits 0 to 7 are the result below the first threshold among the 256, bits 8 to 15 the one from
            there on, and bits 16 to 24 how far that is from the first uniform, 256 if there is none. Bit 31 says that
            there are several thresholds.
        counts: int16, the photons at the first uniform.
    """

    entries: NDArray[np.uint32]
    counts: NDArray[np.int16]


@functools.lru_cache(maxsize=16)
def shot_guide(photons: int) -> Guide:
    """Return the guide of `shot_noise`."""
    first = np.arange(0, 65536, 256)
    levels = shot_levels(photons).astype(np.uint32)
    guide = Guide(np.empty((256, 256), np.uint32), np.empty((256, 256), np.int16))
    for level, row in enumerate(shot_thresholds(photons)):
        ahead = np.append(row, 65536)  # so that there is a next one
        before = np.searchsorted(row, first, side="right")
        after = np.searchsorted(row, ahead[before], side="right")
        several = after < np.searchsorted(row, first + 255, side="right")
        distance = np.minimum(ahead[before] - first, 256)
        flags = (distance + (several << 15)).astype(np.uint32)
        guide.entries[level] = levels[before] | levels[after] << 8 | flags << 16
        guide.counts[level] = before
    return Guide(*(constant(part.reshape(-1)) for part in guide))


@functools.lru_cache(maxsize=16)
def shot_levels(photons: int) -> NDArray[np.uint8]:
    """Return the level that each count of photons stands for; uint8 (photons + 1,)."""
    counts = np.arange(photons + 1)
    return constant(((510 * counts + photons) // max(2 * photons, 1)).astype(np.uint8))
