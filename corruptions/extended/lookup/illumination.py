"""The integer tables of uneven light: gains are in 1/4096, and positions run from -4096 to 4096 over the image."""

from __future__ import annotations

import functools
import math

import numpy as np

from corruptions.lookup import Ints, constant

ORDERS = ((1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 3))
"""Powers (across, down) of the position that `bias_field` draws a coefficient for, in the order of its words."""

SHADOWS = 8
"""How many shadows `acoustic_shadow` draws, two words each; a severity uses the first of them."""


@functools.lru_cache(maxsize=64)
def positions(n: int) -> Ints:
    """Return where each pixel of an axis of `n` lies, in 1/4096 of half its length from the middle; int32 (n,)."""
    return constant((((2 * np.arange(n) + 1 - n) * 8192 + n) // (2 * n)).astype(np.int32))


@functools.lru_cache(maxsize=64)
def powers(n: int) -> Ints:
    """Return the powers 0 to 3 of `positions`, each in 1/4096; int32 (4, n)."""
    powers = [np.full(n, 4096, np.int32)]
    for _ in range(3):
        powers.append(powers[-1] * positions(n) + 2**11 >> 12)
    return constant(np.array(powers, np.int32))


def bias_scale(coefficient: float) -> int:
    """Return the largest coefficient of `bias_field` in 1/32768."""
    if not 0 <= coefficient <= 1:
        raise ValueError(f"bias_field needs a coefficient from 0 to 1, a natural logarithm, not {coefficient}")
    return math.floor(32768 * coefficient + 0.5)


@functools.cache
def exponentials() -> Ints:
    """Return exp(b / 1024), in 1/4096, for b = -4096 to 4095; int32 (8192,)."""
    gains = [math.floor(4096 * math.exp(b / 1024) + 0.5) for b in range(-4096, 4096)]
    return constant(np.array(gains, np.int32))


@functools.lru_cache(maxsize=16)
def falloffs(falloff: float) -> Ints:
    """Return the gain of `vignetting` for each squared distance from the centre; int32 (1297,).

    Distances are in 1/1024 of a corner's; with the centre away from the middle the farthest corner has up to 1296.
    """
    if not 0 <= falloff <= 10:
        raise ValueError(f"vignetting needs a falloff from 0 to 10, not {falloff}")
    gains = [math.floor(4096 / (1 + falloff * distance / 1024) ** 2 + 0.5) for distance in range(1297)]
    return constant(np.array(gains, np.int32))


def slope_scale(slope: float) -> int:
    """Return the largest change of gain by `uneven_illumination`, in 1/4096."""
    if not 0 <= slope <= 1:
        raise ValueError(f"uneven_illumination needs a slope from 0 to 1, a fraction of the level, not {slope}")
    return math.floor(4096 * slope + 0.5)


@functools.cache
def directions() -> Ints:
    """Return 4096 / sqrt(2) times the cosine and the sine of each angle of a full circle; int32 (256, 2)."""
    radians = [math.radians((2 * angle + 1) * 360 / 512) for angle in range(256)]
    parts = [[math.cos(theta), math.sin(theta)] for theta in radians]
    return constant(np.floor(4096 / math.sqrt(2) * np.array(parts) + 0.5).astype(np.int32))


def shadow_scale(count: int, depth: float) -> int:
    """Return how much of the level the middle of a shadow of `acoustic_shadow` takes away, in 1/4096."""
    if not (0 <= count <= SHADOWS and 0 <= depth <= 1):
        raise ValueError(
            f"acoustic_shadow needs a count from 0 to {SHADOWS} and a depth from 0 to 1, a fraction of the level,"
            f" not {count}, {depth}"
        )
    return math.floor(4096 * depth + 0.5)


def scatter_scale(fraction: float) -> int:
    """Return the part of the image that `scatter` replaces by haze, in 1/4096."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"scatter needs a fraction from 0 to 1, of the light, not {fraction}")
    return math.floor(4096 * fraction + 0.5)


def haze_radius(height: int, width: int) -> int:
    """Return the radius of the boxes that `scatter` averages over, in pixels."""
    return max(1, min(height, width) // 8)


def haze_reciprocal(radius: int) -> int:
    """Return 2^32 divided by the weight of two boxes of that radius, one after the other."""
    weight = (2 * radius + 1) ** 2
    return (2**32 + weight // 2) // weight
