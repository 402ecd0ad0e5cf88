"""The CPU kernels of the colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat, luma_sum
from corruptions.extended.lookup import colour
from corruptions.spec import Images


def saturate(images: Images, *, percent: int, rise: int) -> Images:
    """Scale the HSV saturation to `percent` percent, add `rise` percent of the full range; keep hue and value [HD].

    `images` uint8 (N, H, W, C). Return a new array like `images`; grey images stay as they are.
    """
    factors = colour.saturation_factors(percent, rise)
    if images.shape[3] == 1:
        return images.copy()
    out = np.empty(images.shape, np.uint8)
    _saturate(flat(images, (-1, 3)), factors, out.reshape(-1, 3))
    return out


@njit
def _saturate(pixels, factors, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.shape[0]):
        r, g, b = np.int32(pixels[e, 0]), np.int32(pixels[e, 1]), np.int32(pixels[e, 2])
        value = max(r, g, b)
        chroma = np.int32(value - min(r, g, b))
        factor = factors[value, chroma]
        top = np.int32((value << np.int32(16)) + np.int32(32768))
        # A pixel without a hue becomes red, as hue 0 is.
        hueless = np.int32(chroma == 0)
        out[e, 0] = np.int32(top - np.int32(value - r) * factor) >> np.int32(16)
        out[e, 1] = np.int32(top - np.int32(value - g + hueless) * factor) >> np.int32(16)
        out[e, 2] = np.int32(top - np.int32(value - b + hueless) * factor) >> np.int32(16)


def luma_stretch(images: Images, *, percent: int) -> Images:
    """Stretch each level's distance to the image's mean luma to `percent` percent, 100 to 10000.

    That is Pillow's ImageEnhance.Contrast above 1 [MM]. `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return luma_stretch_sweep(images, percent=[percent])[0]


def luma_stretch_sweep(images: Images, *, percent: Sequence[int]) -> list[Images]:
    """Return `luma_stretch` at each `percent`; the mean is computed once."""
    for one in percent:
        colour.check_stretch(one)
    out = np.empty((len(percent), *images.shape), np.uint8)
    shape = (len(images), math.prod(images.shape[1:]))
    percents = lookup.constant(np.array(percent, np.int32))
    _stretch(flat(images, shape), images.shape[3], percents, out.reshape(len(percent), *shape))
    return list(out)


@njit
def _stretch(images, channels, percents, out):  # type: ignore[no-untyped-def]
    for n in range(images.shape[0]):
        area = np.int64(images.shape[1] // channels)
        total = luma_sum(images[n]) if channels == 3 else np.int64(images[n].sum())
        mean = (2 * total + area) // (2 * area)
        for k in range(percents.size):
            _stretch_about(images[n], np.int32(mean), percents[k], out[k, n])


@njit
def _stretch_about(image, mean, percent, out):  # type: ignore[no-untyped-def]
    base = np.int32(np.int32(np.int32(100) - percent) * mean + np.int32(50))
    for e in range(image.size):
        hundredths = np.int32(np.int32(percent * np.int32(image[e])) + base)
        # Clipped first, so that 16 bits hold it, and the compiler has twice the lanes for the division.
        out[e] = np.uint16(min(max(hundredths, np.int32(0)), np.int32(25599))) // np.uint16(100)


def gamma(images: Images, *, exponent: float) -> Images:
    """Raise each level, as a fraction of the full range, to the power `exponent`, 0.01 to 100 [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    levels, pairs = colour.gamma_levels(exponent), colour.gamma_pairs(exponent)
    out = np.empty(images.shape, np.uint8)
    pixels, results = flat(images), out.reshape(-1)
    even = pixels.size // 2 * 2
    _look_up(lookup.constant(pixels[:even].view(np.uint16)), pairs, results[:even].view(np.uint16))
    results[even:] = levels[pixels[even:]]
    return out


@njit
def _look_up(pixels, table, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        out[e] = table[pixels[e]]


def stain_variation(images: Images, words: NDArray[np.uint32], *, spread: float) -> Images:
    """Scale the amount of each stain by up to `spread`, a fraction, and shift it by up to a quarter as much [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 6). Return a new array like `images`.
    """
    channels = images.shape[3]
    shape = (len(images), math.prod(images.shape[1:]))
    mixing, colours = colour.stains(channels)
    change = colour.stain_scale(spread) * ((words >> 16).astype(np.int64) - 32768) + 2**14 >> 15
    scales, shifts = change[:, : len(mixing)], change[:, 3 : 3 + len(mixing)]
    matrices = 4096 * np.eye(channels, dtype=np.int64) + (np.tensordot(scales, mixing, 1) + 2**15 >> 16)
    offsets = np.tensordot(shifts, colours, 1) + 2**7 >> 8
    out = np.empty(images.shape, np.uint8)
    _stain(
        flat(images, shape),
        lookup.constant(matrices.astype(np.int32)),
        lookup.constant(offsets.astype(np.int32)),
        colour.densities(),
        colour.transmitted(),
        out.reshape(shape),
    )
    return out


@njit
def _stain(images, matrices, offsets, densities, levels, out):  # type: ignore[no-untyped-def]
    half = np.int32(2048)
    for n in range(images.shape[0]):
        image, result, m, o = images[n], out[n], matrices[n], offsets[n]
        if m.shape[0] == 1:
            table = np.empty(256, np.uint8)
            for level in range(256):
                table[level] = levels[_density(np.int32(densities[level] * m[0, 0]) + np.int32(o[0] + half))]
            for e in range(image.size):
                result[e] = table[image[e]]
            continue
        for e in range(0, image.size, 3):
            r, g, b = densities[image[e]], densities[image[e + 1]], densities[image[e + 2]]
            for c in range(3):
                mixed = np.int32(r * m[0, c]) + np.int32(g * m[1, c]) + np.int32(b * m[2, c])
                result[e + c] = levels[_density(np.int32(mixed) + np.int32(o[c] + half))]


@njit
def _density(sum_of_parts):  # type: ignore[no-untyped-def]
    return min(max(np.int32(sum_of_parts) >> np.int32(12), np.int32(0)), np.int32(8191))
