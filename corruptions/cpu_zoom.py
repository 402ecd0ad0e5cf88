"""The CPU kernel of zoom blur: for each row of the result and each zoom, a row between two rows, then its columns.

The second step reads at places that are not evenly spaced, which a compiler does not vectorise. But in sixteen
neighbouring elements they lie at two to five distinct distances from the element, so the step is written as blocks:
sixteen elements of the total, sixteen of the row at one distance, sixteen weights, 0 where the distance is another.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu_levels import Images, flat

_BLOCK = 16


def zoom_blur(images: Images, *, percents: Sequence[int]) -> Images:
    """Average the image with its enlargements by `percents`, each 100 or more, bilinear, cut to the centre."""
    _count, height, width, channels = images.shape
    down = lookup.zoom_taps(height, tuple(percents))
    blocks = _blocks(width, channels, tuple(percents))
    # 100 percent is the image itself: no work but its share.
    zooms = np.array([i for i, percent in enumerate(percents) if percent != 100], np.int32)
    shares = len(percents) + 1
    out = np.empty(images.shape, np.uint8)
    _zoom(flat(images, images.shape), zooms, shares, *down, *blocks, out)
    return out


class _Blocks(NamedTuple):
    """The blocks of zoom i are `starts[i]` to `starts[i + 1]`; `sources` count from `_BLOCK` elements left of a row."""

    starts: NDArray[np.int32]
    targets: NDArray[np.int32]
    sources: NDArray[np.int32]
    weights: NDArray[np.int16]


@functools.lru_cache(maxsize=32)
def _blocks(width: int, channels: int, percents: tuple[int, ...]) -> _Blocks:
    taps = lookup.zoom_taps(width, percents)
    element = np.arange(width * channels)
    starts, targets, sources, weights = [0], [], [], []
    for first, weight in zip(taps.first.astype(np.int64), taps.weight, strict=True):
        near = first[element // channels] * channels + element % channels
        share = weight[element // channels]
        target = np.concatenate([element, element])
        distance = np.concatenate([near, near + channels]) - target
        value = np.concatenate([512 - share, share])
        target, distance, value = target[value > 0], distance[value > 0], value[value > 0]
        # One number a block, so that np.unique groups the elements: the distance, then the sixteen.
        group = distance * element.size + target // _BLOCK
        blocks, member = np.unique(group, return_inverse=True)
        rows = np.zeros((blocks.size, _BLOCK), np.int16)
        rows[member, target % _BLOCK] = value
        targets.append(blocks % element.size * _BLOCK)
        sources.append(targets[-1] + blocks // element.size + _BLOCK)
        weights.append(rows.reshape(-1))
        starts.append(starts[-1] + blocks.size)
    return _Blocks(
        lookup.constant(np.array(starts, np.int32)),
        lookup.constant(np.concatenate(targets).astype(np.int32)),
        lookup.constant(np.concatenate(sources).astype(np.int32)),
        lookup.constant(np.concatenate(weights)),
    )


@numba.njit(nogil=True, cache=True)
def _zoom(images, zooms, shares, first, weight, starts, targets, sources, weights, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    between = np.zeros(line + 2 * _BLOCK, np.int32)
    total = np.empty(line + _BLOCK, np.int32)
    own = np.int32((shares - zooms.size) << 18)
    half = np.int32(shares << 17)
    # Multiply by 1 / shares, rounded up at 22 bits: the same floor as // shares for every sum there can be (< 2^13).
    reciprocal = np.uint32((1 << 22) // shares + 1)
    for n in range(count):
        image, zoomed = images[n].reshape(height, line), out[n].reshape(height, line)
        for p in range(height):
            row = image[p]
            for j in range(line):
                total[j] = np.int32(np.int32(row[j]) * own) + half
            for z in zooms:
                upper = first[z, p]
                _mix(image[upper], image[min(upper + 1, height - 1)], weight[z, p], between[_BLOCK : _BLOCK + line])
                for b in range(starts[z], starts[z + 1]):
                    _add_product(total, targets[b], between, sources[b], weights, b * _BLOCK)
            result = zoomed[p]
            for j in range(line):
                result[j] = np.uint32((np.uint32(total[j]) >> np.uint32(18)) * reciprocal) >> np.uint32(22)


@numba.njit(nogil=True, cache=True)
def _mix(upper, lower, weight, between):  # type: ignore[no-untyped-def]
    w, v = np.int32(weight), np.int32(512 - weight)
    for j in range(upper.size):
        between[j] = np.int32(np.int32(upper[j]) * v) + np.int32(np.int32(lower[j]) * w)


@intrinsic  # type: ignore[untyped-decorator]
def _add_product(context, total, t, row, r, weights, w):  # type: ignore[no-untyped-def]
    """Do total[t + k] += row[r + k] * weights[w + k] for k below `_BLOCK`, as one vector operation.

    As a loop it would stay scalar: the compiler cannot know that the arrays do not overlap.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def place(number: int, width: int) -> Any:
            array = context.make_array(signature.args[number])(context, builder, arguments[number])
            index = builder.sext(arguments[number + 1], ir.IntType(64))
            vector = ir.VectorType(ir.IntType(width), _BLOCK)
            return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())

        target = place(0, 32)
        factor = builder.load(place(2, 32), align=4)
        weight = builder.sext(builder.load(place(4, 16), align=2), factor.type)
        builder.store(builder.add(builder.load(target, align=4), builder.mul(factor, weight)), target, align=4)
        return context.get_dummy_value()

    return types.void(total, t, row, r, weights, w), build
