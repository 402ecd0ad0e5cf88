"""The CPU kernels of the noises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import noise
from corruptions.spec import Images


def speckle_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Multiply each level by 1 plus normal noise of standard deviation `std` [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape. Return a new array like `images`.
    """
    out = np.empty(images.shape, np.uint8)
    _multiply(flat(images), flat(uniforms), noise.speckle_factors(std), out.reshape(-1))
    return out


@njit
def _multiply(pixels, uniforms, factors, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        level = np.int32(np.int32(pixels[e]) * factors[uniforms[e]] + np.int32(2048)) >> np.int32(12)
        out[e] = min(max(level, np.int32(0)), np.int32(255))
