"""The integer tables and constants of the weather."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

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


class Layer(NamedTuple):
    """A random layer, normally distributed, in 1/4096 grey level: what lies below the threshold is 0."""

    mean: int
    spread: int
    threshold: int


@functools.lru_cache(maxsize=32)
def layer(kernel: str, mean: float, spread: float, threshold: float) -> Layer:
    """Return the numbers of a layer, given as fractions of the full range."""
    if not (0 <= mean <= 1 and 0 <= spread <= 1 and 0 <= threshold <= 8):
        raise ValueError(
            f"{kernel} needs a mean and a spread from 0 to 1 and a threshold from 0 to 8, fractions of the full range,"
            f" not {mean}, {spread}, {threshold}"
        )
    return Layer(*(math.floor(255 * 4096 * value + 0.5) for value in (mean, spread, threshold)))


def fraction(kernel: str, name: str, value: float) -> int:
    """Return a fraction from 0 to 1 in 1/4096."""
    if not 0 <= value <= 1:
        raise ValueError(f"{kernel} needs a {name} from 0 to 1, not {value}")
    return math.floor(4096 * value + 0.5)


WATER, MUD = (175, 238, 238), (63, 42, 20)
"""Colours of `spatter`, red, green, blue: ImageNet-C's."""

DENSE = 13108
"""The least share of mud that is seen, in 1/16384: 0.8."""


def flag(kernel: str, name: str, value: int) -> int:
    """Return `value`; ValueError unless it is 0 or 1."""
    if value not in (0, 1):
        raise ValueError(f"{kernel} needs 0 or 1 for {name}, not {value}")
    return int(value)


def colour_of(channels: int, *, mud: int) -> tuple[int, ...]:
    """Return the colour of mud or water, or its luma (ITU-R BT.601) for grey images."""
    red, green, blue = MUD if mud else WATER
    return (red, green, blue) if channels == 3 else ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16,)


CRYSTALS = 48
"""Crystals of `frost`, two words each."""


@functools.cache
def directions() -> Ints:
    """Return the cosine and sine of 256 directions over half a turn, in 1/4096; int32 (256, 2)."""
    angles = [(2 * index + 1) * math.pi / 512 for index in range(256)]
    parts = [[math.floor(4096 * part(angle) + 0.5) for part in (math.cos, math.sin)] for angle in angles]
    return constant(np.array(parts, np.int32))
