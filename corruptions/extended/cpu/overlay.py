"""The CPU kernel of writing burnt into an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.cpu.artefacts import part
from corruptions.extended.lookup import overlay
from corruptions.extended.lookup.overlay import ADVANCE, FEWEST_LETTERS, LETTER, LINE, MOST_LETTERS, WORDS_EACH
from corruptions.spec import Images


def characters(images: Images, words: NDArray[np.uint32], *, max_words: int, max_letters: int) -> Images:
    """Write 1 to `max_words` texts of 3 to `max_letters` letters into the image, each in a colour of its own [MM].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 31). Return a new array like `images`.
    """
    overlay.check_writing(max_words, max_letters)
    out = images.copy()
    _write(flat(words, words.shape), overlay.font(), max_words, max_letters, out)
    return out


@njit
def _write(words, font, max_words, max_letters, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = out.shape
    size = max(1, min(height, width) // 224)
    letters = np.empty(MOST_LETTERS, np.int64)
    for n in range(count):
        for k in range(1 + part(words[n, 0], max_words) if max_words else 0):
            number, place, colour, first, second = words[n, 1 + WORDS_EACH * k : 1 + WORDS_EACH * (k + 1)]
            length = FEWEST_LETTERS + part(number, max_letters - FEWEST_LETTERS + 1)
            left = part(place, max(1, width - ADVANCE * size * length + 1))
            top = (np.int64(place & np.uint32(65535)) * max(1, height - LINE * size + 1)) >> 16
            red, green = np.int32(colour >> np.uint32(24)), np.int32(colour >> np.uint32(16)) & np.int32(255)
            blue = np.int32(colour >> np.uint32(8)) & np.int32(255)
            grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
            _spell(first, letters[:5])
            _spell(second, letters[5:])
            for j in range(length):
                glyph, start = font[letters[j]], left + ADVANCE * size * j
                for row in range(LINE):
                    for column in range(LETTER):
                        if glyph[row, column]:
                            for p in range(top + size * row, min(top + size * (row + 1), height)):
                                for q in range(start + size * column, min(start + size * (column + 1), width)):
                                    if channels == 1:
                                        out[n, p, q, 0] = grey
                                    else:
                                        out[n, p, q, 0], out[n, p, q, 1], out[n, p, q, 2] = red, green, blue


@njit
def _spell(word, letters):  # type: ignore[no-untyped-def]
    """Store five letters, 0 to 25: the digits after the point of a fraction of 2^32 in base 26."""
    fraction = np.int64(word)
    for j in range(5):
        fraction *= 26
        letters[j] = fraction >> 32
        fraction &= 0xFFFFFFFF
