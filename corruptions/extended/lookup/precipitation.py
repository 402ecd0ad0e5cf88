"""The integer tables and constants of snow and spatter."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple


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
