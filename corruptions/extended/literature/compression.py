"""The published formulas of compression."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from corruptions.literature import pillow_image
from corruptions.spec import Images


def jpeg_compression(images: Images, *, quality: int) -> Images:
    """Encode and decode as JPEG with Pillow at `quality`, 1 to 100 [HD], [MM].

    `images` uint8 (N, H, W, C).
    """
    out = np.empty_like(images)
    for image, decoded in zip(images, out, strict=True):
        file = io.BytesIO()
        pillow_image(image).save(file, "JPEG", quality=quality)
        decoded[...] = np.asarray(Image.open(file)).reshape(image.shape)
    return out
