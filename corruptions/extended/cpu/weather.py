"""The CPU kernels of fog and frost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import weather
from corruptions.spec import Images


def fog(images: Images, words: NDArray[np.uint32], *, amount: float, decay: float) -> Images:
    """Add a plasma of up to `amount` times the full range, rougher for a `decay` nearer to 1, and darken again [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 32768). Return a new array like `images`.
    """
    return fog_sweep(images, words, amount=[amount], decay=[decay])[0]


def fog_sweep(
    images: Images, words: NDArray[np.uint32], *, amount: Sequence[float], decay: Sequence[float]
) -> list[Images]:
    """Return `fog` at each `amount` and `decay`; a plasma is made once for each of the decays."""
    heights = lookup.constant(np.array([weather.fog_height(one) for one in amount], np.int64))
    decays = list(dict.fromkeys(decay))
    scales = lookup.constant(np.stack([weather.plasma_scales(one) for one in decays]))
    plasma_of = lookup.constant(np.array([decays.index(one) for one in decay]))
    out = np.empty((len(amount), *images.shape), np.uint8)
    _fog(flat(images, images.shape), flat(words, words.shape), heights, scales, plasma_of, out)
    return list(out)


@njit
def _fog(images, words, heights, scales, plasma_of, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    side, line = weather.SIDE, width * channels
    plasmas = np.empty((len(scales), side, side), np.int32)
    halves = np.empty(side * side, np.int32)
    veil, wide = np.empty(width, np.int32), np.empty(line, np.int32)
    for n in range(count):
        image = images[n].reshape(height, line)
        brightest = np.int64(_brightest(images[n].reshape(-1)))
        _centre_halves(words[n], halves)
        for d in range(len(scales)):
            _plasma(halves, scales[d], plasmas[d])
        for k in range(len(heights)):
            foggy = out[k, n].reshape(height, line)
            whole = 16 * brightest + heights[k]
            kept = (np.int64(1 << 18) * brightest + whole // 2) // whole if brightest else np.int64(0)
            for p in range(height):
                for start in range(0, width, side):
                    _thicken(plasmas[plasma_of[k], p % side], heights[k] * kept, veil[start : start + side])
                repeat(veil, channels, wide)
                mix(image[p], kept, wide, foggy[p])


@njit
def _thicken(points, height, veil):  # type: ignore[no-untyped-def]
    """Store the points times `height`, which is below 2^30, in units of 2^-14 grey level.

    The last 16 bits, after the half that rounds, change nothing in the sum with a level << 16. Double precision holds
    all bits, and has vector instructions.
    """
    for q in range(veil.size):
        veil[q] = np.int32((points[q] * np.float64(height) + np.float64(1 << 29)) * (1 / 65536))


@njit
def _brightest(pixels):  # type: ignore[no-untyped-def]
    most = np.uint8(0)
    for e in range(pixels.size):
        most = max(most, pixels[e])
    return most


@njit
def repeat(row, channels, wide):  # type: ignore[no-untyped-def]
    """Store each number of a row once for each channel."""
    if channels == 3:
        for q in range(row.size):
            wide[3 * q] = row[q]
            wide[3 * q + 1] = row[q]
            wide[3 * q + 2] = row[q]
    else:
        for q in range(row.size):
            wide[q] = row[q]


@njit
def mix(row, kept, added, out):  # type: ignore[no-untyped-def]
    """Store a row times `kept`, with `added`, both in units of 2^-14 and from 0 on, limited to 255."""
    factor = np.uint32(kept)
    for j in range(added.size):
        # Without a sign, so that the compiler packs bytes at once.
        total = np.uint32(np.uint32(np.uint32(row[j]) * factor) + np.uint32(added[j]))
        out[j] = min(np.uint32(total >> np.uint32(14)), np.uint32(255))


@njit
def _centre_halves(words, halves):  # type: ignore[no-untyped-def]
    """Store the halves of the words, the low one first, less 32768."""
    for i in range(words.size):
        halves[2 * i] = np.int32(words[i] & np.uint32(65535)) - 32768
        halves[2 * i + 1] = np.int32(words[i] >> np.uint32(16)) - 32768


@njit
def _plasma(halves, scales, plasma):  # type: ignore[no-untyped-def]
    """Store a map by the diamond-square method, int32 (256, 256), 0 to 4096, which repeats at its edges.

    The lattice of each step is kept dense, with its first row and column once more at its end.
    """
    side = plasma.shape[0]
    coarse, fine = np.zeros((side + 1, side + 1), np.int32), np.zeros((side + 1, side + 1), np.int32)
    # The middles of the squares, row and column 0 those of the last: the neighbours of the first ones.
    middles = np.empty((side // 2 + 1, side // 2 + 1), np.int32)
    points, step, level = 1, side, 0
    while step >= 2:
        half, scale = step // 2, np.int32(scales[level])
        for i in range(points):
            first = (i * step + half) * side + half
            for j in range(points):
                total = coarse[i, j] + coarse[i, j + 1] + coarse[i + 1, j] + coarse[i + 1, j + 1]
                middles[i + 1, j + 1] = _moved(total, halves[first + j * step], scale)
            middles[i + 1, 0] = middles[i + 1, points]
        for j in range(points + 1):
            middles[0, j] = middles[points, j]
        for i in range(points):
            first = i * step * side
            for j in range(points):
                total = middles[i, j + 1] + middles[i + 1, j + 1] + coarse[i, j] + coarse[i, j + 1]
                fine[2 * i, 2 * j] = coarse[i, j]
                fine[2 * i, 2 * j + 1] = _moved(total, halves[first + j * step + half], scale)
            first += half * side
            for j in range(points):
                total = coarse[i, j] + coarse[i + 1, j] + middles[i + 1, j] + middles[i + 1, j + 1]
                fine[2 * i + 1, 2 * j] = _moved(total, halves[first + j * step], scale)
                fine[2 * i + 1, 2 * j + 1] = middles[i + 1, j + 1]
        points, step, level = 2 * points, half, level + 1
        for i in range(points):
            fine[i, points] = fine[i, 0]
        for j in range(points + 1):
            fine[points, j] = fine[0, j]
        coarse, fine = fine, coarse
    _stretch(coarse, plasma)


@njit
def _moved(total, half, scale):  # type: ignore[no-untyped-def]
    """Return the mean of four, moved at random by up to `scale`; 32 bits hold all."""
    by = np.int32(np.int32(scale * half) + np.int32(1 << 14)) >> np.int32(15)
    return np.int32((np.int32(total + np.int32(2)) >> np.int32(2)) + by)


@njit
def _stretch(lattice, plasma):  # type: ignore[no-untyped-def]
    """Store a map whose lowest point is brought to 0 and the highest to 4096."""
    side = plasma.shape[0]
    low, high = lattice[0, 0], lattice[0, 0]
    for p in range(side):
        for q in range(side):
            low, high = min(low, lattice[p, q]), max(high, lattice[p, q])
    span = max(np.int64(high) - np.int64(low), np.int64(1))
    # Half a unit more in the dividend keeps every quotient far enough from an integer that errors of double precision
    # do not change its floor.
    inverse = 1 / np.float64(span)
    steps, half = 4096 * inverse, (np.float64(span // 2) + 0.5) * inverse
    for p in range(side):
        for q in range(side):
            plasma[p, q] = np.int32(np.int32(lattice[p, q] - low) * steps + half)


@njit(error_model="numpy")  # which does not look for a divisor of 0, so that the compiler can make vectors
def divided(number, divisor):  # type: ignore[no-untyped-def]
    """Return the floor of a quotient below 2^22 of integers from 0 on, the divisor below 2^31.

    In double precision it is exact: a quotient that is no integer is further from one than its last bit.
    """
    return np.int64(np.float64(number) / np.float64(divisor))


def frost(images: Images, words: NDArray[np.uint32], *, keep: float, ice: float) -> Images:
    """Keep a fraction `keep` of the image and add `ice` times a picture of crystals [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 96). Return a new array like `images`.
    """
    return frost_sweep(images, words, keep=[keep], ice=[ice])[0]


def frost_sweep(
    images: Images, words: NDArray[np.uint32], *, keep: Sequence[float], ice: Sequence[float]
) -> list[Images]:
    """Return `frost` at each `keep` and `ice`; the crystals are drawn once."""
    shares = [
        (weather.fraction("frost", "keep", one), weather.fraction("frost", "ice", other))
        for one, other in zip(keep, ice, strict=True)
    ]
    out = np.empty((len(shares), *images.shape), np.uint8)
    drawn = flat(words, words.shape)
    _frost(flat(images, images.shape), drawn, weather.directions(), lookup.constant(np.array(shares, np.int32)), out)
    return list(out)


@njit
def _frost(images, words, directions, shares, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    crystals = np.empty((height, width), np.int32)
    frozen, added = np.empty(width, np.int32), np.empty(line, np.int32)
    for n in range(count):
        image = images[n].reshape(height, line)
        _crystallise(words[n], directions, crystals)
        for k in range(len(shares)):
            keep, ice = np.int32(4 * shares[k, 0]), np.int32(4 * shares[k, 1])  # in units of 2^-14
            frosty = out[k, n].reshape(height, line)
            for p in range(height):
                for q in range(width):
                    cold = np.int32(70) + (np.int32(np.int32(170) * crystals[p, q]) >> np.int32(8))
                    frozen[q] = np.int32(ice * np.int32(cold)) + np.int32(8192)
                repeat(frozen, channels, added)
                mix(image[p], keep, added, frosty[p])


@njit
def _crystallise(words, directions, out):  # type: ignore[no-untyped-def]
    """Store how white each pixel is, int32 (H, W), 0 to 256: crystals like ferns, the whitest of which counts."""
    height, width = out.shape
    unit = max(1, min(height, width) // 28)
    out[:] = 0
    for k in range(weather.CRYSTALS):
        place, form = np.int64(words[2 * k]), np.int64(words[2 * k + 1])
        column, row = ((place >> 16) * width) >> 16, ((place & 65535) * height) >> 16
        cosine, sine = directions[form >> 24]
        length = unit * 16384 + (((form & 65535) * unit * 20480) >> 16)
        reach = (length >> 12) * 3 // 2 + 2  # beyond it all is further from the stem than half of what is left
        # Where it whitens, a pixel is in a strip along the stem and in one across it.
        aside = max(unit * 512 + 2048, length // 2 + 1)
        for p in range(max(0, row - reach), min(height, row + reach + 1)):
            low, high = _between(-length - sine * (p - row), length - sine * (p - row), cosine)
            other_low, other_high = _between(cosine * (p - row) - aside, cosine * (p - row) + aside, sine)
            start, end = column + max(low, other_low, -reach), column + min(high, other_high, reach)
            _grow(out, p, max(0, start), min(width, end + 1), row, column, cosine, sine, length, unit)


@njit
def _between(low, high, factor):  # type: ignore[no-untyped-def]
    """Return the first and last integers, or one beyond, that times `factor` (not 0) lie from `low` to `high`."""
    if factor < 0:
        low, high, factor = -high, -low, -factor
    return low // factor, high // factor + 1


@njit
def _grow(out, p, start, end, row, column, cosine, sine, length, unit):  # type: ignore[no-untyped-def]
    """Whiten the pixels `start` to `end` of row p by one crystal."""
    spacing = 4096 * max(2, unit // 2 + 1)
    for q in range(start, end):
        along = abs(cosine * (q - column) + sine * (p - row))
        aside = abs(cosine * (p - row) - sine * (q - column))
        left = max(length - along, 0)
        stem = 256 - divided(aside * 256, unit * 512 + 2048)
        place = along + (aside >> 1)
        place -= spacing * divided(place, spacing)
        branch = 256 - divided(1024 * min(place, spacing - place), spacing)
        white = max(stem, (branch * 3) >> 2) if 2 * aside < left else stem
        # Where nothing is left it gets no whiter.
        white = (white * min(256, divided(left * 256, unit * 8192))) >> 8
        out[p, q] = max(out[p, q], white)
