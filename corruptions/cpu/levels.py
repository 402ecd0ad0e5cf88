"""The CPU kernels that change an element by its own level: the two noises, brightness and contrast.

The loops run over flat arrays, which the compiler turns into vector instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.spec import Images

_TILE = 4096  # elements at a time, so that what severities share stays in the first cache


def gaussian_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Add normal noise of standard deviation `std`, a fraction of the full range [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape. Return a new array like `images`.
    """
    return gaussian_noise_sweep(images, uniforms, std=[std])[0]


def gaussian_noise_sweep(images: Images, uniforms: NDArray[np.uint16], *, std: Sequence[float]) -> list[Images]:
    """Return `gaussian_noise` at each `std`; the normal deviate of an element is looked up once for all."""
    scales = lookup.constant(np.array([lookup.noise_scale(value) for value in std], np.int32))
    out = np.empty((len(std), *images.shape), np.uint8)
    _add_scaled(flat(images), flat(uniforms), lookup.normal_table(), scales, out.reshape(len(std), -1))
    return list(out)


def impulse_noise(images: Images, uniforms: NDArray[np.uint16], *, amount: float) -> Images:
    """Set a fraction `amount` of the elements to 0 or 255, half of them each, every channel on its own [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape. Return a new array like `images`.
    """
    out = np.empty(images.shape, np.uint8)
    _replace(flat(images), flat(uniforms), lookup.impulse_threshold(amount), out.reshape(-1))
    return out


@njit
def _add_scaled(pixels, uniforms, table, scales, out):  # type: ignore[no-untyped-def]
    normal = np.empty(_TILE, np.int32)
    for start in range(0, pixels.size, _TILE):
        levels = pixels[start : start + _TILE]
        numbers = uniforms[start : start + _TILE]
        for e in range(numbers.size):
            normal[e] = table[numbers[e]]
        for k in range(scales.size):
            # A scale is at most 65280 and a deviate at most 17715, so 32 bits hold their product.
            noisy, scale = out[k, start : start + _TILE], scales[k]
            for e in range(levels.size):
                noise = np.int32(np.int32(scale * normal[e]) + np.int32(1 << 19)) >> np.int32(20)
                noisy[e] = min(max(np.int32(levels[e]) + noise, np.int32(0)), np.int32(255))


@njit
def _replace(pixels, uniforms, few, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        u = np.int32(uniforms[e])
        kept = 255 if u >= 65536 - few else pixels[e]
        out[e] = 0 if u < few else kept


def add_value(images: Images, *, delta: float) -> Images:
    """Raise the HSV value by `delta`, a fraction of the full range, -1 to 1; keep hue and saturation [HD].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    table = lookup.value_table(delta)
    out = np.empty(images.shape, np.uint8)
    if images.shape[3] == 1:
        _look_up(flat(images), lookup.constant(table.diagonal().copy()), out.reshape(-1))
    else:
        _raise_value(flat(images, (-1, 3)), table, out.reshape(-1, 3))
    return out


@njit
def _look_up(pixels, table, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        out[e] = table[pixels[e]]


@njit
def _raise_value(pixels, table, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.shape[0]):
        r, g, b = pixels[e, 0], pixels[e, 1], pixels[e, 2]
        row = table[max(r, g, b)]
        out[e, 0], out[e, 1], out[e, 2] = row[r], row[g], row[b]


def scale(images: Images, *, percent: int) -> Images:
    """Scale every level to `percent` percent, 0 to 256: Pillow's ImageEnhance.Brightness [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    lookup.check_scale(percent)
    out = np.empty(images.shape, np.uint8)
    _scale(flat(images), percent, out.reshape(-1))
    return out


def channel_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent, 0 to 100, of each level's distance to the mean of its channel over the image [HD].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return channel_mean_sweep(images, percent=[percent])[0]


def channel_mean_sweep(images: Images, *, percent: Sequence[int]) -> list[Images]:
    """Return `channel_mean` at each `percent`; the means are computed once."""
    return _scale_distances("channel_mean", images, percent)


def luma_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent, 0 to 100, of each level's distance to the image's mean luma (ITU-R BT.601).

    That is Pillow's ImageEnhance.Contrast [MM]. `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return luma_mean_sweep(images, percent=[percent])[0]


def luma_mean_sweep(images: Images, *, percent: Sequence[int]) -> list[Images]:
    """Return `luma_mean` at each `percent`; the mean is computed once."""
    return _scale_distances("luma_mean", images, percent)


def _scale_distances(kernel: str, images: Images, percents: Sequence[int]) -> list[Images]:
    for percent in percents:
        lookup.check_contrast(kernel, percent)
    count, height, width, channels = images.shape
    shape = (count, height, width * channels)
    out = np.empty((len(percents), *images.shape), np.uint8)
    kept = lookup.constant(np.array(percents, np.int64))
    _toward_mean(flat(images, shape), channels, kept, kernel == "luma_mean", out.reshape(len(percents), *shape))
    return list(out)


# A level times a percent, in 16 bits: at most 256 * 255 + 50, and 100 * 255 + 50 for the contrasts, so nothing wraps,
# and the compiler has twice the lanes of 32-bit arithmetic.


@njit
def _scale(pixels, percent, out):  # type: ignore[no-untyped-def]
    slope = np.uint16(percent)
    for e in range(pixels.size):
        hundredths = np.uint16(np.uint16(slope * np.uint16(pixels[e])) + np.uint16(50))
        out[e] = min(hundredths // np.uint16(100), np.uint16(255))


@njit
def _toward_mean(images, channels, percents, luma, out):  # type: ignore[no-untyped-def]
    """Store (percent * x + base) // 100, `base` being what the mean of the image (H, W * C) adds, in hundredths."""
    count, height, line = images.shape
    pixels = np.int64(height * (line // channels))
    base = np.empty(line, np.uint16)
    for n in range(count):
        sums = _column_sums(images[n])
        if luma:
            total = luma_sum(images[n].reshape(-1)) if channels == 3 else np.int64(sums.sum())
            mean = (2 * total + pixels) // (2 * pixels)
        for k in range(percents.size):
            percent = percents[k]
            if luma:
                base[:] = (100 - percent) * mean + 50
            else:
                for c in range(channels):
                    # Floor division by 100 N is floor division by N, then by 100: the second one is below.
                    base[c::channels] = ((100 - percent) * np.int64(sums[c::channels].sum()) + 50 * pixels) // pixels
            for p in range(height):
                _mix_in(images[n, p], np.uint16(percent), base, out[k, n, p])


@njit
def _mix_in(row, slope, base, result):  # type: ignore[no-untyped-def]
    for j in range(row.size):
        result[j] = np.uint16(np.uint16(slope * np.uint16(row[j])) + base[j]) // np.uint16(100)


@njit
def _column_sums(rows):  # type: ignore[no-untyped-def]
    """Sum rows (H, W * C) over H; uint32, exact for images up to 2^24 pixels high."""
    sums = np.zeros(rows.shape[1], np.uint32)
    for p in range(rows.shape[0]):
        row = rows[p]
        for j in range(row.size):
            sums[j] = np.uint32(sums[j] + np.uint32(row[j]))
    return sums


@njit
def luma_sum(pixels):  # type: ignore[no-untyped-def]
    """Sum the luma of flat RGB pixels."""
    total = np.int64(0)
    for p in range(pixels.size // 3):
        r, g, b = np.int32(pixels[3 * p]), np.int32(pixels[3 * p + 1]), np.int32(pixels[3 * p + 2])
        total += np.int32(19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    return total


def flat(array: NDArray[Any], shape: tuple[int, ...] | int = -1) -> NDArray[Any]:
    """Return a read-only view of `shape`, by default flat.

    To Numba an array's being read-only is part of its type, so this makes it compile one version alone.
    """
    view = np.ascontiguousarray(array).reshape(shape).view()
    return lookup.constant(view)
