"""The integer tables of the blurs. Weights are in units of 1/16384, which 16 bits hold."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from corruptions.lookup import Ints, constant

_UNIT = 16384
_LARGEST_SIGMA = 20
_LARGEST_WINDOW = 63
_LARGEST_DISK = 12  # of which each half has pixels enough for a sum of 16 bits


@functools.lru_cache(maxsize=64)
def bell(radius: int, sigma: float) -> Ints:
    """Return the weights 0, 1, .. `radius` pixels from the centre of a Gaussian of `sigma` pixels, without last zeros.

    With those of the other side they sum to 16384: each is rounded, and the centre gets the rest.
    """
    heights = [math.exp(-(j**2) / (2 * sigma**2)) if j else 1.0 for j in range(radius + 1)]
    total = 2 * math.fsum(heights) - 1
    outer = [math.floor(_UNIT * height / total + 0.5) for height in heights[1:]]
    kept = [weight for weight in outer if weight > 0]
    return constant(np.array([_UNIT - 2 * sum(kept), *kept], np.int32))


def gaussian_weights(kernel: str, sigma: float) -> Ints:
    """Return the weights of `kernel`, cut at four sigma as SciPy cuts them."""
    if not 0 <= sigma <= _LARGEST_SIGMA:
        raise ValueError(f"{kernel} needs a sigma from 0 to {_LARGEST_SIGMA} pixels, not {sigma}")
    return bell(math.floor(4 * sigma + 0.5), sigma)


def window_weights(size: int) -> Ints:
    """Return the weights of `gaussian_window`, whose sigma follows from the size as torchvision has it."""
    if size % 2 != 1 or not 1 <= size <= _LARGEST_WINDOW:
        raise ValueError(f"gaussian_window needs an odd size from 1 to {_LARGEST_WINDOW} pixels, not {size}")
    return bell(size // 2, 0.15 * size + 0.35)


class Disk(NamedTuple):
    """The disk of `defocus_blur`.

    Attributes:
        reach: int32 (rows,), the pixels of row i of the disk are those up to ``reach[i]`` columns from its centre.
        factor: what a sum of its pixels is multiplied by to get their mean in 1/64 level, in units of 2^-17.
        weights: of the blur that softens its edge, as of `bell`.
    """

    reach: Ints
    factor: int
    weights: Ints


@functools.lru_cache(maxsize=16)
def disk(radius: float, alias_blur: float) -> Disk:
    """Return the disk of `radius` pixels, its edge softened by a Gaussian of `alias_blur` pixels.

    [HD] softens a picture of the disk, 17 x 17 or as large as it, and OpenCV mirrors what would leave the picture. So
    the weights of a disk that comes near the border sum to a little more than 1, and `factor` does the same.
    """
    if not (0 <= radius <= _LARGEST_DISK and radius % (0.5 if radius <= 8 else 1) == 0 and 0.01 <= alias_blur <= 1):
        raise ValueError(
            f"defocus_blur needs a radius from 0 to {_LARGEST_DISK} pixels, in halves up to 8 and whole above, and an"
            f" alias_blur from 0.01 to 1 pixel, not {radius}, {alias_blur}"
        )
    square = int(2 * radius) ** 2 // 4
    rows = range(-math.isqrt(square), math.isqrt(square) + 1)
    reach = [math.isqrt(square - row**2) for row in rows]
    border, taps = (8, 1) if radius <= 8 else (int(radius), 2)
    heights = [math.exp(-(j**2) / (2 * alias_blur**2)) for j in range(1, taps + 1)]
    tails = [height / (1 + 2 * math.fsum(heights)) for height in heights]
    share = {border: 1 - math.fsum(tails)} | {border - j: 1 + tail for j, tail in enumerate(tails, 1)}
    shares = [[share.get(abs(column), 1.0) for column in range(-most, most + 1)] for most in reach]
    total = math.fsum(share.get(abs(row), 1.0) * math.fsum(line) for row, line in zip(rows, shares, strict=True))
    pixels = sum(map(len, shares))
    factor = math.floor(2**23 * total / pixels**2 + 0.5)
    return Disk(constant(np.array(reach, np.int32)), factor, bell(taps, alias_blur))


def check_shuffle(max_delta: int, iterations: int) -> None:
    """Raise ValueError unless `glass_blur` can swap pixels `max_delta` apart `iterations` times.

    The 16 bits of a pixel's uniform have to hold all of its swaps.
    """
    if max_delta < 1 or iterations < 0 or (2 * max_delta) ** (2 * iterations) > 65536:
        raise ValueError(
            "glass_blur needs a max_delta of 1 or more pixels and iterations of 0 or more, with"
            f" (2 max_delta)^(2 iterations) up to 65536, not {max_delta}, {iterations}"
        )


@functools.lru_cache(maxsize=64)
def clamped(n: int, reach: int) -> Ints:
    """Return which of `n` pixels stands at each place from -`reach` to n - 1 + `reach`: the nearest."""
    return constant(np.clip(np.arange(-reach, n + reach), 0, n - 1).astype(np.int32))


@functools.lru_cache(maxsize=64)
def mirrored(n: int, reach: int) -> Ints:
    """Return the same where the pixels are mirrored at the centres of the outermost ones, again and again."""
    period = 2 * (n - 1)
    place = np.arange(-reach, n + reach) % period
    return constant(np.minimum(place, period - place).astype(np.int32))
