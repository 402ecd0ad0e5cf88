"""The CPU kernels of the blurs: sums of rows, then of columns, in loops that the compiler turns into vectors."""

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
from corruptions.extended.lookup import blur
from corruptions.lookup import Ints
from corruptions.spec import Images

_BLOCK, _PAIRS = 128, 64  # elements that stay in registers, of 16 and of 32 bits


def gaussian_blur(images: Images, *, sigma: float) -> Images:
    """Blur with a Gaussian of `sigma` pixels, 0 to 20, cut at four sigma, edges replicated [HD].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    weights = blur.gaussian_weights("gaussian_blur", sigma)
    down, across = (blur.clamped(n, weights.size - 1) for n in images.shape[1:3])
    return _blurred(images, weights, down, across)


def gaussian_window(images: Images, *, size: int) -> Images:
    """Blur with a Gaussian in a window of `size` pixels, odd, 1 to 63; mirrored at the edges: torchvision's [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    weights = blur.window_weights(size)
    down, across = (blur.mirrored(n, weights.size - 1) for n in images.shape[1:3])
    return _blurred(images, weights, down, across)


def _blurred(images: Images, weights: Ints, down: Ints, across: Ints) -> Images:
    out = np.empty(images.shape, np.uint8)
    _blur(flat(images, images.shape), weights, down, across, out)
    return out


@njit
def _blur(images, weights, down, across, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    levels = np.empty((height, line), np.uint16)
    for n in range(count):
        _widen(images[n].reshape(-1), levels.reshape(-1))
        _soften(levels, weights, down, across, channels, out[n].reshape(height, line))


@njit
def _widen(pixels, levels):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        levels[e] = np.uint16(pixels[e]) << np.uint16(6)


@njit
def _soften(levels, weights, down, across, channels, out):  # type: ignore[no-untyped-def]
    """Store in `out` uint8 (H, W * C) the rows of `levels`, uint16 in units of 1/64, blurred down and across."""
    height, line = levels.shape
    reach = weights.size - 1
    if reach == 0:
        _narrow(levels.reshape(-1), out.reshape(-1))
        return
    edge = reach * channels
    wide = np.empty(line + 2 * edge, np.uint16)
    body = wide[edge : edge + line]
    # The pixel itself is taken twice like all others: its weight is even.
    factors = weights.copy()
    factors[0] //= 2
    steps = np.arange(reach + 1)
    above, below = np.empty(reach + 1, np.int64), np.empty(reach + 1, np.int64)
    left, right = edge - steps * channels, edge + steps * channels
    source = levels.reshape(-1)
    for p in range(height):
        for j in range(reach + 1):
            above[j], below[j] = down[reach + p - j] * line, down[reach + p + j] * line
        weigh_in_16_bits(source, above, below, factors, body)
        for k in range(reach):
            first, last = across[k] * channels, across[across.size - reach + k] * channels
            for c in range(channels):
                wide[k * channels + c] = body[first + c]
                wide[edge + line + k * channels + c] = body[last + c]
        _weigh_in_8_bits(wide, left, right, factors, out[p])


@njit
def _narrow(levels, pixels):  # type: ignore[no-untyped-def]
    for e in range(levels.size):
        pixels[e] = min(np.uint16(np.uint16(levels[e] + np.uint16(32)) >> np.uint16(6)), np.uint16(255))


@njit
def weigh_in_16_bits(source, firsts, seconds, weights, target):  # type: ignore[no-untyped-def]
    """Store in `target` uint16 what `_weigh` does, shifted by 14."""
    if target.size < _PAIRS or not COMPILES:
        _weigh(source, firsts, seconds, weights, 14, target)
        return
    for first in range(0, target.size, _PAIRS):
        # The last block begins early enough to end with the row.
        _weigh_block_in_16_bits(source, firsts, seconds, weights, min(first, target.size - _PAIRS), target)


@njit
def _weigh_in_8_bits(source, firsts, seconds, weights, target):  # type: ignore[no-untyped-def]
    """Store in `target` uint8 what `_weigh` does, shifted by 20."""
    if target.size < _PAIRS or not COMPILES:
        _weigh(source, firsts, seconds, weights, 20, target)
        return
    for first in range(0, target.size, _PAIRS):
        _weigh_block_in_8_bits(source, firsts, seconds, weights, min(first, target.size - _PAIRS), target)


@njit
def _weigh(source, firsts, seconds, weights, shift, target):  # type: ignore[no-untyped-def]
    """Store in target[i] the sum over j of weights[j] * (source[firsts[j] + i] + source[seconds[j] + i]), shifted.

    `source` is uint16, and weights sum to 8192, so 32 bits hold every sum. `target` is uint16 or uint8.
    """
    most = (1 << 8 * target.itemsize) - 1
    for i in range(target.size):
        total = np.int64(1 << shift >> 1)
        for j in range(weights.size):
            total += np.int64(weights[j]) * (np.int64(source[firsts[j] + i]) + np.int64(source[seconds[j] + i]))
        target[i] = min(total >> shift, most)


def _weighing(shift: int, bits: int) -> Any:
    """Return a function that does what `_weigh` does for the `_PAIRS` elements from `start` on, in registers."""

    def of_block(context: Any, source: Any, firsts: Any, seconds: Any, weights: Any, start: Any, target: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, firsts, seconds, weights, target = (
                context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 1, 2, 3, 5)
            )
            start = arguments[4]
            words, halves, narrow = (ir.VectorType(ir.IntType(size), _PAIRS) for size in (32, 16, bits))

            def load(offsets: Any, tap: Any) -> Any:
                place = builder.add(builder.load(builder.gep(offsets.data, [tap])), start)
                pointer = builder.bitcast(builder.gep(source.data, [place]), halves.as_pointer())
                return builder.zext(builder.load(pointer, align=2), words)

            def everywhere(value: Any) -> Any:
                lane = builder.insert_element(ir.Constant(words, ir.Undefined), value, words.element(0))
                return builder.shuffle_vector(lane, lane, ir.Constant(words, [0] * _PAIRS))

            total = cgutils.alloca_once_value(builder, ir.Constant(words, [1 << shift >> 1] * _PAIRS))
            with cgutils.for_range(builder, builder.extract_value(weights.shape, 0)) as tap:
                both = builder.add(load(firsts, tap.index), load(seconds, tap.index))
                factor = everywhere(builder.load(builder.gep(weights.data, [tap.index])))
                builder.store(builder.add(builder.load(total), builder.mul(both, factor)), total)
            shifted = builder.lshr(builder.load(total), ir.Constant(words, [shift] * _PAIRS))
            most = ir.Constant(words, [(1 << bits) - 1] * _PAIRS)
            limited = builder.select(builder.icmp_unsigned("<", shifted, most), shifted, most)
            pointer = builder.bitcast(builder.gep(target.data, [start]), narrow.as_pointer())
            builder.store(builder.trunc(limited, narrow), pointer, align=bits // 8)
            return context.get_dummy_value()

        return types.void(source, firsts, seconds, weights, start, target), build

    return intrinsic(of_block)


_weigh_block_in_16_bits, _weigh_block_in_8_bits = _weighing(14, 16), _weighing(20, 8)


def defocus_blur(images: Images, *, radius: float, alias_blur: float) -> Images:
    """Average over a disk of `radius` pixels, its edge softened by a Gaussian of `alias_blur` pixels [HD], [MM].

    `radius` 0 to 12, in halves up to 8; mirrored at the edges. `images` uint8 (N, H, W, C). Return a new array like
    `images`.
    """
    disk = blur.disk(radius, alias_blur)
    wide, soft = disk.reach.size // 2, disk.weights.size - 1
    tables = [blur.mirrored(n, reach) for reach in (wide, soft) for n in images.shape[1:3]]
    out = np.empty(images.shape, np.uint8)
    _defocus(flat(images, images.shape), disk.reach, np.uint32(disk.factor), disk.weights, *tables, out)
    return out


@njit
def _defocus(images, reach, factor, weights, rows, columns, down, across, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line, most = width * channels, reach.size // 2
    # Of each column, the sum of all pixels above: modulo 2^16, which leaves the difference of two sums as it is. Whole
    # blocks leave no rest to the loops over them.
    stride = -(-columns.size * channels // _BLOCK) * _BLOCK
    above = np.zeros((rows.size + 1, stride), np.uint16)
    # Columns of the disk that are equally long share their sums.
    lengths = np.unique(reach)
    sums = np.empty((lengths.size, stride), np.uint16)
    starts = np.searchsorted(lengths, reach) * stride + np.arange(reach.size) * channels
    # 16 bits hold the sum over 257 pixels: over each second column at least, of the largest disk.
    parts = 1 if (2 * reach + 1).sum() <= 257 else 2
    levels = np.empty((height, line), np.uint16)
    total, rest = np.zeros(line, np.uint16), np.zeros(line, np.uint16)
    every, other = starts[::parts].copy(), starts[1::parts].copy()
    values = sums.reshape(-1)
    for n in range(count):
        image = images[n].reshape(height, line)
        for p in range(rows.size):
            _add_padded(above[p], image[rows[p]], columns, channels, above[p + 1])
        for p in range(height):
            _subtract(above, p + most, lengths, sums)
            _add_up(values, every, total)
            if parts == 2:
                _add_up(values, other, rest)
            _average(total, rest, factor, levels[p])
        _soften(levels, weights, down, across, channels, out[n].reshape(height, line))


@njit
def _add_padded(above, row, columns, channels, total):  # type: ignore[no-untyped-def]
    """Store the sum with a row whose pixel k is its pixel ``columns[k]``; the middle ones are the row itself."""
    most = (columns.size - row.size // channels) // 2
    body = slice(most * channels, most * channels + row.size)
    _add(above[body], row, total[body])
    for k in range(most):
        end = columns.size - 1 - k
        for c in range(channels):
            i, j = k * channels + c, end * channels + c
            total[i] = above[i] + row[columns[k] * channels + c]
            total[j] = above[j] + row[columns[end] * channels + c]


@njit
def _add(first, second, total):  # type: ignore[no-untyped-def]
    for i in range(total.size):
        total[i] = np.uint16(first[i] + second[i])


@njit
def _subtract(above, centre, lengths, sums):  # type: ignore[no-untyped-def]
    """Store in row k of `sums` those of the pixels up to ``lengths[k]`` rows from the row `centre`."""
    for k in range(lengths.size):
        start, end = centre - lengths[k], centre + lengths[k] + 1
        for i in range(sums.shape[1]):
            sums[k, i] = np.uint16(above[end, i] - above[start, i])


@njit
def _add_up(values, starts, total):  # type: ignore[no-untyped-def]
    """Store in total[j] the sum of values[starts[i] + j] over i."""
    if total.size < _BLOCK or not COMPILES:
        total[:] = 0
        for i in range(starts.size):
            _add(total, values[starts[i] : starts[i] + total.size], total)
        return
    for first in range(0, total.size, _BLOCK):
        # The last block begins early enough to end with the row.
        _add_up_block(values, starts, min(first, total.size - _BLOCK), total)


@intrinsic  # type: ignore[untyped-decorator]
def _add_up_block(context, values, starts, first, total):  # type: ignore[no-untyped-def]
    """Do what `_add_up` does for the `_BLOCK` elements from `first` on; they stay in registers."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = [context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 1, 3)]
        source, offsets, target = data
        first = arguments[2]
        halves = ir.VectorType(ir.IntType(16), _BLOCK)
        summed = cgutils.alloca_once_value(builder, ir.Constant(halves, [0] * _BLOCK))
        with cgutils.for_range(builder, builder.extract_value(offsets.shape, 0)) as tap:
            start = builder.add(builder.load(builder.gep(offsets.data, [tap.index])), first)
            pointer = builder.bitcast(builder.gep(source.data, [start]), halves.as_pointer())
            builder.store(builder.add(builder.load(summed), builder.load(pointer, align=2)), summed)
        pointer = builder.bitcast(builder.gep(target.data, [first]), halves.as_pointer())
        builder.store(builder.load(summed), pointer, align=2)
        return context.get_dummy_value()

    return types.void(values, starts, first, total), build


@njit
def _average(half, rest, factor, levels):  # type: ignore[no-untyped-def]
    for i in range(levels.size):
        total = np.uint32(np.uint32(half[i]) + np.uint32(rest[i]))
        levels[i] = np.uint32(np.uint32(total * factor) + np.uint32(1 << 16)) >> np.uint32(17)


def glass_blur(images: Images, pixels: NDArray[np.uint16], *, sigma: float, max_delta: int, iterations: int) -> Images:
    """Blur, swap neighbouring pixels, and blur again [HD].

    `sigma` of the Gaussian in pixels, 0 to 20; `max_delta` is how far apart swapped pixels are at most; `iterations` is
    how often each is swapped. `images` uint8 (N, H, W, C); `pixels` uint16 (N, H, W). Return a new array like `images`.
    """
    weights = blur.gaussian_weights("glass_blur", sigma)
    down, across = (blur.clamped(n, weights.size - 1) for n in images.shape[1:3])
    order = lookup.constant(glass_order(pixels, max_delta, iterations))
    out = np.empty(images.shape, np.uint8)
    _glass(flat(images, images.shape), order, weights, down, across, out)
    return out


def glass_order(pixels: NDArray[np.uint16], max_delta: int, iterations: int) -> Ints:
    """Return which pixel of each image stands at each place after the swaps of `glass_blur`; int32 (N, H * W)."""
    blur.check_shuffle(max_delta, iterations)
    order = np.empty((len(pixels), pixels.shape[1] * pixels.shape[2]), np.int32)
    _shuffle(flat(pixels, pixels.shape), max_delta, iterations, order)
    return order


@njit
def _shuffle(uniforms, delta, iterations, order):  # type: ignore[no-untyped-def]
    count, height, width = uniforms.shape
    base = np.uint32(2 * delta)
    digits = np.empty((height, width), np.uint32)
    other = np.empty(width, np.int32)
    for n in range(count):
        place = order[n]
        for e in range(place.size):
            place[e] = e
        for p in range(height):
            for q in range(width):
                digits[p, q] = uniforms[n, p, q]
        for _ in range(iterations):
            for p in range(height - delta, delta, -1):
                row = digits[p]
                for q in range(width):
                    right = np.uint32(row[q] * base)
                    lower = np.uint32((right & np.uint32(65535)) * base)
                    row[q] = lower & np.uint32(65535)
                    dx, dy = np.int32(right >> np.uint32(16)) - delta, np.int32(lower >> np.uint32(16)) - delta
                    other[q] = (p + dy) * width + q + dx
                for q in range(width - delta, delta, -1):
                    here, there = p * width + q, other[q]
                    place[here], place[there] = place[there], place[here]


@njit
def _glass(images, order, weights, down, across, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    levels = np.empty((height, line), np.uint16)
    soft = np.empty((height, line), np.uint8)
    for n in range(count):
        _widen(images[n].reshape(-1), levels.reshape(-1))
        _soften(levels, weights, down, across, channels, soft)
        pixels, moved, places = soft.reshape(-1), levels.reshape(-1), order[n]
        for e in range(places.size):
            source = places[e] * channels
            for c in range(channels):
                moved[e * channels + c] = np.uint16(pixels[source + c]) << np.uint16(6)
        _soften(levels, weights, down, across, channels, out[n].reshape(height, line))
