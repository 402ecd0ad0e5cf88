"""Every definition of docs/corruptions.md a second time, in plain NumPy and Python integers: slow, and the oracle.

One image (H, W, C) at a time, int64 throughout. Nothing here imports a kernel or a table of the package.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def key(seed: int, dataset: str, split: str, corruption: str) -> tuple[int, int]:
    digest = hashlib.sha256(f"medimeta-c/1/{seed}/{dataset}/{split}/{corruption}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def uniforms(key: tuple[int, int], index: int, size: int) -> Array:
    out = []
    for e in range(size):
        word = philox((e // 8, index, 0, 0), key)[(e % 8) // 2]
        out.append((word >> (16 * (e % 2))) & 0xFFFF)
    return np.array(out, np.int64)


def angle(key: tuple[int, int], index: int) -> int:
    return philox((0, index, 0, 0), key)[0] >> 24


def gaussian_noise(x: Array, u: Array, *, std: float) -> Array:
    def level(uniform: int) -> int:
        if uniform >= 32768:
            return -level(65535 - uniform)
        return -math.floor(-4096 * NormalDist().inv_cdf((uniform + 0.5) / 65536) + 0.5)

    table = np.array([level(v) for v in u.reshape(-1).tolist()], np.int64).reshape(u.shape)
    a = math.floor(65280 * std + 0.5)
    return np.clip(x + ((a * table + 2**19) >> 20), 0, 255)


def impulse_noise(x: Array, u: Array, *, amount: float) -> Array:
    t = math.floor(32768 * amount + 0.5)
    return np.where(u < t, 0, np.where(u >= 65536 - t, 255, x))


def motion_blur(x: Array, angle: int, *, radius: int, sigma: float) -> Array:
    height, width, _ = x.shape
    n = 2 * radius + 1
    bell = [math.exp(-i * i / (2 * sigma * sigma)) for i in range(n)]
    exact = [65536 * b / math.fsum(bell) for b in bell]
    weights = [math.floor(e) for e in exact]
    for i in sorted(range(n), key=lambda i: (-(exact[i] - weights[i]), i))[: 65536 - sum(weights)]:
        weights[i] += 1
    theta = (2 * angle + 1 - 256) * 45 / 256 * math.pi / 180
    total = np.full(x.shape, 32768, np.int64)
    for i, weight in enumerate(weights):
        dx, dy = math.ceil(i * math.cos(theta) - 0.5), math.ceil(i * math.sin(theta) - 0.5)
        rows = np.clip(np.arange(height) + dy, 0, height - 1)
        columns = np.clip(np.arange(width) + dx, 0, width - 1)
        total += weight * x[rows][:, columns]
    return total >> 16


def _zoom_matrix(n: int, z: int) -> Array:
    """Return the weights in 1/512 of one axis, (n, n): row o says what pixel o of the result takes."""
    kept = -(-100 * n // z)
    out = (2 * kept * z + 100) // 200
    top, trim = (n - kept) // 2, (out - n) // 2
    matrix = np.zeros((n, n), np.int64)
    for o in range(n):
        num, den = (o + trim) * (kept - 1), out - 1
        i0 = num // den
        w1 = (2 * 512 * (num - i0 * den) + den) // (2 * den)
        matrix[o, top + i0] += 512 - w1
        matrix[o, top + min(i0 + 1, kept - 1)] += w1
    return matrix


def zoom_blur(x: Array, *, percents: list[int]) -> Array:
    total = 2**18 * x
    for z in percents:
        rows, columns = _zoom_matrix(x.shape[0], z), _zoom_matrix(x.shape[1], z)
        total = total + np.einsum("pr,qs,rsc->pqc", rows, columns, x, optimize=["einsum_path", (0, 2), (0, 1)])
    m = len(percents) + 1
    return ((total + m * 2**17) >> 18) // m


def add_value(x: Array, *, delta: float) -> Array:
    d = math.floor(510 * abs(delta) + 0.5) * (1 if delta >= 0 else -1)
    if x.shape[2] == 1:
        return np.clip((2 * x + d + 1) >> 1, 0, 255)
    v = x.max(2, keepdims=True)
    v2 = np.minimum(np.maximum(2 * v + d, 0), 510)
    return np.where(v == 0, (v2 + 1) >> 1, (x * v2 + v) // np.where(v == 0, 1, 2 * v))


def scale(x: Array, *, percent: int) -> Array:
    return np.minimum(255, (percent * x + 50) // 100)


def channel_mean(x: Array, *, percent: int) -> Array:
    n = x.shape[0] * x.shape[1]
    s = x.sum((0, 1))
    return np.clip(((100 - percent) * s + percent * n * x + 50 * n) // (100 * n), 0, 255)


def luma_mean(x: Array, *, percent: int) -> Array:
    n = x.shape[0] * x.shape[1]
    luma = x if x.shape[2] == 1 else (x @ np.array([19595, 38470, 7471]) + 32768) >> 16
    mu = (2 * int(luma.sum()) + n) // (2 * n)
    return np.clip((100 * mu + percent * (x - mu) + 50) // 100, 0, 255)


def _shrink(x: Array, m: int) -> Array:
    """Average the first axis into m boxes."""
    n = len(x)
    rows = []
    for i in range(m):
        inside = [j for j in range(n) if Fraction(i * n, m) < Fraction(2 * j + 1, 2) <= Fraction((i + 1) * n, m)]
        k = len(inside)
        rows.append((x[inside].sum(0) * ((2**23 + k) // (2 * k)) + 2**21) >> 22)
    return np.array(rows)


def pixelate(x: Array, *, percent: int) -> Array:
    height, width, _ = x.shape
    h, w = max(1, height * percent // 100), max(1, width * percent // 100)
    small = _shrink(_shrink(x.swapaxes(0, 1), w).swapaxes(0, 1), h)
    rows = [((2 * p + 1) * h) // (2 * height) for p in range(height)]
    columns = [((2 * q + 1) * w) // (2 * width) for q in range(width)]
    return small[rows][:, columns]


DRAWING = {"gaussian_noise": "uniforms", "impulse_noise": "uniforms", "motion_blur": "angle"}


def corrupt(images: Array, kernel: str, parameters: dict[str, Any], key: tuple[int, int], indices: list[int]) -> Array:
    """Apply `kernel` to a batch of uint8 images."""
    out = np.empty_like(images)
    for image, index, result in zip(images, indices, out, strict=True):
        x = image.astype(np.int64)
        drawn: list[Any] = []
        if DRAWING.get(kernel) == "uniforms":
            drawn = [uniforms(key, index, x.size).reshape(x.shape)]
        elif DRAWING.get(kernel) == "angle":
            drawn = [angle(key, index)]
        y = globals()[kernel](x, *drawn, **parameters)
        assert y.min() >= 0
        assert y.max() <= 255
        result[...] = y
    return out
