"""The integer tables of the colours."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corruptions.lookup import Ints, constant

STAINS = ((65, 70, 29), (7, 99, 11), (27, 57, 78))
"""Optical density of haematoxylin, eosin and DAB in R, G, B, in hundredths.

Ruifrok & Johnston, Anal Quant Cytol Histol 23 (2001), as scikit-image has them.
"""


@functools.lru_cache(maxsize=16)
def saturation_factors(percent: int, rise: int) -> Ints:
    """Return by how much `saturate` stretches the distance to the value, in 1/65536; int32 (256 v, 256 d).

    v is the HSV value of a pixel and d the distance of its lowest channel to it, valid for d <= v.
    """
    if not (0 <= percent <= 10000 and 0 <= rise <= 100):
        raise ValueError(f"saturate needs a percent from 0 to 10000 and a rise from 0 to 100, not {percent}, {rise}")
    v, d = np.arange(256)[:, None], np.arange(256)[None, :]
    hundredths = np.minimum(percent * d + rise * v, 100 * v)
    parts = 100 * np.maximum(d, 1)
    factors = (hundredths * 65536 + parts // 2) // parts
    return constant(np.where(d <= v, factors, 0).astype(np.int32))


def check_stretch(percent: int) -> None:
    """Raise ValueError unless `luma_stretch` can take `percent`."""
    if not 100 <= percent <= 10000:
        raise ValueError(f"luma_stretch needs a percent from 100 to 10000, not {percent}")


@functools.lru_cache(maxsize=16)
def gamma_levels(exponent: float) -> NDArray[np.uint8]:
    """Return the result of `gamma` for each level; uint8 (256,)."""
    if not 0.01 <= exponent <= 100:
        raise ValueError(f"gamma needs an exponent from 0.01 to 100, not {exponent}")
    levels = [math.floor(255 * (level / 255) ** exponent + 0.5) for level in range(256)]
    return constant(np.array(levels, np.uint8))


@functools.lru_cache(maxsize=16)
def gamma_pairs(exponent: float) -> NDArray[np.uint16]:
    """Return the results of `gamma` for two levels at a time, each in its byte of 16 bits; uint16 (65536,)."""
    levels = gamma_levels(exponent).astype(np.uint16)
    return constant((levels[:, None] << 8 | levels[None, :]).reshape(-1))


class Stains(NamedTuple):
    """What `stain_variation` adds to optical densities for a unit of each stain's scale and shift.

    `mixing`, int64 (S, C, C) in 1/4096: how much of each channel's density (second axis) a stain passes on to each
    channel (third axis); `colours`, int64 (S, C) in 1/4096: the stain's own density. Colour has S = 3 stains, grey 1.
    """

    mixing: NDArray[np.int64]
    colours: NDArray[np.int64]


@functools.cache
def stains(channels: int) -> Stains:
    """Return the stains of images with `channels` channels."""
    if channels == 1:
        return Stains(constant(np.array([[[4096]]], np.int64)), constant(np.array([[4096]], np.int64)))
    matrix = [[Fraction(part, 100) for part in stain] for stain in STAINS]
    # The cross products of the other two rows are the columns of the inverse, times the determinant.
    columns = [_cross(matrix[(s + 1) % 3], matrix[(s + 2) % 3]) for s in range(3)]
    determinant = sum(a * b for a, b in zip(matrix[0], columns[0], strict=True))
    mixing = [
        [[_rounded(4096 * columns[s][j] * matrix[s][i] / determinant) for i in range(3)] for j in range(3)]
        for s in range(3)
    ]
    colours = [[_rounded(4096 * part) for part in stain] for stain in matrix]
    return Stains(constant(np.array(mixing, np.int64)), constant(np.array(colours, np.int64)))


def _cross(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    return [a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]


def _rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def stain_scale(spread: float) -> int:
    """Return the largest change of a stain by `stain_variation`, in 1/65536 of it."""
    if not 0 <= spread <= 1:
        raise ValueError(f"stain_variation needs a spread from 0 to 1, a fraction of each stain, not {spread}")
    return math.floor(65536 * spread + 0.5)


@functools.cache
def densities() -> Ints:
    """Return the optical density -ln((x + 1) / 256) of each level x, in 1/1024; int32 (256,), 5678 to 0."""
    levels = [math.floor(-1024 * math.log((level + 1) / 256) + 0.5) for level in range(256)]
    return constant(np.array(levels, np.int32))


@functools.cache
def transmitted() -> NDArray[np.uint8]:
    """Return the level of each optical density in 1/1024, the inverse of `densities`; uint8 (8192,)."""
    levels = [max(0, math.floor(256 * math.exp(-density / 1024) - 0.5)) for density in range(8192)]
    return constant(np.array(levels, np.uint8))
