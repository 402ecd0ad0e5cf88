"""The published formulas of the weather."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from corruptions.extended.lookup.weather import MUD, WATER
from corruptions.literature import Floats, motion_blur_in_float, to_levels, zoomed
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


def snow(
    images: Images,
    pixels: NDArray[np.uint16],
    words: NDArray[np.uint32],
    *,
    mean: float,
    spread: float,
    percent: int,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
) -> Images:
    """Whiten, keeping `keep` of the image, and add flakes: normal noise, enlarged, thresholded and blurred [HD].

    `images` uint8 (N, H, W, C); `pixels` uint16 (N, H, W); `words` uint32 (N, 1). The flakes are blurred downwards,
    where [HD] blurs upwards: to noise it is the same.
    """
    out = np.empty_like(images)
    for image, uniforms, word, snowy in zip(images, pixels, words, out, strict=True):
        layer = zoomed((mean + spread * special.ndtri((uniforms + 0.5) / 65536))[..., None], percent / 100)
        levels = to_levels(np.where(layer < threshold, 0, layer)).transpose(1, 0, 2)[None]
        angle = (word >> np.uint32(24)).astype(np.uint8)
        fallen = motion_blur_in_float(levels, angle, radius=radius, sigma=sigma)[0].transpose(1, 0, 2) / 255
        scaled = image / 255
        white = np.maximum(scaled, luma(scaled) * 1.5 + 0.5)
        snowy[...] = to_levels(keep * scaled + (1 - keep) * white + fallen + np.rot90(fallen, 2))
    return out


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


def spatter(
    images: Images,
    pixels: NDArray[np.uint16],
    *,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    edge: float,
    opacity: float,
    mud: int,
) -> Images:
    """Splash water, or mud if `mud` is 1: normal noise, blurred by `sigma` and thresholded [HD].

    `edge` is the sigma of the mud's edges, in pixels; `opacity` that of the water. `images` uint8 (N, H, W, C);
    `pixels` uint16 (N, H, W). The mud is that of [HD]. For the light on water [HD] takes distances from Canny's edges,
    equalised and embossed; here it is the depth and its slope.
    """
    out = np.empty_like(images)
    colour = np.array(MUD if mud else WATER) / 255
    if images.shape[3] == 1:
        colour = luma(colour)
    for image, uniforms, wet in zip(images, pixels, out, strict=True):
        normal = special.ndtri((uniforms + 0.5) / 65536)
        depth = mean - threshold + spread * ndimage.gaussian_filter(normal, sigma, mode="nearest")
        if mud:
            cover = ndimage.gaussian_filter((depth > 0).astype(float), edge, mode="nearest")[..., None]
            share = np.where(cover < 0.8, 0, cover)
            wet[...] = to_levels(image / 255 * (1 - share) + colour * share)
        else:
            padded = np.pad(depth, 1, mode="edge")
            slope = padded[2:, 2:] - padded[:-2, :-2]
            light = np.where(depth > 0, np.maximum(0, depth + 2 * slope), 0)[..., None]
            wet[...] = to_levels(image / 255 + (opacity * light / light.max() if light.any() else 0) * colour)
    return out


def luma(scaled: Floats) -> Floats:
    """Return the luma (ITU-R BT.601) of colours in the last axis, which keeps a length of 1."""
    return scaled if scaled.shape[-1] == 1 else (scaled @ [0.299, 0.587, 0.114])[..., None]
