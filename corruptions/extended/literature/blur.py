"""The published formulas of the blurs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters

from corruptions.literature import Floats, to_levels
from corruptions.spec import BackendUnavailable, Images


def gaussian_blur(images: Images, *, sigma: float) -> Images:
    """Blur with scikit-image's Gaussian of `sigma` pixels [HD].

    `images` uint8 (N, H, W, C).
    """
    return to_levels(_gaussian(images, sigma))


def _gaussian(images: Images, sigma: float) -> Floats:
    blurred: Floats = filters.gaussian(images / 255, sigma=(0, sigma, sigma), channel_axis=-1)
    return blurred


def gaussian_window(images: Images, *, size: int) -> Images:
    """Blur with a Gaussian in a window of `size` pixels: torchvision's gaussian_blur with its own sigma [MM].

    `images` uint8 (N, H, W, C).
    """
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    heights = np.exp(-0.5 * (np.linspace(-(size - 1) / 2, (size - 1) / 2, size) / sigma) ** 2)
    blurred = images / 255
    for axis in (1, 2):
        blurred = ndimage.correlate1d(blurred, heights / heights.sum(), axis=axis, mode="mirror")
    return to_levels(blurred)


def defocus_blur(images: Images, *, radius: float, alias_blur: float) -> Images:
    """Average over a disk of `radius` pixels, blurred by a Gaussian of `alias_blur` pixels, with OpenCV [HD], [MM].

    `images` uint8 (N, H, W, C).
    """
    opencv = _opencv()
    reach, size = (8, 3) if radius <= 8 else (int(radius), 5)
    grid = np.arange(-reach, reach + 1)
    disk = (grid[:, None] ** 2 + grid[None, :] ** 2 <= radius**2).astype(np.float32)
    kernel = opencv.GaussianBlur(disk / disk.sum(), ksize=(size, size), sigmaX=alias_blur)
    out = np.empty_like(images)
    for image, blurred in zip(images / 255, out, strict=True):
        for channel in range(image.shape[-1]):
            blurred[..., channel] = to_levels(opencv.filter2D(np.ascontiguousarray(image[..., channel]), -1, kernel))
    return out


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as missing:
        raise BackendUnavailable(
            f"defocus_blur of backend 'literature' needs OpenCV ({missing}): pip install opencv-python-headless"
        ) from missing
    return cv2


def glass_blur(images: Images, pixels: NDArray[np.uint16], *, sigma: float, max_delta: int, iterations: int) -> Images:
    """Blur, swap each pixel with a random one near by, row by row from the last, and blur again [HD].

    `images` uint8 (N, H, W, C); `pixels` uint16 (N, H, W), whose digits in base 2 * `max_delta` are the distances that
    [HD] draws as it goes. Two things differ from its code on purpose: the first blur is rounded, and colours are
    swapped as grey levels are, where its assignment of one NumPy view to another copies one of the two pixels.
    """
    soft = to_levels(_gaussian(images, sigma))
    height, width = images.shape[1:3]
    for image, uniforms in zip(soft, pixels.tolist(), strict=True):
        rows = image.tolist()
        for _ in range(iterations):
            for p in range(height - max_delta, max_delta, -1):
                for q in range(width - max_delta, max_delta, -1):
                    dx, fraction = divmod(uniforms[p][q] * 2 * max_delta, 65536)
                    dy, uniforms[p][q] = divmod(fraction * 2 * max_delta, 65536)
                    other = rows[p + dy - max_delta]
                    beside = q + dx - max_delta
                    rows[p][q], other[beside] = other[beside], rows[p][q]
        image[...] = rows
    return to_levels(_gaussian(soft, sigma))
