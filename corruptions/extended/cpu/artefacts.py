"""The CPU kernels of things that lie on the glass, on the sensor or in the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.lookup import artefacts
from corruptions.extended.lookup.artefacts import DISC, EDGE, FEWEST, LOBES, RIM, SMALLEST
from corruptions.spec import Images


def bubble(images: Images, words: NDArray[np.uint32], *, max_radius: int, max_bubbles: int) -> Images:
    """Lay 7 to `max_bubbles` white bubbles over the image, of radius 3 to `max_radius` pixels, with a lighter rim [MM].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 76). Return a new array like `images`.
    """
    artefacts.check_bubbles(max_radius, max_bubbles)
    out = images.copy()
    _lay_bubbles(flat(words, words.shape), max_radius, max_bubbles, out)
    return out


@njit
def _lay_bubbles(words, max_radius, max_bubbles, out):  # type: ignore[no-untyped-def]
    _, height, width, channels = out.shape
    fewest = min(FEWEST, max_bubbles)
    opacity = np.empty((height, width), np.int32)
    for n in range(out.shape[0]):
        opacity[:] = 0
        number = fewest + _part(words[n, 0], max_bubbles - fewest + 1)
        for k in range(number):
            radius = SMALLEST + _part(words[n, 3 * k + 1], max_radius - SMALLEST + 1)
            x = radius + _part(words[n, 3 * k + 2], max(1, width - 2 * radius + 1))
            y = radius + _part(words[n, 3 * k + 3], max(1, height - 2 * radius + 1))
            reach = radius + RIM
            inner, outer = radius * radius + radius, reach * reach + reach
            for p in range(max(0, y - reach), min(height, y + reach + 1)):
                for q in range(max(0, x - reach), min(width, x + reach + 1)):
                    square = (p - y) ** 2 + (q - x) ** 2
                    if square <= outer:
                        opacity[p, q] = DISC if square <= inner else EDGE
        for p in range(height):
            for q in range(width):
                white = opacity[p, q]
                if white:
                    for c in range(channels):
                        level = np.int32(out[n, p, q, c])
                        out[n, p, q, c] = (level * (255 - white) + 255 * white + 127) // 255


@njit
def _part(word, parts):  # type: ignore[no-untyped-def]
    """Return which of as many equal parts the word lies in, by its high half."""
    return np.int64(word >> 16) * parts >> 16


def stain_deposit(images: Images, words: NDArray[np.uint32], *, count: int) -> Images:
    """Lay `count` black marks with soft edges over the image, 0 to 5 [MM].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 30), six a mark. Return a new array like `images`.
    """
    artefacts.check_marks(count)
    out = images.copy()
    _lay_marks(flat(words, words.shape), count, out)
    return out


@njit
def _lay_marks(words, count, out):  # type: ignore[no-untyped-def]
    _, height, width, channels = out.shape
    unit = max(1, min(height, width) // 28)
    ink = np.empty((height, width), np.int32)
    for n in range(out.shape[0]):
        ink[:] = 0
        for k in range(0, count * (LOBES + 1), LOBES + 1):
            x = _part(words[n, k], width)
            y = np.int64(words[n, k] & 65535) * height >> 16
            for word in words[n, k + 1 : k + 1 + LOBES]:
                right = x + ((np.int64(word >> 24) - 128) * unit >> 7)
                below = y + ((np.int64(word >> 16 & 255) - 128) * unit >> 7)
                radius = 1 + unit // 2 + (np.int64(word & 65535) * unit >> 16)
                for p in range(max(0, below - radius), min(height, below + radius + 1)):
                    for q in range(max(0, right - radius), min(width, right + radius + 1)):
                        inside = radius**2 - (p - below) ** 2 - (q - right) ** 2
                        if inside > 0:
                            ink[p, q] = max(ink[p, q], min(4096, 8192 * inside // radius**2))
        for p in range(height):
            for q in range(width):
                if ink[p, q]:
                    for c in range(channels):
                        level = np.int32(out[n, p, q, c])
                        out[n, p, q, c] = (level * (4096 - ink[p, q]) + 2048) >> 12


def black_corner(images: Images, *, percent: int) -> Images:
    """Blacken what lies outside a circle of `percent` percent of the radius of the largest that fits [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    columns = artefacts.circle(*images.shape[1:3], percent)
    out = np.zeros(images.shape, np.uint8)
    for p, (first, end) in enumerate(columns.tolist()):
        out[:, p, first:end] = images[:, p, first:end]
    return out
