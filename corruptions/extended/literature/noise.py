"""The published formulas of the noises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from corruptions.literature import to_levels
from corruptions.spec import Images


def speckle_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Multiply each level by 1 plus normal noise of standard deviation `std` [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape.
    """
    scaled = images / 255
    return to_levels(scaled + scaled * std * special.ndtri((uniforms + 0.5) / 65536))


def shot_noise(images: Images, uniforms: NDArray[np.uint16], *, photons: int) -> Images:
    """Draw Poisson numbers of mean `photons` times the level, a fraction of the full range [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape.
    """
    counts = stats.poisson.ppf((uniforms + 0.5) / 65536, photons * (images / 255))
    return to_levels(counts / photons)
