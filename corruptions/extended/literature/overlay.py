"""The published formula of writing burnt into an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corruptions.extended.lookup.overlay import WORDS_EACH, font
from corruptions.literature import pillow_image
from corruptions.spec import Images


def characters(images: Images, words: NDArray[np.uint32], *, max_words: int, max_letters: int) -> Images:
    """Write 1 to `max_words` texts of 3 to `max_letters` letters into the image, each in a colour of its own [MM].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 31). [MM] writes with OpenCV's Hershey font; this is the font of
    the kernels, pasted by Pillow.
    """
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    size = max(1, min(height, width) // 224)
    for image, drawn, written in zip(images, words.astype(np.int64).tolist(), out, strict=True):
        picture = pillow_image(image)
        for k in range(1 + int(drawn[0] / 2**32 * max_words) if max_words else 0):
            number, place, colour, *spelt = drawn[1 + WORDS_EACH * k : 1 + WORDS_EACH * (k + 1)]
            length = 3 + int((number >> 16) / 65536 * (max_letters - 2))
            letters = [int(word * 26 ** (j + 1) // 2**32 % 26) for word in spelt for j in range(5)][:length]
            glyphs = np.pad(font()[letters], ((0, 0), (0, 0), (0, 1))).transpose(1, 0, 2).reshape(7, -1)
            mask = Image.fromarray((glyphs * 255).repeat(size, 0).repeat(size, 1))
            left = int((place >> 16) / 65536 * max(1, width - mask.width + 1))
            top = int((place & 65535) / 65536 * max(1, height - mask.height + 1))
            ink = Image.new("RGB", mask.size, tuple(colour.to_bytes(4, "big")[:3])).convert(picture.mode)
            picture.paste(ink, (left, top), mask)
        written[...] = np.asarray(picture).reshape(image.shape)
    return out
