"""The key of a counter-based random number: which corruption of which data set it is for.

A random number is a pure function of (seed, dataset, split, corruption, image index, element), computed by
Philox4x32-10 (Salmon et al., SC 2011) in `cpu.draws` and `gpu.draws`. So the order of the work, the batch size and the
number of workers cannot change it. Severity is not in the key: the five severities of an image share their random
numbers, so impulse masks nest.
"""

from __future__ import annotations

import hashlib

from corruptions.table import BYTES_VERSION

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Multipliers of Philox4x32 (Salmon et al. 2011, table 2)."""

INCREMENTS = (0x9E3779B9, 0xBB67AE85)
"""Weyl increments of the key from round to round (the same, section 4)."""

ROUNDS = 10

PhiloxKey = tuple[int, int]
"""Two unsigned 32-bit integers (k0, k1)."""


def philox_key(seed: int, dataset: str, split: str, corruption: str) -> PhiloxKey:
    """Return the Philox key of one corruption of one data set's split.

    It is the first eight bytes of the SHA-256 of an ASCII text, read as two little-endian words.
    """
    text = f"medimeta-c/{BYTES_VERSION}/{seed}/{dataset}/{split}/{corruption}"
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")
