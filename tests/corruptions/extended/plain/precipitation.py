"""The snow and the spatter of the extended set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.corruptions import plain
from tests.corruptions.extended.plain import Array
from tests.corruptions.extended.plain.blur import along, clamp, weights
from tests.corruptions.extended.plain.noise import normal_table


def layer(mean: float, spread: float, threshold: float) -> list[int]:
    """Return m, s and h."""
    return [math.floor(255 * 4096 * part + 0.5) for part in (mean, spread, threshold)]


def luma(x: Array) -> Array:
    return x if x.shape[2] == 1 else (x @ np.array([19595, 38470, 7471]) + 32768)[..., None] >> 16


def taps(n: int, percent: int) -> list[tuple[int, int, int]]:
    """Return the two pixels of each result along an axis, and what the second weighs in 1/512."""
    k = -(-100 * n // percent)
    s = (2 * k * percent + 100) // 200
    first, t = (n - k) // 2, (s - n) // 2
    found = []
    for o in range(n):
        i0, r = divmod((o + t) * (k - 1), s - 1)
        found.append((first + i0, first + min(i0 + 1, k - 1), (2 * 512 * r + s - 1) // (2 * (s - 1))))
    return found


def snow(
    x: Array,
    pixels: Array,
    words: Sequence[int],
    *,
    mean: float,
    spread: float,
    percent: int,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
) -> Array:
    height, width = x.shape[:2]
    m, s, h = layer(mean, spread, threshold)
    noise = normal_table()[pixels]
    flakes = np.zeros((height, width), np.int64)
    for p, (i0, i1, a) in enumerate(taps(height, percent)):
        for q, (j0, j1, b) in enumerate(taps(width, percent)):
            d = (512 - b) * ((512 - a) * int(noise[i0, j0]) + a * int(noise[i1, j0]))
            d += b * ((512 - a) * int(noise[i0, j1]) + a * int(noise[i1, j1]))
            level = m + ((s * ((d + 2**13) >> 14) + 2**15) >> 16)
            flakes[p, q] = 0 if level < h else min(max((level + 2048) >> 12, 0), 255)
    blurred = plain.motion_blur(flakes.T[..., None], words[0] >> 24, radius=radius, sigma=sigma)[..., 0].T
    k = math.floor(4096 * keep + 0.5)
    w = np.maximum(2 * x, 3 * luma(x) + 255)
    both = (blurred + blurred[::-1, ::-1])[..., None]
    return np.minimum((2 * k * x + (4096 - k) * w + 8192 * both + 4096) >> 13, 255)


def smooth(plane: Array, sigma: float) -> Array:
    w = weights(math.floor(4 * sigma + 0.5), sigma)
    for axis in (0, 1):
        plane = (along(plane, axis, w, clamp) + 2**13) >> 14
    return plane


def spatter(
    x: Array,
    pixels: Array,
    *,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    edge: float,
    opacity: float,
    mud: int,
) -> Array:
    height, width, channels = x.shape
    m, s, h = layer(mean, spread, threshold)
    depth = m - h + ((s * smooth(normal_table()[pixels].astype(np.int64), sigma) + 2**11) >> 12)
    colour = (63, 42, 20) if mud else (175, 238, 238)
    c = np.array(colour if channels == 3 else [46 if mud else 219])
    if mud:
        cover = smooth(np.where(depth > 0, 16384, 0), edge)
        cover = np.where(cover < 13108, 0, cover)[..., None]
        return (x * (16384 - cover) + c * cover + 2**13) >> 14
    rows, columns = np.arange(height), np.arange(width)
    after = depth[np.ix_(np.minimum(rows + 1, height - 1), np.minimum(columns + 1, width - 1))]
    before = depth[np.ix_(np.maximum(rows - 1, 0), np.maximum(columns - 1, 0))]
    light = np.where(depth > 0, np.maximum(0, depth + 2 * (after - before)), 0)
    highest = max(int(light.max()), 1)
    o = (math.floor(4096 * opacity + 0.5) * light + highest // 2) // highest
    return np.minimum((4096 * x + o[..., None] * c + 2**11) >> 12, 255)
