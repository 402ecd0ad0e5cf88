"""The random numbers of the CPU kernels: Philox4x32-10 in Numba.

The four words of Philox at counter (block, image index, 0, 0) give eight 16-bit uniforms of the image, or its angle;
those at (block, image index, 1, 0) are words of a kernel's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.draws import INCREMENTS, MULTIPLIERS, ROUNDS, PhiloxKey
from corruptions.spec import Indices, Strength

_M0, _M1 = map(np.uint64, MULTIPLIERS)
_W0, _W1 = map(np.uint32, INCREMENTS)
_HALF = np.uint64(32)

Drawn = tuple[NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32], ...]
"""What a kernel takes beside its images, in the order of `Strength.draws`."""


def draw(strength: Strength, key: PhiloxKey, indices: Indices, shape: tuple[int, ...]) -> Drawn:
    """Draw what the kernel takes beside its images of `shape` (N, H, W, C), each as the function of its name says."""
    by_name: dict[str, Callable[[], NDArray[Any]]] = {
        "uniforms": lambda: uniforms(key, indices, math.prod(shape[1:])).reshape(shape),
        "pixels": lambda: uniforms(key, indices, math.prod(shape[1:3])).reshape(shape[:3]),
        "angles": lambda: angles(key, indices),
        "words": lambda: words(key, indices, strength.words),
    }
    return tuple(by_name[name]() for name in strength.draws)


def uniforms(key: PhiloxKey, indices: Indices, size: int) -> NDArray[np.uint16]:
    """Draw `size` 16-bit uniforms for each image index; uint16 (N, size), element e in C order of the image."""
    # Low half first: on a little-endian machine the words in memory are the uniforms already.
    halves = _words(key, indices, -(-size // 8)).astype("<u4", copy=False).view("<u2")
    return np.ascontiguousarray(halves[:, :size], np.uint16)


def angles(key: PhiloxKey, indices: Indices) -> NDArray[np.uint8]:
    """Draw one direction of motion for each image index; uint8 (N,), 256 steps of 45/128 degree around 0."""
    return (_words(key, indices, 1)[:, 0] >> 24).astype(np.uint8)


def words(key: PhiloxKey, indices: Indices, count: int) -> NDArray[np.uint32]:
    """Draw `count` words for each image index, uint32 (N, count), of counters that no other draw reads."""
    return np.ascontiguousarray(_words(key, indices, -(-count // 4), 1)[:, :count])


def _words(key: PhiloxKey, indices: Indices, blocks: int, stream: int = 0) -> NDArray[np.uint32]:
    words = np.empty((len(indices), 4 * blocks), np.uint32)
    _fill(words, np.array(indices, np.uint32), np.uint32(stream), np.uint32(key[0]), np.uint32(key[1]))
    return words


@njit
def _fill(words, indices, stream, k0, k1):  # type: ignore[no-untyped-def]
    """Fill uint32 (N, 4 * blocks) with the words of counters (block, index, stream, 0)."""
    zero = np.uint32(0)
    for n in range(words.shape[0]):
        image, index = words[n], indices[n]
        for block in range(image.size // 4):
            w0, w1, w2, w3 = philox(np.uint32(block), index, stream, zero, k0, k1)
            image[4 * block], image[4 * block + 1], image[4 * block + 2], image[4 * block + 3] = w0, w1, w2, w3


@numba.njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return the four words of Philox4x32-10 at counter (c0, c1, c2, c3) under key (k0, k1); all uint32."""
    for _ in range(ROUNDS):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = np.uint32(p1 >> _HALF) ^ c1 ^ k0
        c1 = np.uint32(p1)
        c2 = np.uint32(p0 >> _HALF) ^ c3 ^ k1
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3
