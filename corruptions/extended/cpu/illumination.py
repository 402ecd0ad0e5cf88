"""The CPU kernels of uneven light. A gain is in 1/4096."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import illumination
from corruptions.lookup import constant
from corruptions.spec import Images


def bias_field(images: Images, words: NDArray[np.uint32], *, coefficient: float) -> Images:
    """Multiply by the exponential of a smooth polynomial of order 3, its coefficients up to `coefficient` [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 9). Return a new array like `images`.
    """
    count, height, width, channels = images.shape
    changes = illumination.bias_scale(coefficient) * ((words >> 16).astype(np.int64) - 32768) + 2**14 >> 15
    terms = np.zeros((count, 4, 4), np.int32)
    for k, (across, down) in enumerate(illumination.ORDERS):
        terms[:, across, down] = changes[:, k]
    out = np.empty(images.shape, np.uint8)
    shape = (count, height, width * channels)
    tables = illumination.powers(height), illumination.powers(width), illumination.exponentials()
    _bias(flat(images, shape), channels, constant(terms), *tables, out.reshape(shape))
    return out


@njit
def _bias(images, channels, terms, down, across, exponentials, out):  # type: ignore[no-untyped-def]
    gains = np.empty(across.shape[1], np.int32)
    parts = np.empty(4, np.int32)
    for n in range(images.shape[0]):
        for p in range(images.shape[1]):
            for i in range(4):
                total = np.int32(2048)
                for j in range(4):
                    total = np.int32(total + np.int32(terms[n, i, j] * down[j, p]))
                parts[i] = total >> np.int32(12)
            for q in range(gains.size):
                total = np.int32(65536)
                for i in range(4):
                    total = np.int32(total + np.int32(parts[i] * across[i, q]))
                gains[q] = min(max(total >> np.int32(17), np.int32(-4096)), np.int32(4095))
            for q in range(gains.size):
                gains[q] = exponentials[gains[q] + 4096]
            shade(images[n, p], channels, gains, out[n, p])


@njit
def shade(row, channels, gains, out):  # type: ignore[no-untyped-def]
    """Multiply the pixels of a row (W * C,) by `gains` (W,)."""
    half, full = np.int32(2048), np.int32(255)
    if channels == 1:
        for q in range(gains.size):
            out[q] = min(np.int32(np.int32(row[q]) * gains[q] + half) >> np.int32(12), full)
        return
    for q in range(gains.size):
        gain = gains[q]
        for e in range(3 * q, 3 * q + 3):
            out[e] = min(np.int32(np.int32(row[e]) * gain + half) >> np.int32(12), full)


def vignetting(images: Images, words: NDArray[np.uint32], *, falloff: float) -> Images:
    """Darken towards the corners, by the square of 1 + `falloff` there, about a centre near the middle [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 2). Return a new array like `images`.
    """
    count, height, width, channels = images.shape
    centres = (words >> 16).astype(np.int32) - 32768 >> 6
    out = np.empty(images.shape, np.uint8)
    shape = (count, height, width * channels)
    tables = illumination.positions(height), illumination.positions(width), illumination.falloffs(falloff)
    _vignette(flat(images, shape), channels, constant(centres), *tables, out.reshape(shape))
    return out


@njit
def _vignette(images, channels, centres, down, across, falloffs, out):  # type: ignore[no-untyped-def]
    gains, squares = np.empty(across.size, np.int32), np.empty(across.size, np.int32)
    for n in range(images.shape[0]):
        for q in range(across.size):
            squares[q] = np.int32(across[q] - centres[n, 0]) ** 2
        for p in range(down.size):
            square = np.int32(np.int32(down[p] - centres[n, 1]) ** 2)
            for q in range(across.size):
                gains[q] = falloffs[np.int32(squares[q] + square) >> np.int32(15)]
            shade(images[n, p], channels, gains, out[n, p])


def uneven_illumination(images: Images, angles: NDArray[np.uint8], *, slope: float) -> Images:
    """Brighten one side and darken the other, by up to `slope` of the level in the corners [new].

    `images` uint8 (N, H, W, C); `angles` uint8 (N,), of a full circle. Return a new array like `images`.
    """
    count, height, width, channels = images.shape
    scale = illumination.slope_scale(slope)
    out = np.empty(images.shape, np.uint8)
    shape = (count, height, width * channels)
    tables = illumination.positions(height), illumination.positions(width)
    directions = constant(illumination.directions()[angles])
    _tilt(flat(images, shape), channels, directions, np.int32(scale), *tables, out.reshape(shape))
    return out


@njit
def _tilt(images, channels, directions, scale, down, across, out):  # type: ignore[no-untyped-def]
    gains = np.empty(across.size, np.int32)
    half, shift = np.int32(2048), np.int32(12)
    for n in range(images.shape[0]):
        for p in range(down.size):
            start = np.int32(np.int32(directions[n, 1] * down[p]) + half)
            for q in range(across.size):
                distance = np.int32(start + np.int32(directions[n, 0] * across[q])) >> shift
                gains[q] = np.int32(4096) + (np.int32(np.int32(scale * distance) + half) >> shift)
            shade(images[n, p], channels, gains, out[n, p])


def acoustic_shadow(images: Images, words: NDArray[np.uint32], *, count: int, depth: float) -> Images:
    """Darken `count` columns, 0 to 8, below their brightest pixel, by up to `depth` of the level [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 16), two a shadow. Return a new array like `images`.
    """
    number, height, width, channels = images.shape
    scale = illumination.shadow_scale(count, depth)
    out = np.empty(images.shape, np.uint8)
    shape = (number, height, width * channels)
    _cast_shadows(flat(images, shape), channels, flat(words, words.shape), count, np.int32(scale), out.reshape(shape))
    return out


@njit
def _cast_shadows(images, channels, words, count, scale, out):  # type: ignore[no-untyped-def]
    height, width = images.shape[1], images.shape[2] // channels
    gains, tops = np.empty(width, np.int32), np.empty(count, np.int32)
    profiles = np.empty((count, width), np.int32)
    ramp = max(1, height // 16)
    for n in range(images.shape[0]):
        for k in range(count):
            centre = np.int64(words[n, 2 * k] >> 16) * width >> 16
            reach = 1 + width // 32 + (np.int64(words[n, 2 * k] & np.uint32(65535)) * max(1, width // 16) >> 16)
            share = 32768 + np.int64(words[n, 2 * k + 1] >> 17)
            tops[k] = _brightest(images[n], channels, centre)
            for q in range(width):
                inside = 256 * max(0, reach * reach - (q - centre) ** 2) // (reach * reach)
                profiles[k, q] = (inside * inside >> 8) * share >> 8
        for p in range(height):
            gains[:] = 0
            for k in range(count):
                rise = np.int32(min(256, 256 * max(0, p - tops[k]) // ramp))
                if rise:
                    profile = profiles[k]
                    for q in range(width):
                        gains[q] = max(gains[q], np.int32(profile[q] * rise) >> np.int32(8))
            for q in range(width):
                gains[q] = np.int32(4096) - (np.int32(np.int32(scale * gains[q]) + np.int32(32768)) >> np.int32(16))
            shade(images[n, p], channels, gains, out[n, p])


@njit
def _brightest(image, channels, column):  # type: ignore[no-untyped-def]
    """Return the first row whose pixel in `column` has the highest luma; `image` (H, W * C)."""
    row, highest = 0, np.int32(-1)
    for p in range(image.shape[0]):
        luma = np.int32(image[p, column * channels])
        if channels == 3:
            green, blue = np.int32(image[p, column * 3 + 1]), np.int32(image[p, column * 3 + 2])
            luma = np.int32(19595 * luma + 38470 * green + 7471 * blue + 32768) >> 16
        if luma > highest:
            row, highest = p, luma
    return row


def scatter(images: Images, *, fraction: float) -> Images:
    """Replace a `fraction` of the light by the light around, blurred over a quarter of the image [new].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    count, height, width, channels = images.shape
    scale, radius = illumination.scatter_scale(fraction), illumination.haze_radius(height, width)
    out = np.empty(images.shape, np.uint8)
    shape = (count, height, width * channels)
    reciprocal = illumination.haze_reciprocal(radius)
    _veil(flat(images, shape), channels, radius, reciprocal, np.int32(scale), out.reshape(shape))
    return out


@njit
def _veil(images, channels, radius, reciprocal, scale, out):  # type: ignore[no-untyped-def]
    _, height, line = images.shape
    once, twice = np.empty((height, line), np.int64), np.empty((height, line), np.int64)
    kept = np.int32((4096 - scale) * 16)
    for n in range(images.shape[0]):
        for p in range(height):
            for c in range(channels):
                _box_sums(images[n, p, c::channels], radius, once[p, c::channels])
                _box_sums(once[p, c::channels], radius, twice[p, c::channels])
            for e in range(line):
                twice[p, e] = (16 * twice[p, e] * reciprocal + (1 << 31)) >> 32
        _box_sums_of_rows(twice, radius, once)
        _box_sums_of_rows(once, radius, twice)
        for p in range(height):
            for e in range(line):
                haze = np.int32((twice[p, e] * reciprocal + (1 << 31)) >> 32)
                level = np.int32(np.int32(kept * np.int32(images[n, p, e])) + np.int32(scale * haze))
                out[n, p, e] = np.int32(level + np.int32(32768)) >> np.int32(16)


@njit
def _box_sums(values, radius, sums):  # type: ignore[no-untyped-def]
    """Sum over 2 * `radius` + 1 neighbours of each of `values` (n,), the edges replicated."""
    last = values.size - 1
    total = np.int64(values[0]) * (radius + 1)
    for q in range(1, radius + 1):
        total += np.int64(values[min(q, last)])
    for q in range(values.size):
        sums[q] = total
        total += np.int64(values[min(q + 1 + radius, last)]) - np.int64(values[max(q - radius, 0)])


@njit
def _box_sums_of_rows(rows, radius, sums):  # type: ignore[no-untyped-def]
    """Sum over 2 * `radius` + 1 rows around each of `rows` (H, W * C), the edges replicated."""
    last = rows.shape[0] - 1
    total = rows[0] * (radius + 1)
    for p in range(1, radius + 1):
        total += rows[min(p, last)]
    for p in range(rows.shape[0]):
        enters, leaves = rows[min(p + 1 + radius, last)], rows[max(p - radius, 0)]
        for e in range(rows.shape[1]):
            sums[p, e] = total[e]
            total[e] += enters[e] - leaves[e]
