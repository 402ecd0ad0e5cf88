"""The CPU kernel of JPEG. Planes lie in strips of eight rows, so that the loops run along whole rows."""

from __future__ import annotations

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


def jpeg_compression(images: Images, *, quality: int) -> Images:
    """Encode and decode as baseline JPEG at `quality`, 1 to 100, colour at half resolution (4:2:0) [HD], [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return jpeg_compression_sweep(images, quality=[quality])[0]


def jpeg_compression_sweep(images: Images, *, quality: Sequence[int]) -> list[Images]:
    """Return `jpeg_compression` at each `quality`; the images are transformed once."""
    steps = lookup.constant(np.stack([compression.quantisation(one) for one in quality]))
    out = np.empty((len(quality), *images.shape), np.uint8)
    _recode(flat(images, images.shape), steps, out)
    return list(out)


@njit
def _recode(images, steps, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    luma = np.empty((_whole(height), _whole(width)), np.int32)
    blue, red = np.empty((_whole(rows), _whole(columns)), np.int32), np.empty((_whole(rows), _whole(columns)), np.int32)
    # Frequencies of the planes, and what is decoded of them at one quality.
    frequencies = (np.empty_like(luma), np.empty_like(blue), np.empty_like(red))
    y, b, r = np.empty_like(luma), np.empty_like(blue), np.empty_like(red)
    full = (np.empty((height, 2 * columns), np.int32), np.empty((height, 2 * columns), np.int32))
    for n in range(count):
        if channels == 1:
            luma[:height, :width] = images[n, :, :, 0]
        else:
            _split(images[n], luma, blue, red)
        _extend(luma, height, width)
        _to_frequencies(luma, frequencies[0])
        if channels == 3:
            _extend(blue, rows, blue.shape[1])
            _extend(red, rows, red.shape[1])
            _to_frequencies(blue, frequencies[1])
            _to_frequencies(red, frequencies[2])
        for k in range(len(steps)):
            _to_samples(frequencies[0], steps[k, 0], y)
            if channels == 1:
                out[k, n, :, :, 0] = y[:height, :width]
            else:
                _to_samples(frequencies[1], steps[k, 1], b)
                _to_samples(frequencies[2], steps[k, 1], r)
                _enlarge(b[:rows, :columns], full[0])
                _enlarge(r[:rows, :columns], full[1])
                _join(y, full[0], full[1], out[k, n])


@njit
def _whole(size):  # type: ignore[no-untyped-def]
    return (size + 7) // 8 * 8


@njit
def _extend(plane, height, width):  # type: ignore[no-untyped-def]
    """Repeat the last of `width` columns and of `height` rows to the end of the blocks."""
    for p in range(height):
        plane[p, width:] = plane[p, width - 1]
    for p in range(height, plane.shape[0]):
        plane[p] = plane[height - 1]


@njit
def _split(image, luma, blue, red):  # type: ignore[no-untyped-def]
    """Store luma, and blue and red differences at half resolution, of uint8 (H, W, 3).

    The differences go on to the end of their blocks, where the last column of the image is repeated.
    """
    height, width, _ = image.shape
    chroma = np.empty((2, 2, 2 * blue.shape[1]), np.int32)
    colour = np.empty((3, width), np.int32)
    for p in range(0, height, 2):
        for half in range(2):
            row = min(p + half, height - 1)
            for q in range(width):
                colour[0, q], colour[1, q], colour[2, q] = image[row, q, 0], image[row, q, 1], image[row, q, 2]
            for q in range(width):
                r, g, b = colour[0, q], colour[1, q], colour[2, q]
                luma[row, q] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
                chroma[0, half, q] = (-11059 * r - 21709 * g + 32768 * b + 8421375) >> 16
                chroma[1, half, q] = (32768 * r - 27439 * g - 5329 * b + 8421375) >> 16
            chroma[:, half, width:] = chroma[:, half, width - 1 : width]
        for q in range(blue.shape[1]):
            bias = 1 + q % 2
            for plane, c in ((blue, 0), (red, 1)):
                left = chroma[c, 0, 2 * q] + chroma[c, 1, 2 * q]
                plane[p // 2, q] = (left + chroma[c, 0, 2 * q + 1] + chroma[c, 1, 2 * q + 1] + bias) >> 2


@njit
def _to_frequencies(plane, frequencies):  # type: ignore[no-untyped-def]
    width = plane.shape[1]
    one, other = np.empty((8, width), np.int32), np.empty((8, width), np.int32)
    for top in range(0, plane.shape[0], 8):
        _transpose(plane[top : top + 8], one)
        for i in range(8):
            for q in range(width):
                one[i, q] -= 128
        _forward(one, 11, other)
        _transpose(other, one)
        _forward(one, 15, frequencies[top : top + 8])


@njit
def _to_samples(frequencies, steps, plane):  # type: ignore[no-untyped-def]
    width = plane.shape[1]
    one, other = np.empty((8, width), np.int32), np.empty((8, width), np.int32)
    step = np.empty(width, np.int32)
    for top in range(0, plane.shape[0], 8):
        for i in range(8):
            for q in range(width):
                step[q] = steps[i, q % 8]
            _quantise(frequencies[top + i], step, one[i])
        _backward(one, 11, other)
        _transpose(other, one)
        _backward(one, 18, other)
        _transpose(other, one)
        for i in range(8):
            for q in range(width):
                plane[top + i, q] = min(max(one[i, q] + 128, 0), 255)


@njit
def _quantise(frequencies, steps, out):  # type: ignore[no-untyped-def]
    for q in range(out.size):
        f, step = frequencies[q], steps[q]
        # A quotient of whole numbers below 2^15 and 2^11 is rounded to no other whole number.
        size = np.int32(np.float32(abs(f) + 4 * step) / np.float32(8 * step)) * step
        out[q] = size if f >= 0 else -size


@njit
def _transpose(rows, out):  # type: ignore[no-untyped-def]
    for left in range(0, rows.shape[1], 8):
        for i in range(8):
            for j in range(8):
                out[j, left + i] = rows[i, left + j]


@njit
def _forward(x, shift, out):  # type: ignore[no-untyped-def]
    """Store the transform of each column: even rows of the mirrored sums, odd ones of the differences."""
    half = np.int32(1 << (shift - 1))
    for q in range(x.shape[1]):
        s0, s1, s2, s3 = x[0, q] + x[7, q], x[1, q] + x[6, q], x[2, q] + x[5, q], x[3, q] + x[4, q]
        d0, d1, d2, d3 = x[0, q] - x[7, q], x[1, q] - x[6, q], x[2, q] - x[5, q], x[3, q] - x[4, q]
        out[0, q] = (_F00 * (s0 + s1 + s2 + s3) + half) >> shift
        out[1, q] = (_F10 * d0 + _F11 * d1 + _F12 * d2 + _F13 * d3 + half) >> shift
        out[2, q] = (_F20 * (s0 - s3) + _F21 * (s1 - s2) + half) >> shift
        out[3, q] = (_F30 * d0 + _F31 * d1 + _F32 * d2 + _F33 * d3 + half) >> shift
        out[4, q] = (_F00 * (s0 - s1 - s2 + s3) + half) >> shift
        out[5, q] = (_F50 * d0 + _F51 * d1 + _F52 * d2 + _F53 * d3 + half) >> shift
        out[6, q] = (_F60 * (s0 - s3) + _F61 * (s1 - s2) + half) >> shift
        out[7, q] = (_F70 * d0 + _F71 * d1 + _F72 * d2 + _F73 * d3 + half) >> shift


@njit
def _backward(x, shift, out):  # type: ignore[no-untyped-def]
    """Store the inverse of each column, which is the transposed matrix."""
    half = np.int32(1 << (shift - 1))
    for q in range(x.shape[1]):
        x1, x3, x5, x7 = x[1, q], x[3, q], x[5, q], x[7, q]
        sums, differences = _F00 * (x[0, q] + x[4, q]) + half, _F00 * (x[0, q] - x[4, q]) + half
        outer, inner = _F20 * x[2, q] + _F60 * x[6, q], _F21 * x[2, q] + _F61 * x[6, q]
        odd0 = _F10 * x1 + _F30 * x3 + _F50 * x5 + _F70 * x7
        odd1 = _F11 * x1 + _F31 * x3 + _F51 * x5 + _F71 * x7
        odd2 = _F12 * x1 + _F32 * x3 + _F52 * x5 + _F72 * x7
        odd3 = _F13 * x1 + _F33 * x3 + _F53 * x5 + _F73 * x7
        out[0, q], out[7, q] = (sums + outer + odd0) >> shift, (sums + outer - odd0) >> shift
        out[1, q], out[6, q] = (differences + inner + odd1) >> shift, (differences + inner - odd1) >> shift
        out[2, q], out[5, q] = (differences - inner + odd2) >> shift, (differences - inner - odd2) >> shift
        out[3, q], out[4, q] = (sums - outer + odd3) >> shift, (sums - outer - odd3) >> shift


@njit
def _enlarge(plane, out):  # type: ignore[no-untyped-def]
    """Double the sides of int32 (rows, columns): three quarters of the nearest sample, a quarter of the next one."""
    rows, columns = plane.shape
    mixed = np.empty(columns + 2, np.int32)  # the first and the last sample once more
    for p in range(out.shape[0]):
        near = plane[p // 2]
        if columns <= 2:
            for q in range(out.shape[1]):
                out[p, q] = near[q // 2]
            continue
        far = plane[min(max(p // 2 + 2 * (p % 2) - 1, 0), rows - 1)]
        for q in range(columns):
            mixed[q + 1] = 3 * near[q] + far[q]
        mixed[0], mixed[columns + 1] = mixed[1], mixed[columns]
        for q in range(columns):
            out[p, 2 * q] = (3 * mixed[q + 1] + mixed[q] + 8) >> 4
            out[p, 2 * q + 1] = (3 * mixed[q + 1] + mixed[q + 2] + 7) >> 4


@njit
def _join(luma, blue, red, out):  # type: ignore[no-untyped-def]
    height, width, _ = out.shape
    row = np.empty((3, width), np.uint8)  # colours apart, which the compiler turns into vector instructions
    for p in range(height):
        for q in range(width):
            y, b, r = luma[p, q], blue[p, q] - 128, red[p, q] - 128
            row[0, q] = min(max(y + ((91881 * r + 32768) >> 16), 0), 255)
            row[1, q] = min(max(y + ((-22554 * b - 46802 * r + 32768) >> 16), 0), 255)
            row[2, q] = min(max(y + ((116130 * b + 32768) >> 16), 0), 255)
        for q in range(width):
            out[p, q, 0], out[p, q, 1], out[p, q, 2] = row[0, q], row[1, q], row[2, q]
