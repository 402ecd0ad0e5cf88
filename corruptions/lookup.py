"""The integer tables of the kernels, computed once from a kernel's parameters and the same for every backend.

All pixels go through these integers, so no two backends can differ by a rounding. Illegal parameters raise ValueError
here. Every returned array is read-only and cached.
"""

from __future__ import annotations

import functools
import math
import statistics
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


@functools.cache
def normal_table() -> NDArray[np.int16]:
    """Return the standard normal quantile of each 16-bit uniform, in units of 1/4096; int16 (65536,), odd-symmetric."""
    quantile = statistics.NormalDist().inv_cdf
    half = np.array([quantile((u + 0.5) / 65536) for u in range(32768)])
    table = np.empty(65536, np.int16)
    table[:32768] = -np.floor(-4096 * half + 0.5)
    table[32768:] = -table[:32768][::-1]
    return constant(table)


def noise_scale(std: float) -> int:
    """Return the factor A by which `gaussian_noise` multiplies a normal deviate, in units of 1/256 grey level."""
    if not 0 <= std <= 1:
        raise ValueError(f"gaussian_noise needs a std from 0 to 1, a fraction of the full range, not {std}")
    return math.floor(65280 * std + 0.5)


@functools.lru_cache(maxsize=16)
def noise_levels(std: float) -> NDArray[np.int16]:
    """Return the grey levels that `gaussian_noise` adds for each 16-bit uniform; int16 (65536,), within +-1103."""
    levels = (noise_scale(std) * normal_table().astype(np.int64) + 2**19) >> 20
    return constant(levels.astype(np.int16))


def impulse_threshold(amount: float) -> int:
    """Return t, 0 to 32768: `impulse_noise` makes a uniform u black if u < t, white if u >= 65536 - t."""
    if not 0 <= amount <= 1:
        raise ValueError(f"impulse_noise needs an amount from 0 to 1, a fraction of the elements, not {amount}")
    return math.floor(32768 * amount + 0.5)


@functools.lru_cache(maxsize=64)
def motion_weights(radius: int, sigma: float) -> Ints:
    """Return the 2 * `radius` + 1 one-sided Gaussian weights as integers that sum to 65536, by largest remainders."""
    if not (0 <= radius <= 1000 and sigma > 0):
        raise ValueError(
            f"motion_blur needs a radius from 0 to 1000 and a sigma above 0, in pixels, not {radius}, {sigma}"
        )
    bell = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    exact = [65536 * height / math.fsum(bell) for height in bell]
    weights = np.array([math.floor(x) for x in exact], np.int32)
    by_remainder = sorted(range(len(exact)), key=lambda i: (weights[i] - exact[i], i))
    weights[by_remainder[: 65536 - int(weights.sum())]] += 1
    return constant(weights)


@functools.lru_cache(maxsize=8)
def motion_offsets(count: int) -> Ints:
    """Return the (dx, dy) in pixels of each of `count` steps at each angle; int32 (256, 2, `count`)."""
    offsets = np.empty((256, 2, count), np.int32)
    for angle in range(256):
        theta = math.radians((2 * angle + 1 - 256) * 45 / 256)
        for axis, part in enumerate((math.cos(theta), math.sin(theta))):
            offsets[angle, axis] = [math.ceil(i * part - 0.5) for i in range(count)]
    return constant(offsets)


class Taps(NamedTuple):
    """Where each zoom reads along one axis: pixel `first` and the one after it, which has the weight `weight` / 512.

    Both are int32 (percents, n). Where `first` is the last pixel of the cut, `weight` is 0.
    """

    first: Ints
    weight: Ints


@functools.lru_cache(maxsize=64)
def zoom_taps(n: int, percents: tuple[int, ...]) -> Taps:
    """Return the taps of `zoom_blur` along an axis of `n` pixels, for any number of percents."""
    taps = Taps(np.empty((len(percents), n), np.int32), np.empty((len(percents), n), np.int32))
    position = np.arange(n)
    for row, z in enumerate(percents):
        kept = -(-100 * n // z)
        size = (2 * kept * z + 100) // 200
        trim = (size - n) // 2
        index, rest = np.divmod((position + trim) * (kept - 1), size - 1)
        taps.first[row] = (n - kept) // 2 + index
        taps.weight[row] = (2 * 512 * rest + size - 1) // (2 * (size - 1))
    return Taps(*map(constant, taps))


def check_zooms(percents: tuple[int, ...]) -> None:
    """Raise ValueError unless `zoom_blur` can take `percents`."""
    if not 1 <= len(percents) <= 31 or min(percents) < 100:
        raise ValueError(f"zoom_blur needs 1 to 31 percents, each 100 or more, not {list(percents)}")


@functools.lru_cache(maxsize=16)
def value_table(delta: float) -> NDArray[np.uint8]:
    """Return the result of `add_value` for level c in a pixel of HSV value v; uint8 (256 v, 256 c), valid for c <= v.

    A grey pixel is its own value, so the diagonal is the table of grey images.
    """
    if not -1 <= delta <= 1:
        raise ValueError(f"add_value needs a delta from -1 to 1, a fraction of the full range, not {delta}")
    rise = math.floor(510 * abs(delta) + 0.5) * (1 if delta > 0 else -1)
    v, c = np.arange(256)[:, None], np.arange(256)[None, :]
    raised = np.clip(2 * v + rise, 0, 510)
    table = np.where(v == 0, (raised + 1) >> 1, (np.minimum(c, v) * raised + v) // np.maximum(2 * v, 1))
    return constant(table.astype(np.uint8))


def check_scale(percent: int) -> None:
    """Raise ValueError unless `scale` can take `percent`."""
    if not 0 <= percent <= 256:
        raise ValueError(f"scale needs a percent from 0 to 256, not {percent}")


def check_contrast(kernel: str, percent: int) -> None:
    """Raise ValueError unless `kernel`, one of `channel_mean` and `luma_mean`, can take `percent`."""
    if not 0 <= percent <= 100:
        raise ValueError(f"{kernel} needs a percent from 0 to 100, not {percent}")


class Boxes(NamedTuple):
    """How `pixelate` shrinks and enlarges one axis of n pixels with m boxes; each int32.

    Box i averages the pixels `edges[i]` to `edges[i + 1]` (m + 1 edges) as sum * `reciprocals[i]` / 2^22, rounded half
    up; pixel p of the result shows box `shown[p]`.
    """

    edges: Ints
    reciprocals: Ints
    shown: Ints


@functools.lru_cache(maxsize=64)
def boxes(n: int, percent: int) -> Boxes:
    """Return the boxes of `pixelate` along an axis of `n` pixels."""
    if not 1 <= percent <= 100:
        raise ValueError(f"pixelate needs a percent from 1 to 100, not {percent}")
    m = max(1, n * percent // 100)
    # The first j with (2 j + 1) m > 2 i n is half of one more than the floor of 2 i n / m.
    edges = np.array([(2 * i * n // m + 1) // 2 for i in range(m + 1)])
    counts = np.diff(edges)
    reciprocals = (2**23 + counts) // (2 * counts)
    shown = (2 * np.arange(n) + 1) * m // (2 * n)
    return Boxes(*(constant(part.astype(np.int32)) for part in (edges, reciprocals, shown)))


def constant(array: NDArray[Any]) -> NDArray[Any]:
    """Make `array` read-only and return it."""
    array.flags.writeable = False
    return array
