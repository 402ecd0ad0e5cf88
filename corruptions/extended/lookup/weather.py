"""The integer tables and constants of fog and frost."""

from __future__ import annotations

import functools
import math

import numpy as np

from corruptions.lookup import Ints, constant

SIDE = 256
"""Height and width of a plasma, which repeats: ImageNet-C's map."""

LEVELS = 8
"""Steps of a plasma's lattice, 256 to 2 pixels."""


@functools.lru_cache(maxsize=16)
def plasma_scales(decay: float) -> Ints:
    """Return how far each step of the lattice is moved at random, in 1/65536 of the first; int32 (8,)."""
    if not 1 <= decay <= 4:
        raise ValueError(f"fog needs a decay from 1 to 4, not {decay}")
    return constant(np.array([math.floor(65536 * decay ** (-2 * k) + 0.5) for k in range(LEVELS)], np.int32))


def fog_height(amount: float) -> int:
    """Return the most that `fog` adds, in 1/16 grey level."""
    if not 0 <= amount <= 10:
        raise ValueError(f"fog needs an amount from 0 to 10, a multiple of the full range, not {amount}")
    return math.floor(16 * 255 * amount + 0.5)


def fraction(kernel: str, name: str, value: float) -> int:
    """Return a fraction from 0 to 1 in 1/4096."""
    if not 0 <= value <= 1:
        raise ValueError(f"{kernel} needs a {name} from 0 to 1, not {value}")
    return math.floor(4096 * value + 0.5)


CRYSTALS = 48
"""Crystals of `frost`, two words each."""


@functools.cache
def directions() -> Ints:
    """Return the cosine and sine of 256 directions over half a turn, in 1/4096; int32 (256, 2)."""
    angles = [(2 * index + 1) * math.pi / 512 for index in range(256)]
    parts = [[math.floor(4096 * part(angle) + 0.5) for part in (math.cos, math.sin)] for angle in angles]
    return constant(np.array(parts, np.int32))
