"""The published formulas of the corruptions that move pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian

from corruptions.literature import to_levels
from corruptions.spec import Images


def elastic_transform(
    images: Images, pixels: NDArray[np.uint16], words: NDArray[np.uint32], *, alpha: float, sigma: float, shift: float
) -> Images:
    """Move three corners by up to `shift` pixels, and pixels by noise up to `alpha` that is blurred by `sigma` [HD].

    SciPy takes the place of OpenCV, which maps to the nearest 1/32 pixel. `images` uint8 (N, H, W, C); `pixels` uint16
    (N, H, W), a byte for each direction; `words` uint32 (N, 3), a corner each, in 1/256 pixel.
    """
    _, height, width, channels = images.shape
    s = max(1, min(height, width) // 3)
    corners = np.array([width // 2, height // 2]) + s * np.array([[1, 1], [1, -1], [-1, -1]])
    row, column = np.mgrid[:height, :width].astype(float)
    out = np.empty_like(images)
    for image, bits, drawn, moved in zip(images, pixels.astype(int), words.astype(int), out, strict=True):
        uniform = (2 * np.stack((drawn >> 16, drawn & 65535), axis=1) - 65535) / 65536
        changed = corners + np.floor(256 * shift * uniform + 0.5) / 256
        affine = np.linalg.solve(np.c_[changed, np.ones(3)], corners.astype(float))
        x, y = np.moveaxis(np.stack((column, row, np.ones_like(row)), axis=2) @ affine, 2, 0)
        right, below = (
            alpha * gaussian((2 * byte - 255) / 256, sigma, mode="reflect", truncate=3)
            for byte in (bits >> 8, bits & 255)
        )
        for c in range(channels):
            stretched = ndimage.map_coordinates(image[..., c] / 255, (y, x), order=1, mode="mirror")
            moved[..., c] = to_levels(
                ndimage.map_coordinates(stretched, (row + below, column + right), order=1, mode="reflect")
            )
    return out
