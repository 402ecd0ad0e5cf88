"""The kernels on a CPU, compiled by Numba: integer arithmetic, one thread a call, the GIL released.

Images are uint8 (N, H, W, C) with values 0 to 255, C = 1 or 3; every function returns a new array of the same shape.
A kernel never draws: chance comes in as `uniforms` (uint16, the images' shape) or `angles` (uint8, (N,)).
docs/corruptions.md defines each of them to the bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions import draws

Images = NDArray[np.uint8]


def gaussian_noise(images: Images, uniforms: NDArray[np.uint16], *, std: float) -> Images:
    """Add normal noise of standard deviation `std`, a fraction of the full range; one uniform an element."""
    out = np.empty_like(images)
    _add_noise(_frozen(images), _frozen(uniforms), _noise(std), out.reshape(-1))
    return out


def impulse_noise(images: Images, uniforms: NDArray[np.uint16], *, amount: float) -> Images:
    """Set a fraction `amount` of the elements to 0 or 255, half and half; one uniform an element."""
    few = math.floor(32768 * amount + 0.5)
    out = np.empty_like(images)
    _replace(_frozen(images), _frozen(uniforms), few, out.reshape(-1))
    return out


@functools.lru_cache(maxsize=16)
def _noise(std: float) -> NDArray[np.int16]:
    """Return the grey levels to add for each 16-bit uniform; int16 (65536,)."""
    scale = math.floor(65280 * std + 0.5)
    levels = (scale * draws.normal_table().astype(np.int64) + 2**19) >> 20
    # Beyond 255 levels everything clips the same.
    return _constant(np.clip(levels, -256, 256).astype(np.int16))


@numba.njit(nogil=True, cache=True)
def _add_noise(pixels, uniforms, noise, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        out[e] = min(max(np.int32(pixels[e]) + np.int32(noise[uniforms[e]]), 0), 255)


@numba.njit(nogil=True, cache=True)
def _replace(pixels, uniforms, few, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        u = np.int32(uniforms[e])
        kept = 255 if u >= 65536 - few else pixels[e]
        out[e] = 0 if u < few else kept


def motion_blur(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur along one direction an image, one-sided, edges replicated; `radius` and `sigma` in pixels."""
    if radius < 0 or sigma <= 0:
        raise ValueError(f"motion_blur needs radius >= 0 and sigma > 0, in pixels, not {radius} and {sigma}")
    weights = motion_weights(radius, sigma)
    offsets = motion_offsets(len(weights))
    out = np.empty_like(images)
    for image, angle, blurred in zip(images, angles, out, strict=True):
        _blur_along(_rows(image), image.shape[2], offsets[angle], weights, _rows(blurred, frozen=False))
    return out


@functools.lru_cache(maxsize=64)
def motion_weights(radius: int, sigma: float) -> NDArray[np.int32]:
    """Return the 2 * `radius` + 1 one-sided Gaussian weights as integers that sum to 65536, by largest remainders."""
    shares = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    exact = [65536 * share / math.fsum(shares) for share in shares]
    weights = np.array([math.floor(x) for x in exact], np.int32)
    by_remainder = sorted(range(len(exact)), key=lambda i: (weights[i] - exact[i], i))
    weights[by_remainder[: 65536 - int(weights.sum())]] += 1
    return _constant(weights)


@functools.lru_cache(maxsize=8)
def motion_offsets(count: int) -> NDArray[np.int32]:
    """Return the (dx, dy) in pixels of each step of each angle; int32 (256, 2, `count`)."""
    offsets = np.empty((256, 2, count), np.int32)
    for angle in range(256):
        theta = math.radians((2 * angle + 1 - 256) * 45 / 256)
        for axis, part in enumerate((math.cos(theta), math.sin(theta))):
            offsets[angle, axis] = [math.ceil(i * part - 0.5) for i in range(count)]
    return _constant(offsets)


@numba.njit(nogil=True, cache=True)
def _blur_along(rows, channels, offsets, weights, out):  # type: ignore[no-untyped-def]
    """Blur one image given as rows (H, W * C) along `offsets` (2, count)."""
    height, width = rows.shape
    total = np.empty(width, np.int32)
    for p in range(height):
        total[:] = 32768
        for i in range(weights.size):
            row = min(max(p + offsets[1, i], 0), height - 1)
            for j in range(width):
                q = min(max(j // channels + offsets[0, i], 0), width // channels - 1)
                total[j] += weights[i] * rows[row, q * channels + j % channels]
        for j in range(width):
            out[p, j] = total[j] >> 16


def zoom_blur(images: Images, *, percents: Sequence[int]) -> Images:
    """Average the image with its enlargements by `percents`, each 100 or more, bilinear, cut to the centre."""
    if not 1 <= len(percents) <= 31 or min(percents) < 100:
        raise ValueError(f"zoom_blur needs 1 to 31 percents of 100 or more, not {list(percents)}")
    taps = [_zoom_taps(n, tuple(percents)) for n in images.shape[1:3]]
    out = np.empty_like(images)
    for image, zoomed in zip(images, out, strict=True):
        _zoom(_frozen(image, image.shape), *taps[0], *taps[1], zoomed)
    return out


@functools.lru_cache(maxsize=64)
def _zoom_taps(n: int, percents: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the first and the second tap and the second one's weight, in 1/512; each int32 (percents, n)."""
    first, second, weight = (np.empty((len(percents), n), np.int32) for _ in range(3))
    place = np.arange(n)
    for row, z in enumerate(percents):
        kept = -(-100 * n // z)
        size = (2 * kept * z + 100) // 200
        start, trim = (n - kept) // 2, (size - n) // 2
        index, rest = np.divmod((place + trim) * (kept - 1), size - 1)
        first[row] = start + index
        second[row] = start + np.minimum(index + 1, kept - 1)
        weight[row] = (2 * 512 * rest + size - 1) // (2 * (size - 1))
    return _constant(first), _constant(second), _constant(weight)


@numba.njit(nogil=True, cache=True)
def _zoom(image, top, bottom, down, left, right, across, out):  # type: ignore[no-untyped-def]
    height, width, channels = image.shape
    zooms = top.shape[0]
    shares = zooms + 1
    for p in range(height):
        for q in range(width):
            for c in range(channels):
                total = np.int64(image[p, q, c]) << 18
                for z in range(zooms):
                    upper, lower = image[top[z, p]], image[bottom[z, p]]
                    a, b, w = left[z, q], right[z, q], across[z, q]
                    total += (512 - down[z, p]) * ((512 - w) * upper[a, c] + w * upper[b, c])
                    total += down[z, p] * ((512 - w) * lower[a, c] + w * lower[b, c])
                out[p, q, c] = ((total + (shares << 17)) >> 18) // shares


def add_value(images: Images, *, delta: float) -> Images:
    """Raise the HSV value by `delta`, a fraction of the full range; hue and saturation are kept."""
    table = _value_table(delta)
    out = np.empty_like(images)
    if images.shape[3] == 1:
        _look_up(_frozen(images), _constant(table.diagonal().copy()), out.reshape(-1))
    else:
        _raise_value(_frozen(images, (-1, 3)), table, out.reshape(-1, 3))
    return out


@functools.lru_cache(maxsize=16)
def _value_table(delta: float) -> Images:
    """Return the new level of a channel at level c in a pixel of value v; uint8 (256 v, 256 c), made for c <= v."""
    rise = math.floor(510 * abs(delta) + 0.5) * (1 if delta > 0 else -1)
    v = np.arange(256)[:, None]
    c = np.arange(256)[None, :]
    raised = np.clip(2 * v + rise, 0, 510)
    table = np.where(v == 0, (raised + 1) >> 1, (np.minimum(c, v) * raised + v) // np.maximum(2 * v, 1))
    return _constant(table.astype(np.uint8))


@numba.njit(nogil=True, cache=True)
def _look_up(pixels, table, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.size):
        out[e] = table[pixels[e]]


@numba.njit(nogil=True, cache=True)
def _raise_value(pixels, table, out):  # type: ignore[no-untyped-def]
    for e in range(pixels.shape[0]):
        r, g, b = pixels[e, 0], pixels[e, 1], pixels[e, 2]
        row = table[max(r, g, b)]
        out[e, 0], out[e, 1], out[e, 2] = row[r], row[g], row[b]


def scale(images: Images, *, percent: int) -> Images:
    """Multiply every level by `percent` percent."""
    _check_percent("scale", percent)
    out = np.empty_like(images)
    height, width, channels = images.shape[1:]
    for image, scaled in zip(images, out, strict=True):
        _line(_rows(image), percent, np.full(width * channels, 50, np.int32), _rows(scaled, frozen=False))
    return out


def channel_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent of each level's distance to the mean of its channel over the image."""
    _check_percent("channel_mean", percent)
    out = np.empty_like(images)
    height, width, channels = images.shape[1:]
    count = height * width
    for image, flattened in zip(images, out, strict=True):
        sums = _column_sums(_rows(image)).reshape(width, channels).sum(0, dtype=np.int64)
        base = [((100 - percent) * int(total) + 50 * count) // count for total in sums]
        _line(_rows(image), percent, np.tile(np.array(base, np.int32), width), _rows(flattened, frozen=False))
    return out


def luma_mean(images: Images, *, percent: int) -> Images:
    """Keep `percent` percent of each level's distance to the mean of the image's luma (ITU-R 601, rounded)."""
    _check_percent("luma_mean", percent)
    out = np.empty_like(images)
    height, width, channels = images.shape[1:]
    count = height * width
    for image, flattened in zip(images, out, strict=True):
        total = _luma_sum(_frozen(image, (-1, 3))) if channels == 3 else int(_column_sums(_rows(image)).sum())
        mean = (2 * total + count) // (2 * count)
        base = np.full(width * channels, (100 - percent) * mean + 50, np.int32)
        _line(_rows(image), percent, base, _rows(flattened, frozen=False))
    return out


def _check_percent(kernel: str, percent: int) -> None:
    if not 0 <= percent <= 1000:
        raise ValueError(f"{kernel} needs a percent from 0 to 1000, not {percent}")


@numba.njit(nogil=True, cache=True)
def _column_sums(rows):  # type: ignore[no-untyped-def]
    """Sum rows (H, W * C) over H; uint32, exact for images up to 2^24 high."""
    sums = np.zeros(rows.shape[1], np.uint32)
    for p in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            sums[j] += np.uint32(rows[p, j])
    return sums


@numba.njit(nogil=True, cache=True)
def _luma_sum(pixels):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for e in range(pixels.shape[0]):
        r, g, b = np.int32(pixels[e, 0]), np.int32(pixels[e, 1]), np.int32(pixels[e, 2])
        total += np.int32(np.int32(19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
    return total


@numba.njit(nogil=True, cache=True)
def _line(rows, percent, base, out):  # type: ignore[no-untyped-def]
    """Store clip((percent * x + base) // 100); `base` holds one int32 a column."""
    slope = np.int32(percent)
    for p in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            hundredths = np.int32(slope * np.int32(rows[p, j]) + base[j])
            # 5243 / 2^19 is 1 / 100 a little rounded up: the same floor for every number below 43 698.
            out[p, j] = np.int32(min(max(hundredths, np.int32(0)), np.int32(25599)) * np.int32(5243)) >> 19


def pixelate(images: Images, *, percent: int) -> Images:
    """Shrink to `percent` percent (1 to 100) by box averages and enlarge again by the nearest pixel."""
    if not 1 <= percent <= 100:
        raise ValueError(f"pixelate needs a percent from 1 to 100, not {percent}")
    boxes = [_boxes(n, max(1, n * percent // 100)) for n in images.shape[1:3]]
    out = np.empty_like(images)
    for image, coarse in zip(images, out, strict=True):
        _pixelate(_frozen(image, image.shape), *boxes[0], *boxes[1], coarse)
    return out


@functools.lru_cache(maxsize=64)
def _boxes(n: int, m: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return where each of `m` boxes over `n` pixels starts (m + 1 edges), its reciprocal, and each pixel's box."""
    # The first j with (2 j + 1) m > 2 i n, that is 2 j + 1 > x, is (x + 1) // 2 for x the floor of 2 i n / m.
    edges = np.array([(2 * i * n // m + 1) // 2 for i in range(m + 1)])
    counts = np.diff(edges)
    reciprocals = (2**23 + counts) // (2 * counts)
    nearest = (2 * np.arange(n) + 1) * m // (2 * n)
    first, second, third = (_constant(a.astype(np.int32)) for a in (edges, reciprocals, nearest))
    return first, second, third


@numba.njit(nogil=True, cache=True)
def _pixelate(image, top, tall, up, left, wide, back, out):  # type: ignore[no-untyped-def]
    height, width, channels = image.shape
    columns = wide.size
    narrow = np.empty((height, columns, channels), np.uint8)
    for p in range(height):
        for i in range(columns):
            for c in range(channels):
                total = np.int32(0)
                for q in range(left[i], left[i + 1]):
                    total += np.int32(image[p, q, c])
                narrow[p, i, c] = np.int32(total * wide[i] + (1 << 21)) >> 22
    small = np.empty((columns, channels), np.uint8)
    done = -1
    for p in range(height):
        i = up[p]
        if i != done:
            for j in range(columns):
                for c in range(channels):
                    total = np.int32(0)
                    for row in range(top[i], top[i + 1]):
                        total += np.int32(narrow[row, j, c])
                    small[j, c] = np.int32(total * tall[i] + (1 << 21)) >> 22
            done = i
        for q in range(width):
            for c in range(channels):
                out[p, q, c] = small[back[q], c]


def warm() -> None:
    """Compile every kernel, or load it from Numba's cache, by one call on the smallest images."""
    for channels in (1, 3):
        images = np.zeros((1, 2, 2, channels), np.uint8)
        uniforms = draws.uniforms((0, 0), [0], images.size).reshape(images.shape)
        gaussian_noise(images, uniforms, std=0.1)
        impulse_noise(images, uniforms, amount=0.1)
        motion_blur(images, draws.angles((0, 0), [0]), radius=1, sigma=1)
        zoom_blur(images, percents=[100])
        add_value(images, delta=0.1)
        scale(images, percent=100)
        channel_mean(images, percent=100)
        luma_mean(images, percent=100)
        pixelate(images, percent=100)


def _constant(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _frozen(array: NDArray[Any], shape: Any = -1) -> NDArray[Any]:
    """Return a read-only view, so that Numba compiles one version, whether the caller's array is writeable or not."""
    return _constant(np.ascontiguousarray(array).reshape(shape).view())


def _rows(image: Images, *, frozen: bool = True) -> Images:
    rows = image.reshape(image.shape[0], -1)
    return _frozen(rows, rows.shape) if frozen else rows
