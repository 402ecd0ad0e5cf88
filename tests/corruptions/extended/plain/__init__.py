"""The definitions of the extended set in docs/corruptions.md a second time, in plain NumPy: slow, and the oracle.

A module a group of kernels, as in `corruptions.extended`. A function takes one image (H, W, C), int64, and what is
drawn for it: `uniforms` (H, W, C), `pixels` (H, W), `angle` an int, `words` a list of ints. Nothing here imports a
kernel or a table of the package.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.corruptions import plain

Array = NDArray[Any]


def words(key: tuple[int, int], index: int, count: int) -> list[int]:
    """Return the first `count` words of an image's counters (block, index, 1, 0)."""
    return [plain.philox((i // 4, index, 1, 0), key)[i % 4] for i in range(count)]


def corrupt(
    images: Array,
    module: str,
    kernel: str,
    parameters: dict[str, Any],
    draws: Sequence[str],
    count: int,
    key: tuple[int, int],
    indices: Sequence[int],
) -> Array:
    """Return uint8 images corrupted one by one; `draws`, and the `count` of words, as the table says."""
    function = getattr(importlib.import_module(f"{__name__}.{module}"), kernel)
    out = np.empty_like(images)
    for n, index in enumerate(indices):
        shape = images.shape[1:]
        by_name = {
            "uniforms": lambda: plain.uniforms(key, index, math.prod(shape)).reshape(shape),  # noqa: B023
            "pixels": lambda: plain.uniforms(key, index, math.prod(shape[:2])).reshape(shape[:2]),  # noqa: B023
            "angles": lambda: plain.angle(key, index),  # noqa: B023
            "words": lambda: words(key, index, count),  # noqa: B023
        }
        result = function(images[n].astype(np.int64), *(by_name[name]() for name in draws), **parameters)
        assert result.min() >= 0
        assert result.max() <= 255
        out[n] = result
    return out
