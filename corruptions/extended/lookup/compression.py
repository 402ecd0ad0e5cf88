"""The integer tables of JPEG: ITU-T T.81 (1992) in the arithmetic of libjpeg's accurate integer method."""

from __future__ import annotations

import functools

import numpy as np

from corruptions.lookup import Ints, constant

# Half of each row of the transform, in 1/8192: even rows go on as their mirror image, odd ones with the other sign. The
# sums of libjpeg's rounded constants (jfdctint.c of IJG 6b), so that neighbours differ in the last digit.
_HALVES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)

# T.81, tables K.1 and K.2.
_LUMINANCE = """
16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55   14 13 16 24  40  57  69  56   14 17 22 29  51  87  80  62
18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92   49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99
"""
_CHROMINANCE = """
17 18 24 47 99 99 99 99   18 21 26 66 99 99 99 99   24 26 56 99 99 99 99 99   47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
"""


@functools.cache
def transform() -> Ints:
    """Return the matrix F of the cosine transform of eight samples, in 1/8192; int32 (8 frequencies, 8 samples)."""
    half = np.array(_HALVES, np.int32)
    sign = np.array([1, -1] * 4, np.int32)[:, None]
    return constant(np.concatenate([half, sign * half[:, ::-1]], axis=1))


@functools.lru_cache(maxsize=64)
def quantisation(quality: int) -> Ints:
    """Return the quantisation steps of luminance and of chrominance at `quality`; int32 (2, 8, 8), 1 to 255."""
    if not 1 <= quality <= 100:
        raise ValueError(f"jpeg_compression needs a quality from 1 to 100, not {quality}")
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.array([*_LUMINANCE.split(), *_CHROMINANCE.split()], np.int32).reshape(2, 8, 8)
    return constant(np.clip((steps * percent + 50) // 100, 1, 255).astype(np.int32))
