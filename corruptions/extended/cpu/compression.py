"""The CPU kernel of JPEG. Blocks go side by side through the transforms, as the lanes of vectors do."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import compression
from corruptions.spec import Images

_F = compression.transform()[:, :4]
((_F00, *_), (_F10, _F11, _F12, _F13), (_F20, _F21, *_), (_F30, _F31, _F32, _F33)) = map(tuple, _F[:4])
((_F50, _F51, _F52, _F53), (_F60, _F61, *_), (_F70, _F71, _F72, _F73)) = map(tuple, _F[5:])

_LANES = 32
"""Blocks that are transformed together. Of shorter loops the compiler makes copies of their bodies, not vectors."""
_ROW = 8 * _LANES
"""Samples of a row of these blocks."""
_HALF = 4 * _LANES
"""Samples of half such a row: of each block a word of 32 bits."""
_BIT0, _BIT1, _BIT2, _BIT3 = (0, 8, 16, 24) if sys.byteorder == "little" else (24, 16, 8, 0)
"""Where four neighbours begin in their word of 32 bits."""
_VECTOR = 64
"""Samples of a row that loops go through at once: a rest of a row, one by one, would cost as much as all before it."""


def jpeg_compression(images: Images, *, quality: int) -> Images:
    """Encode and decode as baseline JPEG at `quality`, 1 to 100, colour at half resolution (4:2:0) [HD], [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return jpeg_compression_sweep(images, quality=[quality])[0]


def jpeg_compression_sweep(images: Images, *, quality: Sequence[int]) -> list[Images]:
    """Return `jpeg_compression` at each `quality`; the images are transformed once."""
    steps = np.stack([compression.quantisation(one) for one in quality]).reshape(-1, 2, 64)
    divisors = np.stack((steps, (1 << 19) // steps + 1), axis=2).astype(np.int32).repeat(_LANES, axis=3)
    out = np.empty((len(quality), *images.shape), np.uint8)
    _recode(flat(images, images.shape), lookup.constant(divisors), out)
    return list(out)


@njit
def _recode(images, divisors, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    across, half_across = (width + 7) // 8, (columns + 7) // 8  # blocks
    luma, y = _plane(height, width), _plane(height, width)
    blue, red, b, r = _plane(rows, columns), _plane(rows, columns), _plane(rows, columns), _plane(rows, columns)
    frequencies = (_groups(luma, across), _groups(blue, half_across), _groups(red, half_across))
    for n in range(count):
        if channels == 1:
            luma[:height, :width] = images[n, :, :, 0]
        else:
            _split(images, n, luma, blue, red)
        _extend(luma, height, width)
        _to_frequencies(luma, across, frequencies[0])
        if channels == 3:
            _extend(blue, rows, 8 * half_across)
            _extend(red, rows, 8 * half_across)
            _to_frequencies(blue, half_across, frequencies[1])
            _to_frequencies(red, half_across, frequencies[2])
        for k in range(len(divisors)):
            _to_samples(frequencies[0], divisors[k, 0], across, y)
            if channels == 1:
                out[k, n, :, :, 0] = y[:height, :width]
            else:
                _to_samples(frequencies[1], divisors[k, 1], half_across, b)
                _to_samples(frequencies[2], divisors[k, 1], half_across, r)
                _join(y, b, r, out, k, n)


@njit
def _whole(size, unit):  # type: ignore[no-untyped-def]
    return (size + unit - 1) // unit * unit


@njit
def _plane(height, width):  # type: ignore[no-untyped-def]
    """Return an empty uint8 plane of whole blocks, whose rows are whole vectors."""
    return np.empty((_whole(height, 8), _whole(width, _VECTOR)), np.uint8)


@njit
def _groups(plane, across):  # type: ignore[no-untyped-def]
    """Return an empty array for the frequencies of a plane: int32 (groups of blocks, 64 * blocks)."""
    return np.empty((_whole(plane.shape[0] // 8 * across, _LANES) // _LANES, 8 * _ROW), np.int32)


@njit
def _extend(plane, height, width):  # type: ignore[no-untyped-def]
    """Repeat the last of `width` columns and of `height` rows to the end of the plane."""
    for p in range(height):
        for q in range(width, plane.shape[1]):
            plane[p, q] = plane[p, width - 1]
    for p in range(height, plane.shape[0]):
        plane[p] = plane[height - 1]


@njit(inline="always")
def _shifted(value, shift):  # type: ignore[no-untyped-def]
    # Numba computes in 64 bits; a sum that is cut to 32 before the shift is computed in 32, twice as many in a vector.
    return np.int32(np.int32(value) >> np.int32(shift))


@njit(inline="always")
def _clip(value):  # type: ignore[no-untyped-def]
    return min(max(np.int32(value), np.int32(0)), np.int32(255))


@njit
def _split(images, n, luma, blue, red):  # type: ignore[no-untyped-def]
    """Store luma, and blue and red differences at half resolution, of image `n` of uint8 (N, H, W, 3).

    The differences go on to the end of their blocks, where the last column of the image is repeated.
    """
    _, height, width, _ = images.shape
    whole = 2 * blue.shape[1]  # at least as long as the rows of luma
    r, g, b = np.zeros(whole, np.int32), np.zeros(whole, np.int32), np.zeros(whole, np.int32)
    blues, reds = np.empty(whole, np.int32), np.empty(whole, np.int32)  # sums of two rows
    for p in range(0, height, 2):
        blues[:], reds[:] = 0, 0
        for half in range(2):
            row = min(p + half, height - 1)
            pixels = images[n, row].reshape(-1)  # flat, which the compiler turns into vector instructions
            for q in range(width):
                r[q], g[q], b[q] = pixels[3 * q], pixels[3 * q + 1], pixels[3 * q + 2]
            for q in range(luma.shape[1]):
                luma[row, q] = _shifted(19595 * r[q] + 38470 * g[q] + 7471 * b[q] + 32768, 16)
            for q in range(whole):
                blues[q] += _shifted(-11059 * r[q] - 21709 * g[q] + 32768 * b[q] + 8421375, 16)
            for q in range(whole):
                reds[q] += _shifted(32768 * r[q] - 27439 * g[q] - 5329 * b[q] + 8421375, 16)
        for q in range(width, whole):
            blues[q], reds[q] = blues[width - 1], reds[width - 1]
        for sums, plane in ((blues, blue), (reds, red)):
            for q in range(whole // 2):
                plane[p // 2, q] = _shifted(sums[2 * q] + sums[2 * q + 1] + 1 + (q & 1), 2)


@njit
def _to_frequencies(plane, across, frequencies):  # type: ignore[no-untyped-def]
    rows = plane.view(np.int32)  # a row of a block is two words
    blocks = plane.shape[0] // 8 * across
    x = np.zeros(8 * _ROW, np.int32)
    for group in range(len(frequencies)):
        first = group * _LANES
        for lane in range(min(_LANES, blocks - first)):
            top, left = 8 * ((first + lane) // across), 2 * ((first + lane) % across)
            for i in range(8):
                x[_ROW * i + lane] = rows[top + i, left]
                x[_ROW * i + _HALF + lane] = rows[top + i, left + 1]
        for word in range(16):
            for lane in range(_LANES):
                _unpack(x, _HALF * word + lane)
        for i in range(8):
            for lane in range(_LANES):
                _forward(x, _ROW * i + lane, _LANES, 11)
        for place in range(_ROW):
            _forward(x, place, _ROW, 15)
        for place in range(8 * _ROW):
            frequencies[group, place] = x[place]


@njit
def _to_samples(frequencies, divisors, across, plane):  # type: ignore[no-untyped-def]
    rows = plane.view(np.int32)
    blocks = plane.shape[0] // 8 * across
    x = np.empty(8 * _ROW, np.int32)
    for group in range(len(frequencies)):
        for place in range(8 * _ROW):
            x[place] = frequencies[group, place]
        for place in range(8 * _ROW):
            # |f| is at most 2^13 and a few, so that n = (|f| + 4 step) >> 3 times step is below 2^19. Then n // step is
            # n * inverse >> 19, with inverse = 2^19 // step + 1.
            f, step, inverse = x[place], divisors[0, place], divisors[1, place]
            sign = _shifted(f, 31)  # 0 or -1: f ^ -1 is -f - 1
            size = _shifted(_shifted(np.int32((f ^ sign) - sign) + 4 * step, 3) * inverse, 19)
            x[place] = np.int32((np.int32(size * step) ^ sign) - sign)
        for place in range(_ROW):
            _backward(x, place, _ROW, 11)
        for i in range(8):
            for lane in range(_LANES):
                _backward(x, _ROW * i + lane, _LANES, 18)
        for place in range(8 * _ROW):
            x[place] = _clip(x[place] + 128)
        for word in range(16):
            for lane in range(_LANES):
                _pack(x, _HALF * word + lane)
        first = group * _LANES
        for lane in range(min(_LANES, blocks - first)):
            top, left = 8 * ((first + lane) // across), 2 * ((first + lane) % across)
            for i in range(8):
                rows[top + i, left] = x[_ROW * i + lane]
                rows[top + i, left + 1] = x[_ROW * i + _HALF + lane]


@njit(inline="always")
def _unpack(x, at):  # type: ignore[no-untyped-def]
    """Replace a word by its four samples, less 128."""
    word = x[at]
    x[at] = (_shifted(word, _BIT0) & 255) - 128
    x[at + _LANES] = (_shifted(word, _BIT1) & 255) - 128
    x[at + 2 * _LANES] = (_shifted(word, _BIT2) & 255) - 128
    x[at + 3 * _LANES] = (_shifted(word, _BIT3) & 255) - 128


@njit(inline="always")
def _pack(x, at):  # type: ignore[no-untyped-def]
    """Replace the first of four samples by the word of them."""
    left = np.int32(x[at] << _BIT0) | np.int32(x[at + _LANES] << _BIT1)
    right = np.int32(x[at + 2 * _LANES] << _BIT2) | np.int32(x[at + 3 * _LANES] << _BIT3)
    x[at] = left | right


@njit(inline="always")
def _forward(x, at, step, shift):  # type: ignore[no-untyped-def]
    """Transform eight numbers, `step` apart: even frequencies of the mirrored sums, odd ones of the differences."""
    half = np.int32(1 << (shift - 1))
    x0, x1, x2, x3 = x[at], x[at + step], x[at + 2 * step], x[at + 3 * step]
    x4, x5, x6, x7 = x[at + 4 * step], x[at + 5 * step], x[at + 6 * step], x[at + 7 * step]
    s0, s1, s2, s3 = np.int32(x0 + x7), np.int32(x1 + x6), np.int32(x2 + x5), np.int32(x3 + x4)
    d0, d1, d2, d3 = np.int32(x0 - x7), np.int32(x1 - x6), np.int32(x2 - x5), np.int32(x3 - x4)
    x[at] = _shifted(_F00 * (s0 + s1 + s2 + s3) + half, shift)
    x[at + step] = _shifted(_F10 * d0 + _F11 * d1 + _F12 * d2 + _F13 * d3 + half, shift)
    x[at + 2 * step] = _shifted(_F20 * (s0 - s3) + _F21 * (s1 - s2) + half, shift)
    x[at + 3 * step] = _shifted(_F30 * d0 + _F31 * d1 + _F32 * d2 + _F33 * d3 + half, shift)
    x[at + 4 * step] = _shifted(_F00 * (s0 - s1 - s2 + s3) + half, shift)
    x[at + 5 * step] = _shifted(_F50 * d0 + _F51 * d1 + _F52 * d2 + _F53 * d3 + half, shift)
    x[at + 6 * step] = _shifted(_F60 * (s0 - s3) + _F61 * (s1 - s2) + half, shift)
    x[at + 7 * step] = _shifted(_F70 * d0 + _F71 * d1 + _F72 * d2 + _F73 * d3 + half, shift)


@njit(inline="always")
def _backward(x, at, step, shift):  # type: ignore[no-untyped-def]
    """Transform eight frequencies, `step` apart, back by the transposed matrix."""
    half = np.int32(1 << (shift - 1))
    x0, x1, x2, x3 = x[at], x[at + step], x[at + 2 * step], x[at + 3 * step]
    x4, x5, x6, x7 = x[at + 4 * step], x[at + 5 * step], x[at + 6 * step], x[at + 7 * step]
    sums, differences = np.int32(_F00 * (x0 + x4) + half), np.int32(_F00 * (x0 - x4) + half)
    outer, inner = np.int32(_F20 * x2 + _F60 * x6), np.int32(_F21 * x2 + _F61 * x6)
    odd0 = np.int32(_F10 * x1 + _F30 * x3 + _F50 * x5 + _F70 * x7)
    odd1 = np.int32(_F11 * x1 + _F31 * x3 + _F51 * x5 + _F71 * x7)
    odd2 = np.int32(_F12 * x1 + _F32 * x3 + _F52 * x5 + _F72 * x7)
    odd3 = np.int32(_F13 * x1 + _F33 * x3 + _F53 * x5 + _F73 * x7)
    x[at], x[at + 7 * step] = _shifted(sums + outer + odd0, shift), _shifted(sums + outer - odd0, shift)
    x[at + step], x[at + 6 * step] = (
        _shifted(differences + inner + odd1, shift),
        _shifted(differences + inner - odd1, shift),
    )
    x[at + 2 * step], x[at + 5 * step] = (
        _shifted(differences - inner + odd2, shift),
        _shifted(differences - inner - odd2, shift),
    )
    x[at + 3 * step], x[at + 4 * step] = _shifted(sums - outer + odd3, shift), _shifted(sums - outer - odd3, shift)


@njit
def _enlarge(plane, p, rows, columns, mixed, out):  # type: ignore[no-untyped-def]
    """Store row `p` at twice the sides, less 128: three quarters of the nearest sample, a quarter of the next one."""
    near = p // 2
    if columns <= 2:
        for q in range(2 * columns):
            out[q] = np.int32(plane[near, q // 2]) - 128
        return
    far = min(max(near + 2 * (p % 2) - 1, 0), rows - 1)
    for q in range(plane.shape[1]):
        mixed[q + 1] = 3 * np.int32(plane[near, q]) + np.int32(plane[far, q])
    mixed[0], mixed[columns + 1] = mixed[1], mixed[columns]  # the first and the last sample once more
    for q in range(plane.shape[1]):
        out[2 * q] = _shifted(3 * mixed[q + 1] + mixed[q] + 8, 4) - 128
        out[2 * q + 1] = _shifted(3 * mixed[q + 1] + mixed[q + 2] + 7, 4) - 128


@njit
def _join(luma, blue, red, out, k, n):  # type: ignore[no-untyped-def]
    _, _, height, width, _ = out.shape
    rows, columns, whole = (height + 1) // 2, (width + 1) // 2, 2 * blue.shape[1]
    mixed, b, r = np.zeros(whole // 2 + 2, np.int32), np.zeros(whole, np.int32), np.zeros(whole, np.int32)
    # Colours apart, which the compiler turns into vector instructions.
    c0, c1, c2 = np.empty(whole, np.uint8), np.empty(whole, np.uint8), np.empty(whole, np.uint8)
    for p in range(height):
        _enlarge(blue, p, rows, columns, mixed, b)
        _enlarge(red, p, rows, columns, mixed, r)
        for q in range(luma.shape[1]):
            c0[q] = _clip(luma[p, q] + _shifted(91881 * r[q] + 32768, 16))
        for q in range(luma.shape[1]):
            c1[q] = _clip(luma[p, q] + _shifted(-22554 * b[q] - 46802 * r[q] + 32768, 16))
        for q in range(luma.shape[1]):
            c2[q] = _clip(luma[p, q] + _shifted(116130 * b[q] + 32768, 16))
        pixels = out[k, n, p].reshape(-1)
        for q in range(width):
            pixels[3 * q], pixels[3 * q + 1], pixels[3 * q + 2] = c0[q], c1[q], c2[q]
