"""The CPU kernel of zoom blur: for each zoom, interpolate along the rows, then between two such rows.

Severities have many zooms in common, and integers may be summed in any order: every zoom is computed once and added to
the severities that have it.

The first step reads pixels that are not evenly spaced, which a compiler does not vectorise. But for sixteen
neighbouring elements of the result they lie at one to three distinct distances. So the step is written as blocks:
sixteen pairs of a pixel and the next one, at one distance, times sixteen pairs of weights, which are 0 where the
distance is another.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import COMPILES, njit
from corruptions.cpu.levels import flat
from corruptions.spec import Images

_BLOCK = 16
_TILE = 8  # rows of the result at a time, so that a zoom's weights are read from the first cache

Percents = tuple[int, ...]


def zoom_blur(images: Images, *, percents: Sequence[int]) -> Images:
    """Average each image with its enlargements by `percents`, 1 to 31 of 100 or more, bilinear, cut to the centre [HD].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    return zoom_blur_sweep(images, percents=[percents])[0]


def zoom_blur_sweep(images: Images, *, percents: Sequence[Sequence[int]]) -> list[Images]:
    """Return `zoom_blur` at each list of percents; what the lists have in common is computed once."""
    lists = tuple(map(tuple, percents))
    _count, height, width, channels = images.shape
    plan = _plan(lists)
    down = lookup.zoom_taps(height, plan.zooms)
    blocks = _blocks(width, channels, plan.zooms)
    out = np.empty((len(lists), *images.shape), np.uint8)
    _zoom(flat(images, images.shape), plan.groups, plan.uses, plan.unzoomed, plan.parts, *down, *blocks, out)
    return list(out)


class _Plan(NamedTuple):
    """Which zooms are computed, and which lists of percents use them.

    Group g is `zooms[groups[g]:groups[g + 1]]`, the zooms that list k has ``uses[g, k]`` times (once, as a rule). List
    k averages ``parts[k]`` images, of which ``unzoomed[k]`` are the image itself, as at 100 percent.
    """

    zooms: Percents
    groups: NDArray[np.int32]
    uses: NDArray[np.int32]
    unzoomed: NDArray[np.int32]
    parts: NDArray[np.int32]


@functools.lru_cache(maxsize=32)
def _plan(lists: tuple[Percents, ...]) -> _Plan:
    for percents in lists:
        lookup.check_zooms(percents)
    counts = {z: tuple(percents.count(z) for percents in lists) for percents in lists for z in percents if z != 100}
    zooms = sorted(counts, key=lambda z: (counts[z], z))
    uses = sorted(set(counts.values()))
    starts = [0, *np.cumsum([sum(counts[z] == use for z in zooms) for use in uses])]
    return _Plan(
        tuple(zooms),
        lookup.constant(np.array(starts, np.int32)),
        lookup.constant(np.array(uses, np.int32).reshape(len(uses), len(lists))),
        lookup.constant(np.array([1 + percents.count(100) for percents in lists], np.int32)),
        lookup.constant(np.array([1 + len(percents) for percents in lists], np.int32)),
    )


class _Blocks(NamedTuple):
    """The blocks of zoom i are `starts[i]` to `starts[i + 1]`: elements `targets`, read from pairs at `sources`.

    Its first ones are one for each sixteen elements, in order, so that they can be stored without being zero before.
    """

    starts: NDArray[np.uint64]
    targets: NDArray[np.uint64]
    sources: NDArray[np.uint64]
    weights: NDArray[np.int16]


@functools.lru_cache(maxsize=32)
def _blocks(width: int, channels: int, zooms: Percents) -> _Blocks:
    element = np.arange(width * channels)
    starts, targets, sources, weights = [0], [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int16)]
    for first, weight in zip(*lookup.zoom_taps(width, zooms), strict=True):
        distance = first[element // channels] * channels + element % channels - element
        second = weight[element // channels]
        # One number a block, so that np.unique groups the elements: the sixteen, then the distance.
        reach = 2 * element.size
        blocks, member = np.unique(element // _BLOCK * reach + distance + element.size, return_inverse=True)
        rows = np.zeros((blocks.size, _BLOCK, 2), np.int16)
        rows[member, element % _BLOCK] = np.stack([512 - second, second], axis=-1)
        target = blocks // reach * _BLOCK
        order = np.argsort(np.diff(target, prepend=-1) == 0, kind="stable")
        targets.append(target[order])
        sources.append(2 * (target + blocks % reach - element.size + _BLOCK)[order])
        weights.append(rows[order].reshape(-1))
        starts.append(starts[-1] + blocks.size)
    return _Blocks(
        lookup.constant(np.array(starts, np.uint64)),
        lookup.constant(np.concatenate(targets).astype(np.uint64)),
        lookup.constant(np.concatenate(sources).astype(np.uint64)),
        lookup.constant(np.concatenate(weights)),
    )


@njit
def _zoom(images, groups, uses, unzoomed, parts, first, weight, starts, targets, sources, weights, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line, lists, zooms = width * channels, out.shape[0], groups[groups.size - 1]
    sixteens, two_blocks = np.uint64((line + _BLOCK - 1) // _BLOCK), np.uint64(2 * _BLOCK)
    pairs = np.zeros((height, 2 * (line + 3 * _BLOCK)), np.int16)
    # The two latest rows of each zoom, row r in slot r % 2, and which is the last.
    across = np.empty((zooms, 2, line + _BLOCK), np.int32)
    latest = np.empty(zooms, np.int32)
    subtotal = np.empty((_TILE, line), np.int32)
    total = np.empty((lists, _TILE, line), np.int32)
    for n in range(count):
        image = images[n].reshape(height, line)
        for r in range(height):
            _pair(image[r], channels, pairs[r])
        latest[:] = -1
        for top in range(0, height, _TILE):
            end = min(top + _TILE, height)
            for k in range(lists):
                for p in range(top, end):
                    _begin(image[p], np.int32(unzoomed[k] << 18), np.int32(parts[k] << 17), total[k, p - top])
            for g in range(uses.shape[0]):
                subtotal[:] = 0
                for z in range(groups[g], groups[g + 1]):
                    for p in range(top, end):
                        upper = first[z, p]
                        lower = min(upper + 1, height - 1)
                        for r in range(max(upper, latest[z] + 1), lower + 1):
                            row = across[z, r % 2]
                            more = starts[z] + sixteens
                            for b in range(starts[z], more):
                                _set_pairs(row, targets[b], pairs[r], sources[b], weights, two_blocks * b)
                            for b in range(more, starts[z + 1]):
                                _add_pairs(row, targets[b], pairs[r], sources[b], weights, two_blocks * b)
                            latest[z] = r
                        _add_between(across[z, upper % 2], across[z, lower % 2], weight[z, p], subtotal[p - top])
                for k in range(lists):
                    for _ in range(uses[g, k]):
                        for p in range(end - top):
                            _add(subtotal[p], total[k, p])
            for k in range(lists):
                zoomed = out[k, n].reshape(height, line)
                for p in range(top, end):
                    _divide(total[k, p - top], parts[k], zoomed[p])


@njit
def _pair(row, channels, pairs):  # type: ignore[no-untyped-def]
    """Store each element and the one of the next pixel, from `_BLOCK` pairs on; the last pixel's next one weighs 0."""
    body = pairs[2 * _BLOCK : 2 * (_BLOCK + row.size)]
    for j in range(row.size):
        body[2 * j] = row[j]
    for j in range(row.size - channels):
        body[2 * j + 1] = row[j + channels]


@njit
def _begin(row, unzoomed, half, total):  # type: ignore[no-untyped-def]
    for j in range(row.size):
        total[j] = np.int32(np.int32(row[j]) * unzoomed) + half


@njit
def _add_between(upper, lower, weight, subtotal):  # type: ignore[no-untyped-def]
    w = np.int32(weight)
    for j in range(subtotal.size):
        subtotal[j] += np.int32(np.int32(upper[j] << 9) + np.int32(w * np.int32(lower[j] - upper[j])))


@njit
def _add(subtotal, total):  # type: ignore[no-untyped-def]
    for j in range(subtotal.size):
        total[j] += subtotal[j]


@njit
def _divide(total, parts, result):  # type: ignore[no-untyped-def]
    # Multiply by 1 / parts, rounded up at 22 bits: the same floor as // parts for every sum there can be (< 2^13).
    reciprocal = np.uint32((1 << 22) // parts + 1)
    for j in range(result.size):
        result[j] = np.uint32((np.uint32(total[j]) >> np.uint32(18)) * reciprocal) >> np.uint32(22)


def _pairs(adding: bool) -> Any:
    def in_python(total: Any, t: Any, pairs: Any, r: Any, weights: Any, w: Any) -> None:
        products = pairs[r : r + 2 * _BLOCK].astype(np.int32) * weights[w : w + 2 * _BLOCK]
        total[t : t + _BLOCK] = products[0::2] + products[1::2] + (total[t : t + _BLOCK] if adding else 0)

    def of_sixteen(context: Any, total: Any, t: Any, pairs: Any, r: Any, weights: Any, w: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def pointer(number: int, bits: int, length: int) -> Any:
                array = context.make_array(signature.args[number])(context, builder, arguments[number])
                vector = ir.VectorType(ir.IntType(bits), length)
                return builder.bitcast(builder.gep(array.data, [arguments[number + 1]]), vector.as_pointer())

            wide = ir.VectorType(ir.IntType(32), 2 * _BLOCK)
            pair, weight = (builder.sext(builder.load(pointer(n, 16, 2 * _BLOCK), align=2), wide) for n in (2, 4))
            products = builder.mul(pair, weight)
            # Even and odd ones are parted after the product: so the compiler has one instruction for all of it.
            parted = [[ir.IntType(32)(2 * k + odd) for k in range(_BLOCK)] for odd in (0, 1)]
            lanes = [ir.Constant(ir.VectorType(ir.IntType(32), _BLOCK), indices) for indices in parted]
            summed = builder.add(*(builder.shuffle_vector(products, products, half) for half in lanes))
            target = pointer(0, 32, _BLOCK)
            if adding:
                summed = builder.add(builder.load(target, align=4), summed)
            builder.store(summed, target, align=4)
            return context.get_dummy_value()

        return types.void(total, t, pairs, r, weights, w), build

    return intrinsic(of_sixteen) if COMPILES else in_python


# total[t + k] = pairs[r + 2 k] * weights[w + 2 k] + pairs[r + 2 k + 1] * weights[w + 2 k + 1] for k below `_BLOCK`, or
# += for the second, as one vector operation on most processors. As a loop it would stay scalar: the compiler cannot
# know that the arrays do not overlap.
_set_pairs, _add_pairs = _pairs(False), _pairs(True)
