"""The fog and the frost of the extended set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.corruptions.extended.plain import Array


def frost(x: Array, words: Sequence[int], *, keep: float, ice: float) -> Array:
    height, width = x.shape[:2]
    unit = max(1, min(height, width) // 28)
    period = 4096 * max(2, unit // 2 + 1)
    p, q = np.mgrid[:height, :width]
    highest = np.zeros((height, width), np.int64)
    for k in range(48):
        a, b = words[2 * k], words[2 * k + 1]
        c, r = ((a >> 16) * width) >> 16, ((a & 65535) * height) >> 16
        n = 16384 * unit + (((b & 65535) * 20480 * unit) >> 16)
        theta = (2 * (b >> 24) + 1) * math.pi / 512
        cosine, sine = math.floor(4096 * math.cos(theta) + 0.5), math.floor(4096 * math.sin(theta) + 0.5)
        along_stem = np.abs(cosine * (q - c) + sine * (p - r))
        aside = np.abs(cosine * (p - r) - sine * (q - c))
        e = n - along_stem
        z = (along_stem + aside // 2) % period
        w = 256 - 256 * aside // (512 * unit + 2048)
        branch = (256 - 1024 * np.minimum(z, period - z) // period) * 3 // 4
        w = np.where(2 * aside < e, np.maximum(w, branch), w)
        crystal = (w * np.minimum(256, 256 * e // (8192 * unit))) >> 8
        highest = np.maximum(highest, np.where(e <= 0, 0, crystal))
    k, i = math.floor(4096 * keep + 0.5), math.floor(4096 * ice + 0.5)
    return np.minimum((k * x + i * (70 + ((170 * highest[..., None]) >> 8)) + 2048) >> 12, 255)


def fog(x: Array, words: Sequence[int], *, amount: float, decay: float) -> Array:
    halves = [(word >> shift & 65535) - 32768 for word in words for shift in (0, 16)]
    r = np.array(halves).reshape(256, 256)
    plasma = np.zeros((256, 256), np.int64)
    for k in range(8):
        half = 128 >> k
        d = math.floor(65536 * decay ** (-2 * k) + 0.5)
        odd, even = np.arange(half, 256, 2 * half), np.arange(0, 256, 2 * half)
        for down, across, sides in (
            (odd, odd, ((half, half), (half, -half), (-half, half), (-half, -half))),
            (odd, even, ((half, 0), (-half, 0), (0, half), (0, -half))),
            (even, odd, ((half, 0), (-half, 0), (0, half), (0, -half))),
        ):
            around = sum(plasma[np.ix_((down + i) % 256, (across + j) % 256)] for i, j in sides)
            here = np.ix_(down, across)
            plasma[here] = ((around + 2) >> 2) + ((d * r[here] + 2**14) >> 15)
    low = int(plasma.min())
    n = max(int(plasma.max()) - low, 1)
    scaled = ((plasma - low) * 4096 + n // 2) // n
    f = math.floor(16 * 255 * amount + 0.5)
    highest = int(x.max())
    z = 16 * highest + f
    share = (2**18 * highest + z // 2) // z if highest else 0
    tiled = scaled[np.ix_(np.arange(x.shape[0]) % 256, np.arange(x.shape[1]) % 256)][..., None]
    return ((2**16 * x + f * tiled) * share + 2**29) >> 30
