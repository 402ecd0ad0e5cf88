"""The CPU kernels that move pixels. Positions are in 1/1024 pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import geometry
from corruptions.lookup import constant
from corruptions.spec import Images


def elastic_transform(
    images: Images, pixels: NDArray[np.uint16], words: NDArray[np.uint32], *, alpha: float, sigma: float, shift: float
) -> Images:
    """Stretch the image by moving three corners by up to `shift`, then every pixel by a smooth random field [HD].

    The field is noise from -`alpha` to `alpha`, blurred by `sigma`; all in pixels. `images` uint8 (N, H, W, C);
    `pixels` uint16 (N, H, W); `words` uint32 (N, 3), one a corner. Return a new array like `images`.
    """
    return elastic_transform_sweep(images, pixels, words, alpha=[alpha], sigma=[sigma], shift=[shift])[0]


def elastic_transform_sweep(
    images: Images,
    pixels: NDArray[np.uint16],
    words: NDArray[np.uint32],
    *,
    alpha: Sequence[float],
    sigma: Sequence[float],
    shift: Sequence[float],
) -> list[Images]:
    """Return `elastic_transform` at each strength; one blur for each `sigma`, one affine map for each `shift`."""
    strengths = list(zip(alpha, sigma, shift, strict=True))
    for strength in strengths:
        geometry.check_elastic(*strength)
    out = np.empty((len(strengths), *images.shape), np.uint8)
    # Image by image, so that what they share stays in the cache.
    for n in range(len(images)):
        fields = {one: _smooth_fields(pixels[n], one) for one in set(sigma)}
        stretched = {one: _stretched(images[n], words[n], one) for one in set(shift)}
        for k, (one_alpha, one_sigma, one_shift) in enumerate(strengths):
            _displace(stretched[one_shift], fields[one_sigma], geometry.height_scale(one_alpha), out[k, n])
    return list(out)


def _stretched(image: NDArray[np.uint8], words: NDArray[np.uint32], shift: float) -> NDArray[np.uint16]:
    """Return an image in 1/64 level after the affine map of its corners."""
    out = np.empty(image.shape, np.uint16)
    scale, square = geometry.shift_scale(shift), geometry.corners(*image.shape[:2])
    _stretch(flat(image, image.shape), flat(words, words.shape), scale, square, out)
    return constant(out)


@njit
def _stretch(image, words, scale, square, out):  # type: ignore[no-untyped-def]
    height, width = image.shape[:2]
    across, down = np.empty(2, np.int64), np.empty(2, np.int64)
    x, y = np.empty(width, np.int64), np.empty(width, np.int64)
    right, below = _affine(words, scale, square, across, down)
    for p in range(height):
        above = (p << 8) - below
        x_start = ((square[0] + square[2]) << 28) + across[1] * above + (1 << 17)
        y_start = ((square[1] - square[2]) << 28) + down[1] * above + (1 << 17)
        for q in range(width):
            beside = (q << 8) - right
            x[q] = (x_start + across[0] * beside) >> 18
            y[q] = (y_start + down[0] * beside) >> 18
        _sample(image, x, y, 1, 14, out[p])


@njit
def _sample(image, x, y, repeat_less, shift, out):  # type: ignore[no-untyped-def]
    """Store a row (W, C): the levels between the pixels of `image` (H, W, C) at columns `x` and rows `y`, rounded.

    They are in units of 2^-20, of which `shift` bits go. Outside stands the mirror image, as `_mirrored` has it.
    """
    height, width, channels = image.shape
    pixels, row = image.reshape(-1), out.reshape(-1)
    for q in range(x.size):
        left, top = x[q] >> 10, y[q] >> 10
        right, below = left + 1, top + 1
        if left < 0 or top < 0 or right >= width or below >= height:
            left, right = _mirrored(left, width, repeat_less), _mirrored(right, width, repeat_less)
            top, below = _mirrored(top, height, repeat_less), _mirrored(below, height, repeat_less)
        top, below = top * width, below * width
        places = (
            (top + left) * channels,
            (top + right) * channels,
            (below + left) * channels,
            (below + right) * channels,
        )
        across, down = x[q] & 1023, y[q] & 1023
        if channels == 3:  # a fixed number, so that the compiler unrolls the loop
            _mix(pixels, places, across, down, 3, shift, row, 3 * q)
        else:
            _mix(pixels, places, across, down, 1, shift, row, q)


@numba.njit(inline="always")
def _mix(pixels, places, across, down, channels, shift, row, start):  # type: ignore[no-untyped-def]
    """Store the mean of the pixels that begin at four `places`, weighted by what the position leaves of 1024."""
    a, b, c, d = np.uint64(places[0]), np.uint64(places[1]), np.uint64(places[2]), np.uint64(places[3])
    first = np.uint64(start)  # unsigned, so that no index is looked at for being negative
    for k in range(channels):
        e = np.uint64(k)
        upper_left, lower_left = np.int64(pixels[a + e]), np.int64(pixels[c + e])
        upper = (upper_left << 10) + across * (np.int64(pixels[b + e]) - upper_left)
        lower = (lower_left << 10) + across * (np.int64(pixels[d + e]) - lower_left)
        row[first + e] = ((upper << 10) + down * (lower - upper) + (np.int64(1) << (shift - 1))) >> shift


@njit
def _affine(words, scale, square, across, down):  # type: ignore[no-untyped-def]
    """Fill what a pixel to the right and one down are worth `across` and `down`, in units of 2^-20.

    Return where the second corner goes, in 1/256 pixel.
    """
    x, y, s = square
    moved = np.empty((3, 2), np.int64)
    for k in range(3):
        for axis in range(2):
            half = np.int64(words[k] >> 16) if axis == 0 else np.int64(words[k] & 65535)
            moved[k, axis] = (scale * (2 * half - 65535) + (1 << 15)) >> 16
        moved[k, 0] += (x + s if k < 2 else x - s) << 8
        moved[k, 1] += (y + s if k < 1 else y - s) << 8
    ux, uy = moved[0] - moved[1]
    vx, vy = moved[1] - moved[2]
    area = ux * vy - uy * vx
    sign = -1 if area < 0 else 1
    area = max(abs(area), 1)
    for axis in range(2):
        across[axis] = _rounded(sign * 2 * s * (-uy if axis == 0 else ux), area)
        down[axis] = _rounded(sign * 2 * s * (vy if axis == 0 else -vx), area)
    return moved[1, 0], moved[1, 1]


@njit
def _rounded(part, area):  # type: ignore[no-untyped-def]
    share = ((np.int64(part) << 29) + area) // (2 * area)
    return min(max(share, -(1 << 31)), 1 << 31)


@njit
def _mirrored(index, n, repeat_less):  # type: ignore[no-untyped-def]
    """Return which of `n` pixels stands at `index` where they are mirrored again and again, at their centres or edges.

    `repeat_less` is 1 for the centres of the outermost pixels and 0 for their edges, where these stand twice.
    """
    if 0 <= index < n:
        return index
    period = 2 * (n - repeat_less)
    place = index % period
    return min(place, period - 1 + repeat_less - place)


def _smooth_fields(pixels: NDArray[np.uint16], sigma: float) -> NDArray[np.float64]:
    """Return the two blurred fields, in units of 2^-48 of alpha; float64 (2, H, W) of whole numbers below 2^48."""
    height, width = pixels.shape
    out = np.empty((2, height, width), np.float64)
    down, across = (geometry.folded_smoothing(n, sigma) for n in (height, width))
    _blur(flat(pixels, pixels.shape), down, across, out)
    return constant(out)


@njit
def _blur(pixels, down, across, out):  # type: ignore[no-untyped-def]
    height, width = pixels.shape
    # Whole numbers below 2^53 all along, so their sums are exact. The blur across goes first, with a column in a row.
    turned, rows = np.empty((width, height), np.uint16), np.empty((height, width), np.float64)
    noise, blurred = np.empty((width, 2, height), np.float64), np.empty((width, 2, height), np.float64)
    _transpose(pixels, turned)
    for q in range(width):
        for p in range(height):
            u = np.int32(turned[q, p])
            noise[q, 0, p] = np.int32(2) * (u >> np.int32(8)) - np.int32(255)
            noise[q, 1, p] = np.int32(2) * (u & np.int32(255)) - np.int32(255)
    _blur_down(across, noise.reshape(width, 2 * height), blurred.reshape(width, 2 * height))
    for k in range(2):
        _transpose(blurred[:, k], rows)
        _blur_down(down, rows, out[k])


@njit
def _blur_down(weights, rows, out):  # type: ignore[no-untyped-def]
    """Blur the columns of `rows`, which are changed, with what `geometry.folded_smoothing` returns."""
    height, width = out.shape
    for p in range(height // 2):
        for e in range(width):
            upper, lower = rows[p, e], rows[height - 1 - p, e]
            rows[p, e], rows[height - 1 - p, e] = upper + lower, upper - lower
    _multiply(weights, rows, out)
    for p in range(height // 2):
        for e in range(width):
            total, difference = out[p, e], out[height - 1 - p, e]
            out[p, e], out[height - 1 - p, e] = (total + difference) / 2, (total - difference) / 2


@njit
def _multiply(weights, rows, out):  # type: ignore[no-untyped-def]
    """Store in `out` the matrix product of `weights` and `rows`, without the zeros at the ends of the weights."""
    for p in range(out.shape[0]):
        share, total = weights[p], out[p]
        total[:] = 0
        j, end = 0, weights.shape[1]
        while j < end and share[j] == 0:
            j += 1
        while end > j and share[end - 1] == 0:
            end -= 1
        while j + 4 <= end:  # four rows at a time, so that the sums are read and written a quarter as often
            a, b, c, d = share[j], share[j + 1], share[j + 2], share[j + 3]
            row_a, row_b, row_c, row_d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
            for e in range(total.size):
                total[e] += a * row_a[e] + b * row_b[e] + c * row_c[e] + d * row_d[e]
            j += 4
        for k in range(j, end):
            row = rows[k]
            for e in range(total.size):
                total[e] += share[k] * row[e]


@njit
def _transpose(matrix, out):  # type: ignore[no-untyped-def]
    """Transpose tile by tile, so that what is read and what is written stay in the first cache."""
    for p in range(0, matrix.shape[0], 16):
        for q in range(0, matrix.shape[1], 16):
            for i in range(p, min(p + 16, matrix.shape[0])):
                for j in range(q, min(q + 16, matrix.shape[1])):
                    out[j, i] = matrix[i, j]


@njit
def _displace(image, fields, scale, out):  # type: ignore[no-untyped-def]
    height, width = image.shape[:2]
    x, y = np.empty(width, np.int64), np.empty(width, np.int64)
    for p in range(height):
        _move(fields[0, p], scale, x)
        _move(fields[1, p], scale, y)
        for q in range(width):
            x[q] += q << 10
            y[q] += p << 10
        _sample(image, x, y, 0, 26, out[p])


@njit
def _move(field, scale, moves):  # type: ignore[no-untyped-def]
    """Store how far pixels are moved, in 1/1024 pixel; in double precision, which holds all bits here."""
    for q in range(moves.size):
        share = np.floor((field[q] + (1 << 19)) / (1 << 20))
        moves[q] = np.int32(np.floor((share * scale + (1 << 29)) / (1 << 30)))
