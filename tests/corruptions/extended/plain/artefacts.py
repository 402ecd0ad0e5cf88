"""What lies on glass and lenses, of the extended set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.corruptions.extended.plain import Array


def part(word: int, n: int) -> int:
    return ((word >> 16) * n) >> 16


def bubble(x: Array, words: Sequence[int], *, max_radius: int, max_bubbles: int) -> Array:
    height, width = x.shape[:2]
    few = min(7, max_bubbles)
    bubbles = []
    for k in range(few + part(words[0], max_bubbles - few + 1)):
        r = 3 + part(words[3 * k + 1], max_radius - 2)
        column = r + part(words[3 * k + 2], max(1, width - 2 * r + 1))
        row = r + part(words[3 * k + 3], max(1, height - 2 * r + 1))
        bubbles.append((r, column, row))
    y = np.empty_like(x)
    for p, q in np.ndindex(height, width):
        o = 0
        for r, column, row in bubbles:
            e = (q - column) ** 2 + (p - row) ** 2
            if e <= r**2 + r:
                o = 100
            elif e <= (r + 2) ** 2 + r + 2:
                o = 130
        y[p, q] = (x[p, q] * (255 - o) + 255 * o + 127) // 255
    return y


def stain_deposit(x: Array, words: Sequence[int], *, count: int) -> Array:
    height, width = x.shape[:2]
    u = max(1, min(height, width) // 28)
    discs = []
    for k in range(count):
        middle = words[6 * k]
        column, row = ((middle >> 16) * width) >> 16, ((middle & 65535) * height) >> 16
        for w in words[6 * k + 1 : 6 * k + 6]:
            right, down = (((w >> 24) - 128) * u) >> 7, ((((w >> 16) & 255) - 128) * u) >> 7
            discs.append((column + right, row + down, 1 + u // 2 + (((w & 65535) * u) >> 16)))
    y = np.empty_like(x)
    for p, q in np.ndindex(height, width):
        ink = [0]
        for column, row, r in discs:
            e = (q - column) ** 2 + (p - row) ** 2
            ink.append(min(4096, 8192 * max(0, r**2 - e) // r**2))
        y[p, q] = (x[p, q] * (4096 - max(ink)) + 2**11) >> 12
    return y


def black_corner(x: Array, *, percent: int) -> Array:
    height, width = x.shape[:2]
    cx, cy = width // 2, height // 2
    r = min(min(cx, cy, width - cx, height - cy) * percent // 100, height + width)
    y = x.copy()
    for p, q in np.ndindex(height, width):
        if (q - cx) ** 2 + (p - cy) ** 2 > r**2:
            y[p, q] = 0
    return y


def grid_lines(x: Array, words: Sequence[int], *, depth: float) -> Array:
    y = np.empty_like(x)
    s, t = 8192 + (words[1] >> 19), ((words[1] & 65535) - 32768) >> 6
    deep = math.floor(4096 * depth + 0.5)
    for place in np.ndindex(x.shape[:2]):
        p, q = reversed(place) if words[0] % 2 else place
        i = (((words[0] >> 16) + q * s + p * t) >> 8) & 255
        height = math.floor(2048 * (1 + math.cos(2 * math.pi * i / 256)) + 0.5)
        gain = 4096 - ((deep * height + 2**11) >> 12)
        y[place] = np.minimum((x[place] * gain + 2**11) >> 12, 255)
    return y
