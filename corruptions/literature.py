"""The corruptions as the literature states them, in floating point: the yardstick of the exact kernels, and a backend.

The definitions are those of ImageNet-C [HD] (Hendrycks & Dietterich, ICLR 2019, section 4 and its released code) and
MedMNIST-C [MM] (Di Salvo et al., 2024), each with the library that its authors used. Two things differ from them on
purpose: results are rounded to the nearest level, where theirs are cut off, and chance comes in as an argument, from
the same draws as for the other backends. Images are uint8 (N, H, W, C), values 0 to 255, C = 1 or 3. The bytes depend
on the libraries' versions, so they are no benchmark's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import BackendUnavailable

try:
    from PIL import Image, ImageStat
    from scipy import ndimage, special
    from skimage import color
except ImportError as missing:
    raise BackendUnavailable(
        f"backend 'literature' needs SciPy, scikit-image and Pillow ({missing}); install them with:"
        " pip install 'medimeta-c[literature]'"
    ) from missing

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]


def gaussian_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Add normal noise of standard deviation `std`, a fraction of the full range [HD]."""
    normal = special.ndtri((uniforms + 0.5) / 65536)
    return _levels(images / 255 + std * normal)


def impulse_noise(images: Images, uniforms: NDArray[np.uint16], *, amount: float) -> Images:
    """Replace a fraction `amount` of the elements, salt and pepper alike [HD]; scikit-image's random_noise."""
    chance = (uniforms + 0.5) / 65536
    return np.where(chance < amount / 2, 0, np.where(chance > 1 - amount / 2, 255, images)).astype(np.uint8)


def motion_blur(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur with ImageMagick's motion blur, in its 16-bit arithmetic; `radius` and `sigma` in pixels [HD].

    [HD] draws the angle evenly from -45 to 45 degrees; here it is one of 256 in the middle of as many steps.
    """
    magick = _wand()
    out = np.empty_like(images)
    for image, angle, blurred in zip(images, angles, out, strict=True):
        with magick.from_array(image.squeeze(-1) if image.shape[-1] == 1 else image) as picture:
            picture.virtual_pixel = "edge"
            picture.motion_blur(radius=radius, sigma=sigma, angle=direction(int(angle)))
            height, width, channels = image.shape
            exported = picture.export_pixels(0, 0, width, height, "RGB" if channels == 3 else "R", "short")
            blurred[...] = _levels(np.asarray(exported).reshape(image.shape) / 65535)
    return out


def direction(angle: int) -> float:
    """Return the direction of motion in degrees, -45 to 45, of an angle's index 0 to 255."""
    return (2 * angle + 1 - 256) * 45 / 256


def _wand() -> Any:
    try:
        from wand.image import Image as Picture
    except ImportError as missing:
        # Wand is a Python package, and raises the same error if the ImageMagick library beneath is not there.
        raise BackendUnavailable(
            "motion_blur of backend 'literature' needs Wand and ImageMagick's library; install them with: pip install"
            " 'medimeta-c[literature]' and apt-get install libmagickwand-6.q16-6"
        ) from missing
    return Picture


def motion_blur_in_float(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Do what `motion_blur` does in double precision: the arithmetic of ImageMagick without any build's rounding.

    A one-sided Gaussian of 2 * radius + 1 weights, laid along the direction in steps of one pixel, each step rounded
    to the pixel grid (MotionBlurImage and GetMotionBlurKernel of ImageMagick 6); edges are replicated.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    out = np.empty_like(images)
    for image, angle, blurred in zip(images, angles, out, strict=True):
        theta = np.radians(direction(int(angle)))
        total = np.zeros(image.shape)
        for step, weight in zip(steps, weights, strict=True):
            right, down = (int(np.ceil(step * part - 0.5)) for part in (np.cos(theta), np.sin(theta)))
            rows = np.clip(np.arange(image.shape[0]) + down, 0, image.shape[0] - 1)
            columns = np.clip(np.arange(image.shape[1]) + right, 0, image.shape[1] - 1)
            total += weight * image[rows][:, columns]
        blurred[...] = _levels(total / 255)
    return out


def zoom_blur(images: Images, *, percents: Sequence[int]) -> Images:
    """Average the image with itself zoomed about the centre, by scipy.ndimage.zoom of order 1 [HD]."""
    scaled = images / 255
    total = scaled.copy()
    for percent in percents:
        for image, summed in zip(scaled, total, strict=True):
            summed += _zoomed(image, percent / 100)
    return _levels(total / (len(percents) + 1))


def _zoomed(image: Floats, factor: float) -> Floats:
    height, width = image.shape[:2]
    # Rounded first: 224 / 1.12 is 200.00000000000003 to a computer, and would keep a pixel more.
    kept = [int(np.ceil(np.round(size / factor, 9))) for size in (height, width)]
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    cut = image[top : top + kept[0], left : left + kept[1]]
    zoomed: Floats = ndimage.zoom(cut, (factor, factor, 1), order=1)
    trim = [(zoomed.shape[0] - height) // 2, (zoomed.shape[1] - width) // 2]
    return zoomed[trim[0] : trim[0] + height, trim[1] : trim[1] + width]


def add_value(images: Images, *, delta: float) -> Images:
    """Add `delta`, a fraction of the full range, to the value of scikit-image's HSV [HD]."""
    if images.shape[-1] == 1:
        return _levels(images / 255 + delta)
    hsv = color.rgb2hsv(images / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + delta, 0, 1)
    return _levels(color.hsv2rgb(hsv))


def channel_mean(images: Images, *, percent: int) -> Images:
    """Scale each channel's distance to its mean [HD]."""
    scaled = images / 255
    means = scaled.mean(axis=(1, 2), keepdims=True)
    return _levels((scaled - means) * (percent / 100) + means)


def scale(images: Images, *, percent: int) -> Images:
    """Scale the levels: Pillow's ImageEnhance.Brightness, blending with black [MM]."""
    return _levels(images / 255 * (percent / 100))


def luma_mean(images: Images, *, percent: int) -> Images:
    """Blend with the image's mean grey: Pillow's ImageEnhance.Contrast [MM]."""
    out = np.empty_like(images)
    for image, blended in zip(images, out, strict=True):
        mean = int(ImageStat.Stat(_picture(image).convert("L")).mean[0] + 0.5)
        blended[...] = _levels((mean + (image.astype(np.float64) - mean) * (percent / 100)) / 255)
    return out


def pixelate(images: Images, *, percent: int) -> Images:
    """Shrink with Pillow's box filter, and enlarge with its nearest one [HD], [MM]."""
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    size = (max(1, width * percent // 100), max(1, height * percent // 100))
    for image, coarse in zip(images, out, strict=True):
        small = _picture(image).resize(size, Image.Resampling.BOX)
        coarse[...] = np.asarray(small.resize((width, height), Image.Resampling.NEAREST)).reshape(image.shape)
    return out


def _picture(image: Images) -> Image.Image:
    return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)


def _levels(scaled: NDArray[np.floating[Any]]) -> Images:
    """Return values from 0 to 1 as levels 0 to 255, the nearest, halves up."""
    levels: Images = np.floor(np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels
