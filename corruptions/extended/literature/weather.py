"""The published formulas of fog and frost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.literature import Floats, to_levels
from corruptions.spec import Images


def fog(images: Images, words: NDArray[np.uint32], *, amount: float, decay: float) -> Images:
    """Add a plasma of up to `amount` times the full range, rougher for a `decay` nearer to 1, and darken again [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 32768), 16 bits for each point of the plasma.
    """
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    for image, drawn, foggy in zip(images, words, out, strict=True):
        scaled = image / 255
        brightest = scaled.max()
        plasma = plasma_fractal(drawn, decay)
        tiled = plasma[np.arange(height) % len(plasma)][:, np.arange(width) % len(plasma), None]
        foggy[...] = to_levels((scaled + amount * tiled) * brightest / (brightest + amount) if brightest else scaled)
    return out


def plasma_fractal(words: NDArray[np.uint32], decay: float, side: int = 256) -> Floats:
    """Return a height map by the diamond-square method, float (side, side), from 0 to 1."""
    uniform = words.astype("<u4").view("<u2").reshape(side, side) / 32768 - 1
    plasma, step, amplitude = np.zeros((side, side)), side, 1.0
    while step >= 2:
        half = step // 2
        corners = plasma[::step, ::step]
        corners = corners + np.roll(corners, -1, 0)
        corners = corners + np.roll(corners, -1, 1)
        plasma[half::step, half::step] = corners / 4 + amplitude * uniform[half::step, half::step]
        middles, corners = plasma[half::step, half::step], plasma[::step, ::step]
        across = middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1)
        plasma[::step, half::step] = across / 4 + amplitude * uniform[::step, half::step]
        down = middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0)
        plasma[half::step, ::step] = down / 4 + amplitude * uniform[half::step, ::step]
        step, amplitude = half, amplitude / decay**2
    lowest, highest = plasma.min(), plasma.max()
    stretched: Floats = (plasma - lowest) / (highest - lowest)
    return stretched


def frost(images: Images, words: NDArray[np.uint32], *, keep: float, ice: float) -> Images:
    """Keep a fraction `keep` of the image and add `ice` times a picture of crystals [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 96). [HD] cuts the picture from six photographs; here it is drawn.
    """
    height, width = images.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    unit = max(1, min(height, width) // 28)
    spacing = max(2, unit // 2 + 1)
    out = np.empty_like(images)
    for image, drawn, frozen in zip(images, words.astype(np.int64), out, strict=True):
        crystals = np.zeros((height, width))
        for place, form in drawn.reshape(-1, 2):
            column, row = ((place >> 16) * width) >> 16, ((place & 65535) * height) >> 16
            theta = (2 * (form >> 24) + 1) * np.pi / 512
            length = unit * (4 + 5 * (form & 65535) / 65536)
            along = np.abs(np.cos(theta) * (columns - column) + np.sin(theta) * (rows - row))
            aside = np.abs(np.cos(theta) * (rows - row) - np.sin(theta) * (columns - column))
            left = np.maximum(0, length - along)
            between = (along + aside / 2) % spacing
            branch = 1 - 4 * np.minimum(between, spacing - between) / spacing
            stem = 1 - aside / (unit / 8 + 0.5)
            white = np.where(2 * aside < left, np.maximum(stem, 0.75 * branch), stem)
            crystals = np.maximum(crystals, white * np.minimum(1, left / (2 * unit)))
        frozen[...] = to_levels(keep * image / 255 + ice * (70 + 170 * crystals[..., None]) / 255)
    return out
