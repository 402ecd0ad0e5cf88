"""The backend ``literature``: the published formulas in floating point, which the exact kernels are compared with.

The definitions are those of ImageNet-C [HD] (Hendrycks & Dietterich, ICLR 2019, section 4 and its released code) and
MedMNIST-C [MM] (Di Salvo et al., 2024), each with the library that its authors used. Two things differ from them on
purpose: results are rounded to the nearest level, where theirs are truncated, and random numbers are an argument, the
same as for the other backends. Images are uint8 (N, H, W, C), levels 0 to 255, C = 1 or 3; every kernel returns a new
array of that shape. The bytes depend on the libraries' versions, so they never enter a release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.draws import draw
from corruptions.draws import PhiloxKey
from corruptions.spec import BackendUnavailable, Images, Indices, Strength, find_kernel

try:
    from PIL import Image, ImageStat
    from scipy import ndimage, special
    from skimage import color
except ImportError as missing:
    raise BackendUnavailable(
        f"backend 'literature' needs SciPy, scikit-image and Pillow ({missing}); in a checkout of this project:"
        " pip install -e '.[literature]'"
    ) from missing

Floats = NDArray[np.float64]


def run(images: Images, strengths: Sequence[Strength], key: PhiloxKey, indices: Indices) -> Iterator[Images]:
    """Yield the images at each of `strengths`, which are of one kernel; the random numbers are drawn once."""
    kernel = find_kernel("literature", strengths[0].kernel)
    drawn = draw(strengths[0], key, indices, images.shape)
    return (kernel(images, *drawn, **strength.parameters) for strength in strengths)


def gaussian_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Add normal noise of standard deviation `std`, a fraction of the full range [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape.
    """
    normal = special.ndtri((uniforms + 0.5) / 65536)
    return to_levels(images / 255 + std * normal)


def impulse_noise(images: Images, uniforms: NDArray[np.uint16], *, amount: float) -> Images:
    """Set a fraction `amount` of the elements to 0 or 255, half of them each: scikit-image's random_noise [HD].

    `images` uint8 (N, H, W, C); `uniforms` uint16 of the same shape.
    """
    uniform = (uniforms + 0.5) / 65536
    return np.where(uniform < amount / 2, 0, np.where(uniform > 1 - amount / 2, 255, images)).astype(np.uint8)


def motion_blur(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur with ImageMagick's motion blur, in its 16-bit arithmetic; `radius` and `sigma` in pixels [HD].

    `images` uint8 (N, H, W, C); `angles` uint8 (N,). [HD] draws the angle evenly from -45 to 45 degrees; here it is the
    middle of one of 256 equal steps.
    """
    magick = _wand_image()
    out = np.empty_like(images)
    for image, angle, blurred in zip(images, angles, out, strict=True):
        with magick.from_array(image.squeeze(-1) if image.shape[-1] == 1 else image) as picture:
            picture.virtual_pixel = "edge"
            picture.motion_blur(radius=radius, sigma=sigma, angle=direction(int(angle)))
            height, width, channels = image.shape
            exported = picture.export_pixels(0, 0, width, height, "RGB" if channels == 3 else "R", "short")
            blurred[...] = to_levels(np.asarray(exported).reshape(image.shape) / 65535)
    return out


def direction(angle: int) -> float:
    """Return the direction of motion in degrees, -45 to 45, of an angle's index 0 to 255."""
    return (2 * angle + 1 - 256) * 45 / 256


def _wand_image() -> Any:
    try:
        from wand.image import Image as Picture
    except ImportError as missing:
        # Wand is a Python package, and raises the same error if the ImageMagick library beneath is not there.
        raise BackendUnavailable(
            "motion_blur of backend 'literature' needs Wand and ImageMagick's library; in a checkout of this project:"
            " pip install -e '.[literature]', and apt-get install libmagickwand-6.q16-6"
        ) from missing
    return Picture


def motion_blur_in_float(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur as `motion_blur` does, but in double precision: ImageMagick's arithmetic without any build's rounding [HD].

    `images` uint8 (N, H, W, C); `angles` uint8 (N,); `radius` and `sigma` in pixels. A one-sided Gaussian of
    2 * radius + 1 weights is laid along the direction in steps of one pixel, each step rounded to the pixel grid
    (MotionBlurImage and GetMotionBlurKernel of ImageMagick 6); edges are replicated.
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
        blurred[...] = to_levels(total / 255)
    return out


def zoom_blur(images: Images, *, percents: Sequence[int]) -> Images:
    """Average each image with its enlargements by `percents` about the centre, by scipy.ndimage.zoom of order 1 [HD].

    `images` uint8 (N, H, W, C).
    """
    scaled = images / 255
    total = scaled.copy()
    for percent in percents:
        for image, summed in zip(scaled, total, strict=True):
            summed += zoomed(image, percent / 100)
    return to_levels(total / (len(percents) + 1))


def zoomed(image: Floats, factor: float) -> Floats:
    """Return the middle of an image (H, W, C) enlarged by a factor of 1 or more, of the same shape."""
    height, width = image.shape[:2]
    # Rounded first: 224 / 1.12 is 200.00000000000003 to a computer, and would keep a pixel more.
    kept = [int(np.ceil(np.round(size / factor, 9))) for size in (height, width)]
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    cut = image[top : top + kept[0], left : left + kept[1]]
    zoomed: Floats = ndimage.zoom(cut, (factor, factor, 1), order=1)
    trim = [(zoomed.shape[0] - height) // 2, (zoomed.shape[1] - width) // 2]
    return zoomed[trim[0] : trim[0] + height, trim[1] : trim[1] + width]


def add_value(images: Images, *, delta: float) -> Images:
    """Add `delta`, a fraction of the full range, to the value of scikit-image's HSV [HD].

    `images` uint8 (N, H, W, C).
    """
    if images.shape[-1] == 1:
        return to_levels(images / 255 + delta)
    hsv = color.rgb2hsv(images / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + delta, 0, 1)
    return to_levels(color.hsv2rgb(hsv))


def channel_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent of each level's distance to the mean of its channel over the image [HD].

    `images` uint8 (N, H, W, C).
    """
    scaled = images / 255
    means = scaled.mean(axis=(1, 2), keepdims=True)
    return to_levels((scaled - means) * (percent / 100) + means)


def scale(images: Images, *, percent: int) -> Images:
    """Scale every level to `percent` percent: Pillow's ImageEnhance.Brightness, blending with black [MM].

    `images` uint8 (N, H, W, C).
    """
    return to_levels(images / 255 * (percent / 100))


def luma_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent of each level's distance to the image's mean grey: Pillow's ImageEnhance.Contrast [MM].

    `images` uint8 (N, H, W, C).
    """
    out = np.empty_like(images)
    for image, blended in zip(images, out, strict=True):
        mean = int(ImageStat.Stat(pillow_image(image).convert("L")).mean[0] + 0.5)
        blended[...] = to_levels((mean + (image.astype(np.float64) - mean) * (percent / 100)) / 255)
    return out


def pixelate(images: Images, *, percent: int) -> Images:
    """Shrink to `percent` percent with Pillow's box filter, and enlarge with its nearest one [HD], [MM].

    `images` uint8 (N, H, W, C).
    """
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    size = (max(1, width * percent // 100), max(1, height * percent // 100))
    for image, coarse in zip(images, out, strict=True):
        small = pillow_image(image).resize(size, Image.Resampling.BOX)
        coarse[...] = np.asarray(small.resize((width, height), Image.Resampling.NEAREST)).reshape(image.shape)
    return out


def pillow_image(image: Images) -> Image.Image:
    """Return one image, uint8 (H, W, C), as Pillow has it."""
    return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)


def to_levels(scaled: NDArray[np.floating[Any]]) -> Images:
    """Return the level, 0 to 255, that is nearest to each value from 0 to 1; halves go up."""
    levels: Images = np.floor(np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels
