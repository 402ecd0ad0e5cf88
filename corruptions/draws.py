"""All chance: what is drawn for an image, apart from what is done with it.

Every draw is a pure function of (seed, dataset, split, corruption, image index, element), by the
counter-based generator Philox4x32-10 (Salmon et al., SC 2011), so the order of the work, the batch size
and the number of workers cannot change it. Severity is not in the key: the five severities of an image
share their draw, so impulse masks nest.
"""

from __future__ import annotations

import functools
import hashlib
import statistics
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.table import BYTES_VERSION

# Salmon et al. 2011, table 2 and section 4: multipliers and Weyl increments of Philox4x32.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_HALF = np.uint64(32)

Key = tuple[int, int]
Indices = Sequence[int] | NDArray[np.integer[Any]]


def key(seed: int, dataset: str, split: str, corruption: str) -> Key:
    """Return the Philox key (k0, k1), two unsigned 32-bit integers, of one data set's corruption.

    It is the first eight bytes of the SHA-256 of an ASCII text, read as two little-endian words.
    """
    text = f"medimeta-c/{BYTES_VERSION}/{seed}/{dataset}/{split}/{corruption}"
    words = np.frombuffer(hashlib.sha256(text.encode("ascii")).digest()[:8], "<u4")
    return int(words[0]), int(words[1])


@numba.njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return the four words of Philox4x32-10 at counter (c0, c1, c2, c3) under key (k0, k1); all uint32."""
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = np.uint32(p1 >> _HALF) ^ c1 ^ k0
        c1 = np.uint32(p1)
        c2 = np.uint32(p0 >> _HALF) ^ c3 ^ k1
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@numba.njit(nogil=True, cache=True)
def _fill(words, indices, k0, k1):  # type: ignore[no-untyped-def]
    """Fill uint32 (N, 4 * blocks) with the words of counters (block, index, 0, 0)."""
    zero = np.uint32(0)
    for n in range(words.shape[0]):
        image, index = words[n], indices[n]
        for block in range(image.size // 4):
            w0, w1, w2, w3 = philox(np.uint32(block), index, zero, zero, k0, k1)
            image[4 * block], image[4 * block + 1], image[4 * block + 2], image[4 * block + 3] = w0, w1, w2, w3


def _words(key: Key, indices: Indices, blocks: int) -> NDArray[np.uint32]:
    words = np.empty((len(indices), 4 * blocks), np.uint32)
    _fill(words, np.array(indices, np.uint32), np.uint32(key[0]), np.uint32(key[1]))
    return words


def uniforms(key: Key, indices: Indices, size: int) -> NDArray[np.uint16]:
    """Draw `size` 16-bit uniforms for each image index; uint16 (N, size), element e in C-order of the image."""
    # Low half first: on a little-endian machine the words in memory are the uniforms already.
    halves = _words(key, indices, -(-size // 8)).astype("<u4", copy=False).view("<u2")
    return np.ascontiguousarray(halves[:, :size], np.uint16)


def angles(key: Key, indices: Indices) -> NDArray[np.uint8]:
    """Draw one motion direction for each image index; uint8 (N,), 256 steps of 45/128 degree around 0."""
    return (_words(key, indices, 1)[:, 0] >> 24).astype(np.uint8)


@functools.cache
def normal_table() -> NDArray[np.int16]:
    """Return the standard normal quantile of each 16-bit uniform, in units of 1/4096; int16 (65536,), odd-symmetric."""
    quantile = statistics.NormalDist().inv_cdf
    half = np.array([quantile((u + 0.5) / 65536) for u in range(32768)])
    table = np.empty(65536, np.int16)
    table[:32768] = -np.floor(-4096 * half + 0.5)
    table[32768:] = -table[:32768][::-1]
    table.flags.writeable = False
    return table
