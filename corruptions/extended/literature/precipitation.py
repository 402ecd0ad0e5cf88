"""The published formulas of snow and spatter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from corruptions.extended.lookup.precipitation import MUD, WATER
from corruptions.literature import Floats, motion_blur_in_float, to_levels, zoomed
from corruptions.spec import Images


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
