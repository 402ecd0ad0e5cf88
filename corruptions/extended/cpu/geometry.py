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
    fields: dict[float, NDArray[np.float64]] = {}
    stretched: dict[float, NDArray[np.uint16]] = {}
    results = []
    for one_alpha, one_sigma, one_shift in zip(alpha, sigma, shift, strict=True):
        geometry.check_elastic(one_alpha, one_sigma, one_shift)
        if one_sigma not in fields:
            fields[one_sigma] = _smooth_fields(pixels, one_sigma)
        if one_shift not in stretched:
            stretched[one_shift] = _stretched(images, words, one_shift)
        out = np.empty(images.shape, np.uint8)
        _displace(flat(stretched[one_shift], images.shape), fields[one_sigma], geometry.height_scale(one_alpha), out)
        results.append(out)
    return results


def _stretched(images: Images, words: NDArray[np.uint32], shift: float) -> NDArray[np.uint16]:
    """Return the images in 1/64 level after the affine map of their corners."""
    out = np.empty(images.shape, np.uint16)
    scale, square = geometry.shift_scale(shift), geometry.corners(*images.shape[1:3])
    _stretch(flat(images, images.shape), flat(words, words.shape), scale, square, out)
    return out


@njit
def _stretch(images, words, scale, square, out):  # type: ignore[no-untyped-def]
    count, height, width = images.shape[:3]
    across, down = np.empty(2, np.int64), np.empty(2, np.int64)
    x, y = np.empty(width, np.int64), np.empty(width, np.int64)
    for n in range(count):
        right, below = _affine(words[n], scale, square, across, down)
        for p in range(height):
            above = (p << 8) - below
            x_start = ((square[0] + square[2]) << 28) + across[1] * above + (1 << 17)
            y_start = ((square[1] - square[2]) << 28) + down[1] * above + (1 << 17)
            for q in range(width):
                beside = (q << 8) - right
                x[q] = (x_start + across[0] * beside) >> 18
                y[q] = (y_start + down[0] * beside) >> 18
            _sample(images[n], x, y, 1, 14, out[n, p])


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
    upper_right, lower_left, lower_right = across * (1024 - down), (1024 - across) * down, across * down
    upper_left = (1 << 20) - upper_right - lower_left - lower_right
    a, b, c, d = np.uint64(places[0]), np.uint64(places[1]), np.uint64(places[2]), np.uint64(places[3])
    first = np.uint64(start)  # unsigned, so that no index is looked at for being negative
    for k in range(channels):
        e = np.uint64(k)
        upper = upper_left * pixels[a + e] + upper_right * pixels[b + e]
        lower = lower_left * pixels[c + e] + lower_right * pixels[d + e]
        row[first + e] = (upper + lower + (np.int64(1) << (shift - 1))) >> shift


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
    """Return the two blurred fields, in units of 2^-48 of alpha; float64 (N, 2, H, W) of whole numbers below 2^48."""
    count, height, width = pixels.shape
    out = np.empty((count, 2, height, width), np.float64)
    down, across = (constant(geometry.smoothing(n, sigma).astype(np.float64)) for n in (height, width))
    _blur(flat(pixels, pixels.shape), down, across, out)
    return out


@njit
def _blur(pixels, down, across, out):  # type: ignore[no-untyped-def]
    count, height, width = pixels.shape
    # Whole numbers below 2^53 all along, so their sums are exact. The blur across goes first, with a column in a row.
    turned, rows = np.empty((width, height), np.uint16), np.empty((height, width), np.float64)
    noise, blurred = np.empty((width, 2, height), np.float64), np.empty((width, 2, height), np.float64)
    for n in range(count):
        _transpose(pixels[n], turned)
        for q in range(width):
            for p in range(height):
                u = np.int32(turned[q, p])
                noise[q, 0, p] = np.int32(2) * (u >> np.int32(8)) - np.int32(255)
                noise[q, 1, p] = np.int32(2) * (u & np.int32(255)) - np.int32(255)
        _add_rows(across, noise.reshape(width, 2 * height), blurred.reshape(width, 2 * height))
        for k in range(2):
            _transpose(blurred[:, k], rows)
            _add_rows(down, rows, out[n, k])


@njit
def _transpose(matrix, out):  # type: ignore[no-untyped-def]
    """Transpose tile by tile, so that what is read and what is written stay in the first cache."""
    for p in range(0, matrix.shape[0], 16):
        for q in range(0, matrix.shape[1], 16):
            for i in range(p, min(p + 16, matrix.shape[0])):
                for j in range(q, min(q + 16, matrix.shape[1])):
                    out[j, i] = matrix[i, j]


@njit
def _add_rows(weights, rows, out):  # type: ignore[no-untyped-def]
    """Multiply the matrix `weights` by `rows`, four of them at a time, without the zeros at the ends of its rows."""
    for p in range(out.shape[0]):
        share, total = weights[p], out[p]
        total[:] = 0
        j, end = 0, weights.shape[1]
        while j < end and share[j] == 0:
            j += 1
        while end > j and share[end - 1] == 0:
            end -= 1
        while j + 4 <= end:
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
def _displace(images, fields, scale, out):  # type: ignore[no-untyped-def]
    count, height, width = images.shape[:3]
    x, y = np.empty(width, np.int64), np.empty(width, np.int64)
    for n in range(count):
        for p in range(height):
            for q in range(width):
                x[q] = (q << 10) + _moved(fields[n, 0, p, q], scale)
                y[q] = (p << 10) + _moved(fields[n, 1, p, q], scale)
            _sample(images[n], x, y, 0, 26, out[n, p])


@njit
def _moved(field, scale):  # type: ignore[no-untyped-def]
    """Return how far a pixel is moved, in 1/1024 pixel."""
    return (((np.int64(field) + (1 << 19)) >> 20) * scale + (1 << 29)) >> 30
