"""The font of writing burnt into an image, and the limits of how much is written."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from corruptions.lookup import constant

TEXTS, WORDS_EACH, FEWEST_LETTERS, MOST_LETTERS = 6, 5, 3, 10
"""Texts that `characters` draws, the random words of each, and its letters at least and at most [MM]."""

LETTER, LINE, ADVANCE = 5, 7, 6
"""Width and height of a letter, and how far the next one is, in pixels of the font."""

# a to z, two hexadecimal digits for each of seven rows; the highest of five bits is the left pixel.
_FONT = """
00000e010f110f 10101e1111111e 00000e1010100e 01010f1111110f 00000e111f100e 06081e08080808 000f11110f010e
10101e11111111 04000c0404040e 0200060202120c 10101214181412 0c04040404040e 00001a15151515 00001e11111111
00000e1111110e 001e11111e1010 000f11110f0101 00001618101010 00000f100e011e 08081e08080906 0000111111110f
00001111110a04 0000111515150a 0000110a040a11 001111110f010e 00001f0204081f
"""


@functools.cache
def font() -> NDArray[np.uint8]:
    """Return which pixels of each letter are set; uint8 (26, 7, 5), 0 or 1."""
    rows = np.array([list(bytes.fromhex(letter)) for letter in _FONT.split()], np.uint8)
    return constant(rows[..., None] >> np.arange(LETTER - 1, -1, -1, dtype=np.uint8) & np.uint8(1))


def check_writing(max_words: int, max_letters: int) -> None:
    """Raise ValueError unless `characters` can write so much."""
    if not (0 <= max_words <= TEXTS and FEWEST_LETTERS <= max_letters <= MOST_LETTERS):
        raise ValueError(
            f"characters needs max_words from 0 to {TEXTS} and max_letters from {FEWEST_LETTERS} to {MOST_LETTERS},"
            f" not {max_words}, {max_letters}"
        )
