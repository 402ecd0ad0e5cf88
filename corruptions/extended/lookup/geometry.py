"""The integer tables and constants of the corruptions that move pixels."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from corruptions.lookup import Ints, constant

LARGEST_ALPHA, LARGEST_SIGMA, LARGEST_SHIFT = 1000, 300, 100
"""The largest parameters of `elastic_transform`, in pixels, with which its sums stay inside 64 bits."""


def check_elastic(alpha: float, sigma: float, shift: float) -> None:
    """Raise ValueError unless `elastic_transform` can take these."""
    if not (0 <= alpha <= LARGEST_ALPHA and 0.1 <= sigma <= LARGEST_SIGMA and 0 <= shift <= LARGEST_SHIFT):
        raise ValueError(
            f"elastic_transform needs an alpha from 0 to {LARGEST_ALPHA}, a sigma from 0.1 to {LARGEST_SIGMA} and a"
            f" shift from 0 to {LARGEST_SHIFT}, in pixels, not {alpha}, {sigma}, {shift}"
        )


def height_scale(alpha: float) -> int:
    """Return `alpha` in 1/4096 pixel."""
    return math.floor(4096 * alpha + 0.5)


def shift_scale(shift: float) -> int:
    """Return `shift` in 1/256 pixel."""
    return math.floor(256 * shift + 0.5)


@functools.lru_cache(maxsize=8)
def smoothing(n: int, sigma: float) -> Ints:
    """Return the Gaussian blur along an axis of `n` pixels as a matrix, in units of 2^-20; int32 (n, n).

    The Gaussian of `sigma` pixels is cut at three sigma, as ImageNet-C cuts it, and what would leave the axis is
    mirrored at its ends, as often as need be: every row sums to 2^20.
    """
    reach = int(3 * sigma + 0.5)
    heights = [math.exp(-(j**2) / (2 * sigma**2)) for j in range(reach + 1)]
    total = 2 * math.fsum(heights) - 1
    outer = [math.floor(2**20 * height / total + 0.5) for height in heights[1:]]
    weights = np.array([*reversed(outer), 2**20 - 2 * sum(outer), *outer])
    place = (np.arange(n)[:, None] + np.arange(-reach, reach + 1)) % (2 * n)
    matrix = np.zeros((n, n), np.int64)
    np.add.at(matrix, (np.arange(n)[:, None], np.minimum(place, 2 * n - 1 - place)), weights)
    return constant(matrix.astype(np.int32))


@functools.lru_cache(maxsize=8)
def folded_smoothing(n: int, sigma: float) -> NDArray[np.float64]:
    """Return `smoothing` for pixels p < n / 2 that are sums with pixel n - 1 - p, and the others differences.

    The product is twice the sums and differences of the blurred pixels, and once a pixel in the middle: half of the
    float64 (n, n) is 0, since the blur is the same from both ends.
    """
    matrix = smoothing(n, sigma).astype(np.float64)
    half = (n + 1) // 2
    folded = np.zeros((n, n))
    folded[:half, :half] = (matrix + matrix[:, ::-1])[:half, :half]
    folded[half:, half:] = (matrix - matrix[:, ::-1])[half:, half:]
    if n % 2:
        folded[half - 1] /= 2
    return constant(folded)


def corners(height: int, width: int) -> tuple[int, int, int]:
    """Return the middle column and row of an image and how far the three corners are from them, in pixels."""
    return width // 2, height // 2, max(1, min(height, width) // 3)
