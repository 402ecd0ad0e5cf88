"""The CPU kernel of motion blur: shifted rows, weighted and added up.

A block of neighbouring elements stays in registers while all taps are added to it. A compiler does not do that with
loops, so this step is written as vector operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import COMPILES, njit
from corruptions.cpu.levels import flat
from corruptions.spec import Images

_BLOCK = 64


def motion_blur(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur each image along its own direction, to one side, edges replicated: ImageMagick's motion blur [HD].

    `images` uint8 (N, H, W, C); `angles` uint8 (N,), as `cpu.draws.angles` draws them; `radius` and `sigma` in pixels.
    Return a new array like `images`.
    """
    weights = lookup.motion_weights(radius, sigma)
    offsets = lookup.motion_offsets(weights.size)
    out = np.empty(images.shape, np.uint8)
    _blur(flat(images, images.shape), flat(angles), offsets, weights, out)
    return out


@njit
def _blur(images, angles, offsets, weights, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line, steps = width * channels, weights.size
    # Rows widened by what the blur reaches past the edges, which is `steps` - 1 pixels left and right together.
    wide = np.empty((height, (width + steps - 1) * channels), np.uint8)
    pixels, length = wide.reshape(-1), wide.shape[1]
    for n in range(count):
        dx, dy, weight = _merge(offsets[angles[n]], weights)
        left, right = max(0, -dx.min()), max(0, dx.max())
        rows, blurred = images[n].reshape(height, line), out[n].reshape(height, line)
        for p in range(height):
            _widen(rows[p], channels, left, right, wide[p])
        starts = np.empty(dx.size, np.int64)
        for p in range(height):
            for i in range(starts.size):
                starts[i] = min(max(p + dy[i], 0), height - 1) * length + (left + dx[i]) * channels
            if line < _BLOCK or not COMPILES:
                _average(pixels, starts, weight, blurred[p])
                continue
            for first in range(0, line, _BLOCK):
                # The last block begins early enough to end with the row.
                _average_block(pixels, starts, weight, min(first, line - _BLOCK), blurred[p])


@njit
def _merge(offsets, weights):  # type: ignore[no-untyped-def]
    """Return dx, dy and the summed weights of each distinct offset, repeated where 16 bits cannot hold the sum.

    Products of 16 bits are several times as fast as others. All weights sum to 65536, so two more entries are enough.
    """
    most = weights.size + 2
    dx, dy, merged = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int16)
    last = 0
    for i in range(weights.size):
        left = weights[i]
        while left > 0:
            # A line goes on in one direction, so equal offsets are neighbours.
            if offsets[0, i] != dx[last] or offsets[1, i] != dy[last] or merged[last] == 32767:
                last += 1
                dx[last], dy[last] = offsets[0, i], offsets[1, i]
            added = min(left, 32767 - merged[last])
            merged[last] += added
            left -= added
    return dx[: last + 1], dy[: last + 1], merged[: last + 1]


@njit
def _widen(row, channels, left, right, wide):  # type: ignore[no-untyped-def]
    """Copy a row into `wide` with its edge pixels repeated `left` and `right` times."""
    start, end = left * channels, left * channels + row.size
    for c in range(channels):
        for q in range(left):
            wide[q * channels + c] = row[c]
        for q in range(right):
            wide[end + q * channels + c] = row[row.size - channels + c]
    body = wide[start:end]
    for j in range(row.size):
        body[j] = row[j]


# All sums stay below 2^24.


@njit
def _average(pixels, starts, weights, row):  # type: ignore[no-untyped-def]
    for j in range(row.size):
        total = np.int32(32768)
        for i in range(starts.size):
            total += np.int32(np.int32(pixels[starts[i] + j]) * np.int32(weights[i]))
        row[j] = total >> 16


@intrinsic  # type: ignore[untyped-decorator]
def _average_block(context, pixels, starts, weights, first, row):  # type: ignore[no-untyped-def]
    """Do what `_average` does for the `_BLOCK` elements of the row from `first` on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = [context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 1, 2, 4)]
        source, offsets, factors, target = data
        first = arguments[3]
        bytes_, words = (ir.VectorType(ir.IntType(bits), _BLOCK) for bits in (8, 32))
        total = cgutils.alloca_once_value(builder, ir.Constant(words, [32768] * _BLOCK))
        with cgutils.for_range(builder, builder.extract_value(offsets.shape, 0)) as tap:
            start = builder.add(builder.load(builder.gep(offsets.data, [tap.index])), first)
            pointer = builder.bitcast(builder.gep(source.data, [start]), bytes_.as_pointer())
            levels = builder.zext(builder.load(pointer, align=1), words)
            weight = builder.sext(builder.load(builder.gep(factors.data, [tap.index])), words.element)
            lane = builder.insert_element(ir.Constant(words, ir.Undefined), weight, words.element(0))
            factor = builder.shuffle_vector(lane, lane, ir.Constant(words, [0] * _BLOCK))
            builder.store(builder.add(builder.load(total), builder.mul(levels, factor)), total)
        rounded = builder.lshr(builder.load(total), ir.Constant(words, [16] * _BLOCK))
        pointer = builder.bitcast(builder.gep(target.data, [first]), bytes_.as_pointer())
        builder.store(builder.trunc(rounded, bytes_), pointer, align=1)
        return context.get_dummy_value()

    return types.void(pixels, starts, weights, first, row), build
