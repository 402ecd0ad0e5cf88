"""The published formulas of the colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from skimage import color

from corruptions.literature import to_levels
from corruptions.spec import Images


def saturate(images: Images, *, percent: int, rise: int) -> Images:
    """Scale scikit-image's HSV saturation to `percent` percent and add `rise` percent of the full range [HD].

    `images` uint8 (N, H, W, C); grey images have no saturation.
    """
    if images.shape[-1] == 1:
        return images.copy()
    hsv = color.rgb2hsv(images / 255)
    hsv[..., 1] = np.clip(hsv[..., 1] * (percent / 100) + rise / 100, 0, 1)
    return to_levels(color.hsv2rgb(hsv))


def luma_stretch(images: Images, *, percent: int) -> Images:
    """Stretch the distance to the image's mean grey to `percent` percent: Pillow's ImageEnhance.Contrast [MM].

    `images` uint8 (N, H, W, C).
    """
    out = np.empty_like(images)
    for image, stretched in zip(images, out, strict=True):
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        stretched[...] = np.asarray(ImageEnhance.Contrast(picture).enhance(percent / 100)).reshape(image.shape)
    return out


def gamma(images: Images, *, exponent: float) -> Images:
    """Raise each level to the power `exponent`: torchvision's adjust_gamma of a Pillow image [MM].

    `images` uint8 (N, H, W, C). torchvision truncates 255.999 times the power, where the kernel rounds 255 times.
    """
    table = np.array([int((255 + 1 - 1e-3) * (level / 255) ** exponent) for level in range(256)], np.uint8)
    return table[images]


def stain_variation(images: Images, words: NDArray[np.uint32], *, spread: float) -> Images:
    """Scale and shift the stains of scikit-image's colour deconvolution, the colour augmentation of Tellez [new].

    Tellez et al., IEEE Trans Med Imaging 37 (2018): each stain times 1 + a, plus b; here a is even within `spread`, b
    within a quarter of it, in units of optical density. `images` uint8 (N, H, W, C); `words` uint32 (N, 6).
    """
    grey = images.shape[-1] == 1
    stains = np.array([[1.0]]) if grey else color.rgb_from_hed
    from_density = np.array([[1.0]]) if grey else color.hed_from_rgb
    change = spread * ((words >> 16) / 32768 - 1)
    scales, shifts = change[:, None, None, : len(stains)], change[:, None, None, 3 : 3 + len(stains)] / 4
    amounts = -np.log((images.astype(np.float64) + 1) / 256) @ from_density
    density = (amounts * (1 + scales) + shifts) @ stains
    return to_levels((256 * np.exp(-density) - 1) / 255)
