"""Real photographs, as scikit-image ships them, cut to the benchmark's size; and noise, which spares no rounding."""

from __future__ import annotations

import numpy as np
import skimage.data
from numpy.typing import NDArray

SIZE = 224


def photographs() -> dict[str, NDArray[np.uint8]]:
    """Return batches uint8 (1, 224, 224, C), by what they show."""
    retina, tissue = skimage.data.retina(), skimage.data.immunohistochemistry()
    vessels = np.pad(skimage.data.microaneurysms(), ((0, 122), (0, 122)), mode="symmetric")
    noise = np.random.default_rng(224).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    return {
        "retina": _cut(retina, 593, 593),
        "retina, edge": _cut(retina, 20, 560),
        "tissue": _cut(tissue, 144, 144),
        "microaneurysms, grey": _cut(vessels[..., None], 0, 0),
        "camera, grey": _cut(skimage.data.camera()[..., None], 100, 150),
        "noise": noise[None],
    }


def _cut(picture: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[None, top : top + SIZE, left : left + SIZE])
