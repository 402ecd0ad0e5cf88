"""The CPU kernels of things that lie on the glass, on the sensor or in the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.extended.cpu.illumination import shade
from corruptions.extended.cpu.weather import repeat
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
    opacity = np.zeros((height, width * channels), np.uint8)
    for n in range(out.shape[0]):
        number = fewest + part(words[n, 0], max_bubbles - fewest + 1)
        for whiten in (False, True):
            for k in range(number):
                radius = SMALLEST + part(words[n, 3 * k + 1], max_radius - SMALLEST + 1)
                x = radius + part(words[n, 3 * k + 2], max(1, width - 2 * radius + 1))
                y = radius + part(words[n, 3 * k + 3], max(1, height - 2 * radius + 1))
                for p in range(max(0, y - radius - RIM), min(height, y + radius + RIM + 1)):
                    first, end = _span(radius + RIM, p - y, x, width)
                    if whiten:
                        row = out[n, p].reshape(-1)[first * channels : end * channels]
                        _whiten(row, opacity[p, first * channels : end * channels])
                    else:
                        opacity[p, first * channels : end * channels] = EDGE
                        first, end = _span(radius, p - y, x, width)
                        opacity[p, first * channels : end * channels] = DISC


@njit
def _span(radius, above, x, width):  # type: ignore[no-untyped-def]
    """Return the columns, first and after the last, of a disc about column `x` in a row so far from its middle."""
    square = radius * radius + radius - above * above
    if square < 0:
        return 0, 0
    reach = np.int64(np.sqrt(np.float64(square)))
    return min(max(0, x - reach), width), max(0, min(width, x + reach + 1))


@njit
def _whiten(row, opacity):  # type: ignore[no-untyped-def]
    """Blend a row with white, and clear `opacity`, so that a pixel is blended once."""
    for e in range(row.size):
        white = np.uint16(opacity[e])
        mixed = np.uint16(np.uint16(row[e]) * np.uint16(np.uint16(255) - white))
        row[e] = np.uint16(np.uint16(mixed + np.uint16(np.uint16(255) * white)) + np.uint16(127)) // np.uint16(255)
        opacity[e] = 0


@njit
def part(word, parts):  # type: ignore[no-untyped-def]
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
    reach = 3 * unit + 1
    ink = np.zeros((height, width), np.int32)
    left, wide = np.empty(width, np.int32), np.empty(width * channels, np.int32)
    for n in range(out.shape[0]):
        for darken in (False, True):
            for k in range(0, count * (LOBES + 1), LOBES + 1):
                x = part(words[n, k], width)
                y = np.int64(words[n, k] & 65535) * height >> 16
                if darken:
                    first, end = max(0, x - reach), min(width, x + reach + 1)
                    for p in range(max(0, y - reach), min(height, y + reach + 1)):
                        _clear(ink[p, first:end], left)
                        repeat(left[: end - first], channels, wide)
                        _darken(out[n, p, first:end].reshape(-1), wide)
                else:
                    for word in words[n, k + 1 : k + 1 + LOBES]:
                        right = x + ((np.int64(word >> 24) - 128) * unit >> 7)
                        below = y + ((np.int64(word >> 16 & 255) - 128) * unit >> 7)
                        radius = 1 + unit // 2 + (np.int64(word & 65535) * unit >> 16)
                        _lay_disc(ink, right, below, radius)


@njit
def _lay_disc(ink, x, y, radius):  # type: ignore[no-untyped-def]
    """Raise the ink, 0 to 4096, to 8192 parts of what a pixel is inside of the disc, of the square of its radius."""
    height, width = ink.shape
    # In double precision, where a half more keeps errors from a floor; it has vector instructions.
    steps, half = 8192 / np.float64(radius**2), 0.5 / np.float64(radius**2)
    first, end = max(0, x - radius), min(width, x + radius + 1)
    for p in range(max(0, y - radius), min(height, y + radius + 1)):
        row, start, across = ink[p, first:end], np.int32(first - x), np.int32(radius**2 - (p - y) ** 2)
        for q in range(row.size):
            aside = np.int32(start + np.int32(q))
            inside = max(np.int32(across - np.int32(aside * aside)), np.int32(0))
            row[q] = max(row[q], min(np.int32(np.float64(inside) * steps + half), np.int32(4096)))


@njit
def _clear(ink, left):  # type: ignore[no-untyped-def]
    """Store what the ink of a row leaves of 4096, and take it away for the next mark and image."""
    for q in range(ink.size):
        left[q] = np.int32(4096) - ink[q]
        ink[q] = 0


@njit
def _darken(row, left):  # type: ignore[no-untyped-def]
    for e in range(row.size):
        row[e] = np.uint32(np.uint32(row[e]) * np.uint32(left[e]) + np.uint32(2048)) >> np.uint32(12)


def black_corner(images: Images, *, percent: int) -> Images:
    """Blacken what lies outside a circle of `percent` percent of the radius of the largest that fits [MM].

    `images` uint8 (N, H, W, C). Return a new array like `images`.
    """
    columns = artefacts.circle(*images.shape[1:3], percent)
    out = np.zeros(images.shape, np.uint8)
    for p, (first, end) in enumerate(columns.tolist()):
        out[:, p, first:end] = images[:, p, first:end]
    return out


def grid_lines(images: Images, words: NDArray[np.uint32], *, depth: float) -> Images:
    """Darken lines of an anti-scatter grid, 4 to 8 pixels apart and nearly upright or level, by up to `depth` [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 2); `depth` a fraction of the level. Return a new array like
    `images`.
    """
    count, height, width, channels = images.shape
    gains = artefacts.grid_gains(depth)
    out = np.empty(images.shape, np.uint8)
    shape = (count, height, width * channels)
    _lay_grid(flat(images, shape), channels, flat(words, words.shape), gains, out.reshape(shape))
    return out


@njit
def _lay_grid(images, channels, words, table, out):  # type: ignore[no-untyped-def]
    gains = np.empty(images.shape[2] // channels, np.int32)
    for n in range(images.shape[0]):
        start = np.int32(words[n, 0] >> 16)
        step = np.int32(8192 + (words[n, 1] >> 19))
        tilt = np.int32(np.int32(words[n, 1] & 65535) - 32768) >> np.int32(6)
        across, down = (tilt, step) if words[n, 0] & 1 else (step, tilt)
        for p in range(images.shape[1]):
            row = np.int32(start + np.int32(p * down))
            for q in range(gains.size):
                gains[q] = table[(np.int32(row + np.int32(q * across)) >> np.int32(8)) & np.int32(255)]
            shade(images[n, p], channels, gains, out[n, p])
