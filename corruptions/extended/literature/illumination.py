"""The formulas of uneven light, in floating point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from corruptions.extended.lookup.illumination import ORDERS, haze_radius
from corruptions.literature import Floats, to_levels
from corruptions.spec import Images


def bias_field(images: Images, words: NDArray[np.uint32], *, coefficient: float) -> Images:
    """Multiply by the exponential of a polynomial of order 3 in the position, as RandomBiasField of TorchIO does [new].

    Pérez-García et al., Comput Methods Programs Biomed 208 (2021). `images` uint8 (N, H, W, C); `words` uint32 (N, 9).
    """
    down, across = _positions(images)
    coefficients = coefficient * _signed(words)
    field = sum(coefficients[:, k, None, None] * across**i * down**j for k, (i, j) in enumerate(ORDERS))
    return shade(images, np.exp(field))


def vignetting(images: Images, words: NDArray[np.uint32], *, falloff: float) -> Images:
    """Darken as the fourth power of the cosine off the axis: 1 over the square of 1 + `falloff` in the corners [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 2).
    """
    down, across = _positions(images)
    centres = _signed(words)[:, :, None, None] / 8
    squares = (across - centres[:, 0]) ** 2 + (down - centres[:, 1]) ** 2
    return shade(images, 1 / (1 + falloff * squares / 2) ** 2)


def uneven_illumination(images: Images, angles: NDArray[np.uint8], *, slope: float) -> Images:
    """Brighten one side and darken the other, by up to `slope` of the level in the corners [new].

    `images` uint8 (N, H, W, C); `angles` uint8 (N,).
    """
    down, across = _positions(images)
    theta = np.radians((2 * angles.astype(np.float64) + 1) * 360 / 512)[:, None, None]
    return shade(images, 1 + slope * (np.cos(theta) * across + np.sin(theta) * down) / np.sqrt(2))


def acoustic_shadow(images: Images, words: NDArray[np.uint32], *, count: int, depth: float) -> Images:
    """Darken `count` columns below their brightest pixel, by up to `depth` of the level [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 16).
    """
    _, height, width, channels = images.shape
    luma = images @ [0.299, 0.587, 0.114] if channels == 3 else images[..., 0].astype(np.float64)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    high, low = words >> 16, words & 65535
    gains = np.ones(images.shape[:3])
    for n, gain in enumerate(gains):
        for k in range(0, 2 * count, 2):
            centre = int(high[n, k] / 65536 * width)
            reach = 1 + width // 32 + int(low[n, k] / 65536 * max(1, width // 16))
            top = int(np.floor(luma[n, :, centre] + 0.5).argmax())
            across = np.clip(1 - ((columns - centre) / reach) ** 2, 0, 1) ** 2
            down = np.clip((rows - top) / max(1, height // 16), 0, 1)
            share = (1 + high[n, k + 1] / 65536) / 2
            np.minimum(gain, 1 - depth * share * across * down, out=gain)
    return shade(images, gains)


def scatter(images: Images, *, fraction: float) -> Images:
    """Replace a `fraction` of the light by the mean around, of two boxes one after the other, with SciPy [new].

    `images` uint8 (N, H, W, C).
    """
    haze = images / 255
    size = 2 * haze_radius(*images.shape[1:3]) + 1
    for axis in (2, 2, 1, 1):
        haze = ndimage.uniform_filter1d(haze, size, axis=axis, mode="nearest")
    return to_levels((1 - fraction) * images / 255 + fraction * haze)


def _positions(images: Images) -> tuple[Floats, Floats]:
    """Return the position of each row (H, 1) and column (1, W), from -1 to 1."""
    down, across = ((2 * np.arange(n) + 1 - n) / n for n in images.shape[1:3])
    return down[:, None], across[None, :]


def _signed(words: NDArray[np.uint32]) -> Floats:
    signed: Floats = (words >> 16) / 32768 - 1
    return signed


def shade(images: Images, gains: Floats) -> Images:
    """Multiply `images` uint8 (N, H, W, C) by `gains` (N, H, W)."""
    return to_levels(images / 255 * gains[..., None])
