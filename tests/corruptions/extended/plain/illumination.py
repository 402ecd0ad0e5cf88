"""The shadings of the extended set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.corruptions.extended.plain import Array


def half_up(value: float) -> int:
    return math.floor(value + 0.5)


def positions(n: int) -> list[int]:
    """Return where the pixels of an axis lie, -4096 to 4096."""
    return [((2 * q + 1 - n) * 8192 + n) // (2 * n) for q in range(n)]


def signed(word: int) -> int:
    return (word >> 16) - 32768


def shaded(x: Array, gain: Callable[[int, int], int]) -> Array:
    """Multiply the pixel in row p and column q by gain(p, q) / 4096."""
    height, width = x.shape[:2]
    gains = np.array([[gain(p, q) for q in range(width)] for p in range(height)], np.int64)
    return np.minimum((x * gains[..., None] + 2**11) >> 12, 255)


PAIRS = [(1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 3)]


def bias_field(x: Array, words: Sequence[int], *, coefficient: float) -> Array:
    t = math.floor(32768 * coefficient + 0.5)
    a = {pair: (t * signed(words[k]) + 2**14) >> 15 for k, pair in enumerate(PAIRS)}

    def powers(u: int) -> list[int]:
        result = [4096]
        for _ in range(3):
            result.append((result[-1] * u + 2**11) >> 12)
        return result

    across, down = (list(map(powers, positions(n))) for n in (x.shape[1], x.shape[0]))

    def gain(p: int, q: int) -> int:
        c = [(sum(a.get((i, j), 0) * down[p][j] for j in range(4)) + 2**11) >> 12 for i in range(4)]
        b = (sum(c[i] * across[q][i] for i in range(4)) + 2**16) >> 17
        return half_up(4096 * math.exp(min(max(b, -4096), 4095) / 1024))

    return shaded(x, gain)


def acoustic_shadow(x: Array, words: Sequence[int], *, count: int, depth: float) -> Array:
    height, width, channels = x.shape
    grey = channels == 1
    luma = x[..., 0] if grey else (19595 * x[..., 0] + 38470 * x[..., 1] + 7471 * x[..., 2] + 32768) >> 16
    shadows = []
    for k in range(count):
        a, b = words[2 * k], words[2 * k + 1]
        c = ((a >> 16) * width) >> 16
        w = 1 + width // 32 + (((a & 65535) * max(1, width // 16)) >> 16)
        p0 = luma[:, c].tolist().index(max(luma[:, c].tolist()))
        h = []
        for q in range(width):
            z = 256 * max(0, w**2 - (q - c) ** 2) // w**2
            h.append(((z**2 >> 8) * (32768 + (b >> 17))) >> 8)
        g = [min(256, 256 * max(0, p - p0) // max(1, height // 16)) for p in range(height)]
        shadows.append((h, g))
    t = math.floor(4096 * depth + 0.5)

    def gain(p: int, q: int) -> int:
        deepest = max([0, *((h[q] * g[p]) >> 8 for h, g in shadows)])
        return 4096 - ((t * deepest + 2**15) >> 16)

    return shaded(x, gain)


def vignetting(x: Array, words: Sequence[int], *, falloff: float) -> Array:
    across, down = positions(x.shape[1]), positions(x.shape[0])
    cx, cy = signed(words[0]) >> 6, signed(words[1]) >> 6

    def gain(p: int, q: int) -> int:
        e = ((across[q] - cx) ** 2 + (down[p] - cy) ** 2) >> 15
        return half_up(4096 / (1 + falloff * e / 1024) ** 2)

    return shaded(x, gain)


def uneven_illumination(x: Array, angle: int, *, slope: float) -> Array:
    across, down = positions(x.shape[1]), positions(x.shape[0])
    theta = math.radians((2 * angle + 1) * 360 / 512)
    c, s = (half_up(4096 * part / math.sqrt(2)) for part in (math.cos(theta), math.sin(theta)))
    t = math.floor(4096 * slope + 0.5)

    def gain(p: int, q: int) -> int:
        d = (c * across[q] + s * down[p] + 2**11) >> 12
        return 4096 + ((t * d + 2**11) >> 12)

    return shaded(x, gain)


def scatter(x: Array, *, fraction: float) -> Array:
    height, width = x.shape[:2]
    r = max(1, min(height, width) // 8)
    n = 2 * r + 1
    k = (2**32 + n**2 // 2) // n**2

    def box(values: Array, axis: int) -> Array:
        size = values.shape[axis]
        total = np.zeros_like(values)
        for step in range(-r, r + 1):
            total += values.take(np.clip(np.arange(size) + step, 0, size - 1), axis)
        return total

    s1 = box(box(x, 1), 1)
    t1 = (16 * s1 * k + 2**31) >> 32
    t2 = (box(box(t1, 0), 0) * k + 2**31) >> 32
    t = math.floor(4096 * fraction + 0.5)
    return ((4096 - t) * 16 * x + t * t2 + 2**15) >> 16
