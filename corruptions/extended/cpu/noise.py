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


def shot_noise(images: Images, uniforms: NDArray[np.uint16], *, photons: int) -> Images:
    """Count photons: Poisson numbers of mean `photons` times the level, a fraction of the full range [HD].

    `photons` 1 to 1000, or 0 for no noise. `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape. Return a
    new array like `images`.
    """
    thresholds = noise.shot_thresholds(photons)
    if photons == 0:
        return images.copy()
    out = np.empty(images.shape, np.uint8)
    tables = *noise.shot_guide(photons), thresholds, noise.shot_levels(photons)
    _count(flat(images), flat(uniforms), *tables, out.reshape(-1))
    return out


@njit
def _count(pixels, uniforms, guide, counts, thresholds, levels, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        u = np.uint32(uniforms[e])
        place = np.uint32(np.uint32(pixels[e]) << np.uint32(8)) | np.uint32(u >> np.uint32(8))
        entry = guide[place]
        passed = (u & np.uint32(255)) >= ((entry >> np.uint32(16)) & np.uint32(511))
        out[e] = np.uint32(entry >> np.uint32(8 * passed)) & np.uint32(255)
        if entry >> np.uint32(31):
            row, count = thresholds[pixels[e]], counts[place]
            while count < row.size and np.int32(u) >= row[count]:
                count += 1
            out[e] = levels[count]
