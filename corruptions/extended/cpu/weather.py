"""The CPU kernels of the weather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.cpu.motion import motion_blur
from corruptions.extended.lookup import blur, weather
from corruptions.spec import Images


def fog(images: Images, words: NDArray[np.uint32], *, amount: float, decay: float) -> Images:
    """Add a plasma of up to `amount` times the full range, rougher for a `decay` nearer to 1, and darken again [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 32768). Return a new array like `images`.
    """
    return fog_sweep(images, words, amount=[amount], decay=[decay])[0]


def fog_sweep(
    images: Images, words: NDArray[np.uint32], *, amount: Sequence[float], decay: Sequence[float]
) -> list[Images]:
    """Return `fog` at each `amount` and `decay`; a plasma is made once for each of the decays."""
    heights = lookup.constant(np.array([weather.fog_height(one) for one in amount], np.int64))
    decays = list(dict.fromkeys(decay))
    scales = lookup.constant(np.stack([weather.plasma_scales(one) for one in decays]))
    plasma_of = lookup.constant(np.array([decays.index(one) for one in decay]))
    out = np.empty((len(amount), *images.shape), np.uint8)
    _fog(flat(images, images.shape), flat(words, words.shape), heights, scales, plasma_of, out)
    return list(out)


@njit
def _fog(images, words, heights, scales, plasma_of, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    plasmas = np.empty((len(scales), weather.SIDE, weather.SIDE), np.int32)
    for n in range(count):
        brightest = np.int64(images[n].max()) if images[n].size else np.int64(0)
        for d in range(len(scales)):
            _plasma(words[n], scales[d], plasmas[d])
            _stretch(plasmas[d])
        for k in range(len(heights)):
            whole = 16 * brightest + heights[k]
            kept = (np.int64(1 << 18) * brightest + whole // 2) // whole if brightest else np.int64(0)
            plasma = plasmas[plasma_of[k]]
            for p in range(height):
                row = plasma[p % weather.SIDE]
                for q in range(width):
                    veil = heights[k] * np.int64(row[q % weather.SIDE])
                    for c in range(channels):
                        level = (np.int64(images[n, p, q, c]) << 16) + veil
                        out[k, n, p, q, c] = (level * kept + np.int64(1 << 29)) >> 30


@njit
def _plasma(words, scales, plasma):  # type: ignore[no-untyped-def]
    """Store a map by the diamond-square method, int32 (256, 256), which repeats at its edges."""
    side = plasma.shape[0]
    plasma[0, 0] = 0
    step, level = side, 0
    while step >= 2:
        half, scale = step // 2, scales[level]
        for p in range(half, side, step):
            above, below = p - half, (p + half) % side
            for q in range(half, side, step):
                left, right = q - half, (q + half) % side
                total = plasma[above, left] + plasma[above, right] + plasma[below, left] + plasma[below, right]
                plasma[p, q] = ((total + 2) >> 2) + _moved(words, p * side + q, scale)
        for p in range(0, side, half):
            above, below = (p - half) % side, (p + half) % side
            for q in range(half - p % step, side, step):
                left, right = (q - half) % side, (q + half) % side
                total = plasma[above, q] + plasma[below, q] + plasma[p, left] + plasma[p, right]
                plasma[p, q] = ((total + 2) >> 2) + _moved(words, p * side + q, scale)
        step, level = half, level + 1


@njit
def _moved(words, place, scale):  # type: ignore[no-untyped-def]
    """Return how far a point of the lattice is moved: its 16 bits of the words, from -`scale` to `scale`."""
    half = np.int64(words[place // 2] >> np.uint32(16 * (place % 2))) & np.int64(65535)
    return np.int32((scale * (half - 32768) + (1 << 14)) >> 15)


@njit
def _stretch(plasma):  # type: ignore[no-untyped-def]
    """Bring the lowest point of a map to 0 and the highest to 4096."""
    low, high = np.int64(plasma.min()), np.int64(plasma.max())
    span = max(high - low, np.int64(1))
    for p in range(plasma.shape[0]):
        for q in range(plasma.shape[1]):
            plasma[p, q] = ((np.int64(plasma[p, q]) - low) * 4096 + span // 2) // span


def snow(
    images: Images,
    pixels: NDArray[np.uint16],
    words: NDArray[np.uint32],
    *,
    mean: float,
    spread: float,
    percent: int,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
) -> Images:
    """Whiten, keeping `keep` of the image, and add flakes: normal noise, enlarged, thresholded and blurred [HD].

    `images` uint8 (N, H, W, C); `pixels` uint16 (N, H, W); `words` uint32 (N, 1). Return a new array like `images`.
    """
    flakes = weather.layer("snow", mean, spread, threshold)
    kept = weather.fraction("snow", "keep", keep)
    lookup.check_zooms((percent,))
    count, height, width, _ = images.shape
    down, across = (lookup.zoom_taps(n, (percent,)) for n in (height, width))
    layers = np.empty((count, width, height, 1), np.uint8)  # across first: the flakes fall
    _lay(flat(pixels, pixels.shape), lookup.normal_table(), *flakes, *down, *across, layers)
    angles = (words[:, 0] >> np.uint32(24)).astype(np.uint8)
    blurred = motion_blur(layers, angles, radius=radius, sigma=sigma)
    out = np.empty(images.shape, np.uint8)
    _whiten(flat(images, images.shape), flat(blurred, blurred.shape[:3]), kept, out)
    return out


@njit
def _lay(pixels, normal, mean, spread, threshold, rows, down, columns, across, out):  # type: ignore[no-untyped-def]
    """Store the layer, uint8 (N, W, H, 1), of the enlarged noise; rows, down and so on are the taps of an axis."""
    count, height, width = pixels.shape
    mixed = np.empty(width, np.int64)
    for n in range(count):
        for p in range(height):
            top, low = rows[0, p], down[0, p]
            for q in range(width):
                upper, lower = normal[pixels[n, top, q]], normal[pixels[n, min(top + 1, height - 1), q]]
                mixed[q] = np.int64(upper) * (512 - low) + np.int64(lower) * low
            for q in range(width):
                left, right = columns[0, q], across[0, q]
                deviate = mixed[left] * (512 - right) + mixed[min(left + 1, width - 1)] * right
                level = mean + ((spread * ((deviate + (1 << 13)) >> 14) + (1 << 15)) >> 16)
                out[n, q, p, 0] = min(max((level + 2048) >> 12, 0), 255) if level >= threshold else 0


@njit
def _whiten(images, flakes, kept, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    for n in range(count):
        for p in range(height):
            for q in range(width):
                snow = np.int32(flakes[n, q, p]) + np.int32(flakes[n, width - 1 - q, height - 1 - p])
                pixel = images[n, p, q]
                grey = luma_of(pixel)
                for c in range(channels):
                    level = np.int32(pixel[c])
                    white = max(2 * level, 3 * grey + 255)
                    total = 2 * kept * level + (4096 - kept) * white + 8192 * snow + 4096
                    out[n, p, q, c] = min(total >> 13, 255)


@njit
def luma_of(pixel):  # type: ignore[no-untyped-def]
    """Return the luma (ITU-R BT.601) of one pixel, rounded half up, or its level if it is grey."""
    if pixel.size == 1:
        return np.int32(pixel[0])
    weighted = 19595 * np.int32(pixel[0]) + 38470 * np.int32(pixel[1]) + 7471 * np.int32(pixel[2])
    return np.int32((weighted + 32768) >> 16)


def frost(images: Images, words: NDArray[np.uint32], *, keep: float, ice: float) -> Images:
    """Keep a fraction `keep` of the image and add `ice` times a picture of crystals [HD].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 96). Return a new array like `images`.
    """
    return frost_sweep(images, words, keep=[keep], ice=[ice])[0]


def frost_sweep(
    images: Images, words: NDArray[np.uint32], *, keep: Sequence[float], ice: Sequence[float]
) -> list[Images]:
    """Return `frost` at each `keep` and `ice`; the crystals are drawn once."""
    shares = [
        (weather.fraction("frost", "keep", one), weather.fraction("frost", "ice", other))
        for one, other in zip(keep, ice, strict=True)
    ]
    out = np.empty((len(shares), *images.shape), np.uint8)
    drawn = flat(words, words.shape)
    _frost(flat(images, images.shape), drawn, weather.directions(), lookup.constant(np.array(shares, np.int32)), out)
    return list(out)


@njit
def _frost(images, words, directions, shares, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    crystals = np.empty((height, width), np.int32)
    for n in range(count):
        _crystallise(words[n], directions, crystals)
        for k in range(len(shares)):
            keep, ice = shares[k, 0], shares[k, 1]
            for p in range(height):
                for q in range(width):
                    frozen = ice * (70 + ((170 * crystals[p, q]) >> 8)) + 2048
                    for c in range(channels):
                        out[k, n, p, q, c] = min((keep * np.int32(images[n, p, q, c]) + frozen) >> 12, 255)


@njit
def _crystallise(words, directions, out):  # type: ignore[no-untyped-def]
    """Store how white each pixel is, int32 (H, W), 0 to 256: crystals like ferns, the whitest of which counts."""
    height, width = out.shape
    unit = max(1, min(height, width) // 28)
    spacing = 4096 * max(2, unit // 2 + 1)
    out[:] = 0
    for k in range(weather.CRYSTALS):
        place, form = np.int64(words[2 * k]), np.int64(words[2 * k + 1])
        column, row = ((place >> 16) * width) >> 16, ((place & 65535) * height) >> 16
        cosine, sine = directions[form >> 24]
        length = unit * 16384 + (((form & 65535) * unit * 20480) >> 16)
        reach = (length >> 12) * 3 // 2 + 2  # beyond it all is further from the stem than half of what is left
        for p in range(max(0, row - reach), min(height, row + reach + 1)):
            for q in range(max(0, column - reach), min(width, column + reach + 1)):
                along = abs(cosine * (q - column) + sine * (p - row))
                aside = abs(cosine * (p - row) - sine * (q - column))
                left = length - along
                if left > 0:
                    white = 256 - aside * 256 // (unit * 512 + 2048)
                    if 2 * aside < left:
                        place_between = (along + aside // 2) % spacing
                        branch = 256 - 1024 * min(place_between, spacing - place_between) // spacing
                        white = max(white, branch * 3 // 4)
                    white = (white * min(256, left * 256 // (unit * 8192))) >> 8
                    out[p, q] = max(out[p, q], white)


def spatter(
    images: Images,
    pixels: NDArray[np.uint16],
    *,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    edge: float,
    opacity: float,
    mud: int,
) -> Images:
    """Splash water, or mud if `mud` is 1: normal noise, blurred by `sigma` and thresholded [HD].

    `edge` is the sigma of the mud's edges, in pixels; `opacity` that of the water. `images` uint8 (N, H, W, C);
    `pixels` uint16 (N, H, W). Return a new array like `images`.
    """
    liquid = weather.layer("spatter", mean, spread, threshold)
    shares = weather.fraction("spatter", "opacity", opacity), weather.flag("spatter", "mud", mud)
    colour = lookup.constant(np.array(weather.colour_of(images.shape[3], mud=mud), np.int32))
    weights, edges = blur.gaussian_weights("spatter", sigma), blur.gaussian_weights("spatter", edge)
    out = np.empty(images.shape, np.uint8)
    drawn = flat(pixels, pixels.shape)
    _splash(flat(images, images.shape), drawn, lookup.normal_table(), liquid, weights, edges, shares, colour, out)
    return out


@njit
def _splash(images, pixels, normal, liquid, weights, edges, shares, colour, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    mean, spread, threshold = liquid
    opacity, mud = shares
    depth, cover = np.empty((height, width), np.int32), np.empty((height, width), np.int32)
    mixed = np.empty((height, width), np.int32)
    for n in range(count):
        for p in range(height):
            for q in range(width):
                depth[p, q] = normal[pixels[n, p, q]]
        _soften(depth, weights, mixed)
        for p in range(height):
            for q in range(width):
                depth[p, q] = mean - threshold + ((np.int64(spread) * depth[p, q] + 2048) >> 12)
        if mud:
            for p in range(height):
                for q in range(width):
                    cover[p, q] = 16384 if depth[p, q] > 0 else 0
            _soften(cover, edges, mixed)
            for p in range(height):
                for q in range(width):
                    share = cover[p, q] if cover[p, q] >= weather.DENSE else 0
                    for c in range(channels):
                        mixed_in = np.int32(images[n, p, q, c]) * (16384 - share) + colour[c] * share
                        out[n, p, q, c] = (mixed_in + 8192) >> 14
        else:
            _light(depth, cover)
            brightest = max(np.int64(cover.max()), np.int64(1))
            for p in range(height):
                for q in range(width):
                    light = (np.int64(opacity) * cover[p, q] + brightest // 2) // brightest
                    for c in range(channels):
                        lit = (np.int64(images[n, p, q, c]) << 12) + light * colour[c]
                        out[n, p, q, c] = min((lit + 2048) >> 12, 255)


@njit
def _light(depth, light):  # type: ignore[no-untyped-def]
    """Store how bright water of a depth shines that is lit from the upper left: its depth and twice its slope."""
    height, width = depth.shape
    for p in range(height):
        for q in range(width):
            before = depth[max(p - 1, 0), max(q - 1, 0)]
            after = depth[min(p + 1, height - 1), min(q + 1, width - 1)]
            light[p, q] = max(depth[p, q] + 2 * (after - before), 0) if depth[p, q] > 0 else 0


@njit
def _soften(plane, weights, mixed):  # type: ignore[no-untyped-def]
    """Blur int32 (H, W) in place, down and then across, by the weights 0, 1, .. pixels from the centre."""
    height, width = plane.shape
    for p in range(height):
        for q in range(width):
            mixed[p, q] = 8192 + weights[0] * plane[p, q]
        for j in range(1, weights.size):
            above, below, weight = plane[max(p - j, 0)], plane[min(p + j, height - 1)], weights[j]
            for q in range(width):
                mixed[p, q] += weight * (above[q] + below[q])
    reach = weights.size - 1
    row = np.empty(width + 2 * reach, np.int32)
    for p in range(height):
        for q in range(width):
            row[reach + q] = mixed[p, q] >> 14
        row[:reach], row[reach + width :] = row[reach], row[reach + width - 1]
        for q in range(width):
            mixed[p, q] = 8192 + weights[0] * row[reach + q]
        for j in range(1, weights.size):
            weight = weights[j]
            for q in range(width):
                mixed[p, q] += weight * (row[reach + q - j] + row[reach + q + j])
        for q in range(width):
            plane[p, q] = mixed[p, q] >> 14
