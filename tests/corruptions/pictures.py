"""The small fixed images that tests and golden checksums work on, made by integer formulas."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def waves(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return the images of the check vectors: every level, no symmetry."""
    n, h, w, c = np.ogrid[:count, :height, :width, :channels]
    return ((7 * h + 13 * w + 29 * c + 101 * n + h * w // 16) % 256).astype(np.uint8)


def disc(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return one image with black and white surroundings, a bright disc, an edge and a tinted ramp."""
    h, w, c = np.ogrid[:height, :width, :channels]
    inside = (2 * h - height) ** 2 + (2 * w - width) ** 2 < min(height, width) ** 2 // 2
    ramp = (h * 255 // height + 40 * c) % 256
    return np.where(inside, 200 - 25 * c, np.where(w < width // 3, 0, ramp))[None].astype(np.uint8)


def digest(array: NDArray[Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of an array's C-order bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
