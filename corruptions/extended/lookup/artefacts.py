"""The integer tables of things that lie on the glass, on the sensor or in the way."""

from __future__ import annotations

import functools
import math

import numpy as np

from corruptions.lookup import Ints, constant

BUBBLES = 25
"""How many bubbles `bubble` draws, three words each, after the word of their number."""

FEWEST, SMALLEST, RIM = 7, 3, 2
"""Fewest bubbles, smallest radius and width of the rim in pixels [MM]."""

DISC, EDGE = 100, 130
"""Opacity of a bubble and of its rim, of 255 [MM]."""

MARKS, LOBES = 5, 5
"""How many marks `stain_deposit` draws, each one word for its place and one for each lobe."""


def check_bubbles(max_radius: int, max_bubbles: int) -> None:
    """Raise ValueError unless `bubble` can take these."""
    if not (SMALLEST <= max_radius <= 1000 and 0 <= max_bubbles <= BUBBLES):
        raise ValueError(
            f"bubble needs a max_radius from {SMALLEST} to 1000 pixels and max_bubbles from 0 to {BUBBLES},"
            f" not {max_radius}, {max_bubbles}"
        )


def check_marks(count: int) -> None:
    """Raise ValueError unless `stain_deposit` can draw `count` marks."""
    if not 0 <= count <= MARKS:
        raise ValueError(f"stain_deposit needs a count from 0 to {MARKS}, not {count}")


@functools.lru_cache(maxsize=64)
def circle(height: int, width: int, percent: int) -> Ints:
    """Return the first column that `black_corner` keeps in each row, and the one after the last; int32 (height, 2).

    In a row that it blackens altogether they are equal.
    """
    if percent < 0:
        raise ValueError(f"black_corner needs a percent of 0 or more, of the largest circle's radius, not {percent}")
    middle, centre = height // 2, width // 2
    radius = min(min(centre, middle, width - centre, height - middle) * percent // 100, height + width)
    columns = np.zeros((height, 2), np.int32)
    for p in range(height):
        square = radius**2 - (p - middle) ** 2
        if square >= 0:
            reach = math.isqrt(square)
            columns[p] = max(centre - reach, 0), min(centre + reach + 1, width)
    return constant(columns)


@functools.lru_cache(maxsize=16)
def grid_gains(depth: float) -> Ints:
    """Return the gain of `grid_lines` in 1/4096 for each 256th of a period; int32 (256,), least at 0."""
    if not 0 <= depth <= 1:
        raise ValueError(f"grid_lines needs a depth from 0 to 1, a fraction of the level, not {depth}")
    scale = math.floor(4096 * depth + 0.5)
    shares = [math.floor(2048 * (1 + math.cos(2 * math.pi * i / 256)) + 0.5) for i in range(256)]
    return constant(np.array([4096 - (scale * share + 2**11 >> 12) for share in shares], np.int32))
