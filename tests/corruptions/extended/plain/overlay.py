"""What is written over images, of the extended set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.corruptions.extended.plain import Array

FONT = """
    00000e010f110f 10101e1111111e 00000e1010100e 01010f1111110f 00000e111f100e 06081e08080808 000f11110f010e
    10101e11111111 04000c0404040e 0200060202120c 10101214181412 0c04040404040e 00001a15151515 00001e11111111
    00000e1111110e 001e11111e1010 000f11110f0101 00001618101010 00000f100e011e 08081e08080906 0000111111110f
    00001111110a04 0000111515150a 0000110a040a11 001111110f010e 00001f0204081f
"""


def part(f: int, n: int) -> int:
    return (f * n) >> 16


def letters(fraction: int, count: int) -> list[int]:
    """Return the first digits in base 26 after the point of fraction / 2^32."""
    return [fraction * 26**k // 2**32 % 26 for k in range(1, count + 1)]


def rows_of(letter: int) -> list[int]:
    """Return the seven rows of a letter, 0 for a, each five bits."""
    return list(bytes.fromhex(FONT.split()[letter]))


def characters(x: Array, words: Sequence[int], *, max_words: int, max_letters: int) -> Array:
    height, width, channels = x.shape
    y = x.copy()
    s = max(1, min(height, width) // 224)
    for k in range(1 + part(words[0] >> 16, max_words) if max_words else 0):
        a, b, c, d, e = words[5 * k + 1 : 5 * k + 6]
        count = 3 + part(a >> 16, max_letters - 2)
        text = (letters(d, 5) + letters(e, 5))[:count]
        left = part(b >> 16, max(1, width - 6 * s * count + 1))
        top = part(b & 65535, max(1, height - 7 * s + 1))
        red, green, blue = c >> 24, (c >> 16) & 255, (c >> 8) & 255
        colour = (red, green, blue) if channels == 3 else (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        for n, letter in enumerate(text):
            for row, column in np.ndindex(7, 5):
                if rows_of(letter)[row] >> (4 - column) & 1:
                    p, q = top + s * row, left + s * (6 * n + column)
                    y[p : p + s, q : q + s] = colour
    return y
