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

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.table import BYTES_VERSION

# Salmon et al. 2011, table 2 and section 4: multipliers and Weyl increments of Philox4x32.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)

Key = tuple[int, int]


def key(seed: int, dataset: str, split: str, corruption: str) -> Key:
    """Return the Philox key (k0, k1), two unsigned 32-bit integers, of one data set's corruption.

    It is the first eight bytes of the SHA-256 of an ASCII text, read as two little-endian words.
    """
    text = f"medimeta-c/{BYTES_VERSION}/{seed}/{dataset}/{split}/{corruption}"
    words = np.frombuffer(hashlib.sha256(text.encode("ascii")).digest()[:8], "<u4")
    return int(words[0]), int(words[1])


@numba.njit(inline="always")
def _philox(c0, c1, k0, k1):  # type: ignore[no-untyped-def]
    """Return the four words of counter (c0, c1, 0, 0); all uint32."""
    c2 = np.uint32(0)
    c3 = np.uint32(0)
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
        c1 = np.uint32(p1)
        c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@numba.njit(nogil=True, cache=True)
def _fill_uniforms(out, indices, k0, k1):  # type: ignore[no-untyped-def]
    size = out.shape[1]
    for n in range(out.shape[0]):
        index = np.uint32(indices[n])
        for block in range((size + 7) // 8):
            words = _philox(np.uint32(block), index, k0, k1)
            for e in range(min(8, size - 8 * block)):
                word = words[e // 2]
                out[n, 8 * block + e] = np.uint16((word >> np.uint32(16 * (e % 2))) & np.uint32(0xFFFF))


@numba.njit(nogil=True, cache=True)
def _fill_angles(out, indices, k0, k1):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        out[n] = np.uint8(_philox(np.uint32(0), np.uint32(indices[n]), k0, k1)[0] >> np.uint32(24))


def uniforms(key: Key, indices: Sequence[int], size: int) -> NDArray[np.uint16]:
    """Draw `size` 16-bit uniforms for each image index; uint16 (N, size), element e in C-order of the image."""
    out = np.empty((len(indices), size), np.uint16)
    _fill_uniforms(out, np.asarray(indices, np.uint32), np.uint32(key[0]), np.uint32(key[1]))
    return out


def angles(key: Key, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Draw one motion direction for each image index; uint8 (N,), 256 steps of 45/128 degree around 0."""
    out = np.empty(len(indices), np.uint8)
    _fill_angles(out, np.asarray(indices, np.uint32), np.uint32(key[0]), np.uint32(key[1]))
    return out


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
