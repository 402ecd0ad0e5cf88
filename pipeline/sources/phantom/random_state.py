"""Random numbers of the phantom: those of image i of a split depend on (seed, data set, split, i) and nothing else."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu import draws
from corruptions.draws import PhiloxKey
from pipeline.sources.phantom.plane import Field

DRAWING_VERSION = 1
"""Goes up when the drawings change: another key, so other images."""

_NUMBERS = 6144


def key(*parts: str | int) -> PhiloxKey:
    """Return the Philox key of a text: the first eight bytes of its SHA-256 as two little-endian words."""
    text = "/".join(("phantom", str(DRAWING_VERSION), *map(str, parts)))
    words = np.frombuffer(hashlib.sha256(text.encode("ascii")).digest()[:8], "<u4")
    return int(words[0]), int(words[1])


class RandomState:
    """The random numbers of one image, drawn in order."""

    def __init__(self, stream: PhiloxKey, index: int) -> None:
        self._numbers = (draws.uniforms(stream, [index], _NUMBERS)[0].astype(np.float64) + 0.5) / 65536.0
        self._next = 0

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> Field:
        """Return `count` numbers between `low` and `high`."""
        start, self._next = self._next, self._next + count
        if self._next > _NUMBERS:
            raise AssertionError(f"a drawing takes at most {_NUMBERS} numbers")
        numbers: Field = low + (high - low) * self._numbers[start : self._next]
        return numbers

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return one number between `low` and `high`."""
        self._next += 1
        return low + (high - low) * float(self._numbers[self._next - 1])

    def integer(self, low: int, high: int) -> int:
        """Return one whole number from `low` to `high`, both included."""
        return low + math.floor(self.uniform() * (high - low + 1))

    def sign(self) -> float:
        """Return -1.0 or 1.0."""
        return 1.0 if self.uniform() < 0.5 else -1.0

    def happens(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self.uniform() < probability


def balanced_labels(stream: PhiloxKey, count: int, classes: int) -> NDArray[np.int64]:
    """Return the labels of the first `count` images: every run of `classes` images holds each class once."""
    runs = -(-count // classes)
    if runs == 0:
        return np.empty(0, np.int64)
    order = np.argsort(draws.uniforms(stream, range(runs), classes), axis=1, kind="stable")
    return order.reshape(-1)[:count].astype(np.int64)
