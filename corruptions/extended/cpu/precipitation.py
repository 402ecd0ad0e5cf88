"""The CPU kernels of snow and spatter: layers of normal noise, what is above a threshold falls on the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.cpu.motion import motion_blur
from corruptions.extended.cpu.blur import weigh_in_16_bits
from corruptions.extended.cpu.weather import divided, mix, repeat
from corruptions.extended.lookup import blur, precipitation
from corruptions.extended.lookup.weather import fraction
from corruptions.spec import Images


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
    flakes = precipitation.layer("snow", mean, spread, threshold)
    kept = fraction("snow", "keep", keep)
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
    # 32 bits hold a deviate times 512; of a deviate, which is rounded to 16 bits again, and the spread 64 are needed.
    mixed, layer = np.empty(width + 1, np.int32), np.empty((height, width), np.uint8)
    for n in range(count):
        for p in range(height):
            top, low = rows[0, p], np.int32(down[0, p])
            bottom = min(top + 1, height - 1)
            for q in range(width):
                upper, lower = np.int32(normal[pixels[n, top, q]]), np.int32(normal[pixels[n, bottom, q]])
                mixed[q] = np.int32(upper * (np.int32(512) - low)) + np.int32(lower * low)
            mixed[width] = mixed[width - 1]
            for q in range(width):
                left, right = columns[0, q], np.int64(across[0, q])
                deviate = mixed[left] * (512 - right) + mixed[left + 1] * right
                level = mean + ((spread * ((deviate + (1 << 13)) >> 14) + (1 << 15)) >> 16)
                layer[p, q] = min(max((level + 2048) >> 12, 0), 255) if level >= threshold else 0
        for q in range(width):
            for p in range(height):
                out[n, q, p, 0] = layer[p, q]


@njit
def _whiten(images, flakes, kept, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    snow, grey = np.empty(width, np.int32), np.empty(width, np.int32)
    white, added = np.empty(line, np.int32), np.empty(line, np.int32)
    kept, rest = np.int32(kept), np.int32(4096 - kept)
    for n in range(count):
        image, snowy = images[n].reshape(height, line), out[n].reshape(height, line)
        for p in range(height):
            for q in range(width):
                snow[q] = np.int32(flakes[n, q, p]) + np.int32(flakes[n, width - 1 - q, height - 1 - p])
            _luma(image, p, channels, grey)
            for q in range(width):
                snow[q] = np.int32(8192) * snow[q] + np.int32(4096)
                grey[q] = np.int32(3) * grey[q] + np.int32(255)
            repeat(grey, channels, white)
            repeat(snow, channels, added)
            for j in range(line):
                level = np.int32(2) * np.int32(image[p, j])
                total = np.int32(np.int32(kept * level) + np.int32(rest * max(level, white[j]))) + added[j]
                snowy[p, j] = min(np.int32(total) >> np.int32(13), np.int32(255))


@njit
def _luma(image, p, channels, grey):  # type: ignore[no-untyped-def]
    """Store the luma (ITU-R BT.601) of row p, (H, W * C), rounded half up, or its levels if it is grey."""
    for q in range(grey.size):
        if channels == 1:
            grey[q] = image[p, q]
        else:
            red, green, blue = np.int32(image[p, 3 * q]), np.int32(image[p, 3 * q + 1]), np.int32(image[p, 3 * q + 2])
            grey[q] = np.int32(19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


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
    liquid = precipitation.layer("spatter", mean, spread, threshold)
    shares = fraction("spatter", "opacity", opacity), precipitation.flag("spatter", "mud", mud)
    colour = lookup.constant(np.array(precipitation.colour_of(images.shape[3], mud=mud), np.int32))
    weights, edges = blur.gaussian_weights("spatter", sigma), blur.gaussian_weights("spatter", edge)
    out = np.empty(images.shape, np.uint8)
    drawn = flat(pixels, pixels.shape)
    _splash(flat(images, images.shape), drawn, lookup.normal_table(), liquid, weights, edges, shares, colour, out)
    return out


@njit
def _splash(images, pixels, normal, liquid, weights, edges, shares, colour, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    mean, spread, threshold = liquid
    opacity, mud = shares
    quadrupled = np.int32(4) * colour  # the opacity is in 1/4096
    depth, cover = np.empty((height, width), np.int32), np.empty((height, width), np.int32)
    kept, added = np.empty(line, np.int32), np.empty(line, np.int32)
    for n in range(count):
        image, splashed = images[n].reshape(height, line), out[n].reshape(height, line)
        for p in range(height):
            for q in range(width):
                depth[p, q] = normal[pixels[n, p, q]]
        _soften(depth, weights)
        for p in range(height):
            for q in range(width):
                depth[p, q] = mean - threshold + ((np.int64(spread) * depth[p, q] + 2048) >> 12)
        if mud:
            for p in range(height):
                for q in range(width):
                    cover[p, q] = 16384 if depth[p, q] > 0 else 0
            _soften(cover, edges)
            for p in range(height):
                for q in range(width):
                    cover[p, q] = cover[p, q] if cover[p, q] >= precipitation.DENSE else 0
                _paint(cover, p, colour, added)
                for c in range(channels):
                    for q in range(width):
                        kept[q * channels + c] = np.int32(16384) - cover[p, q]
                for j in range(line):
                    mixed_in = np.int32(np.int32(image[p, j]) * kept[j]) + added[j]
                    splashed[p, j] = np.int32(mixed_in) >> np.int32(14)
        else:
            _light(depth, cover)
            brightest = max(np.int64(cover.max()), np.int64(1))
            for p in range(height):
                for q in range(width):
                    cover[p, q] = divided(np.int64(opacity) * cover[p, q] + brightest // 2, brightest)
                _paint(cover, p, quadrupled, added)
                mix(image[p], 1 << 14, added, splashed[p])


@njit
def _paint(cover, p, colour, added):  # type: ignore[no-untyped-def]
    """Store the colour times row p of the cover, in units of 2^-14, and a half that rounds."""
    channels = colour.size
    for c in range(channels):
        shade = np.int32(colour[c])
        for q in range(cover.shape[1]):
            added[q * channels + c] = np.int32(cover[p, q] * shade) + np.int32(8192)


@njit
def _light(depth, light):  # type: ignore[no-untyped-def]
    """Store how bright water of a depth shines that is lit from the upper left: its depth and twice its slope."""
    height, width = depth.shape
    for p in range(height):
        above, below = max(p - 1, 0), min(p + 1, height - 1)
        for q in range(1, width - 1):
            light[p, q] = _lit(depth[p, q], depth[above, q - 1], depth[below, q + 1])
        light[p, 0] = _lit(depth[p, 0], depth[above, 0], depth[below, 1])
        light[p, width - 1] = _lit(depth[p, width - 1], depth[above, width - 2], depth[below, width - 1])


@njit
def _lit(depth, before, after):  # type: ignore[no-untyped-def]
    return max(depth + 2 * (after - before), 0) if depth > 0 else 0


@njit
def _soften(plane, weights):  # type: ignore[no-untyped-def]
    """Blur int32 (H, W), -32768 to 32767, in place, down and then across, by the weights 0, 1, .. pixels away."""
    height, width = plane.shape
    reach = weights.size - 1
    # As weights sum to 1, what is added to all pixels is added to their means.
    raised = np.empty((height, width), np.uint16)
    for p in range(height):
        for q in range(width):
            raised[p, q] = plane[p, q] + 32768
    factors = weights.copy()
    factors[0] //= 2  # the pixel itself is taken twice, like all others
    steps = np.arange(reach + 1)
    above, below = np.empty(reach + 1, np.int64), np.empty(reach + 1, np.int64)
    left, right = reach - steps, reach + steps
    row = np.empty(width + 2 * reach, np.uint16)
    body, mean, source = row[reach : reach + width], np.empty(width, np.uint16), raised.reshape(-1)
    for p in range(height):
        for j in range(reach + 1):
            above[j], below[j] = max(p - j, 0) * width, min(p + j, height - 1) * width
        weigh_in_16_bits(source, above, below, factors, body)
        for q in range(reach):
            row[q], row[reach + width + q] = row[reach], row[reach + width - 1]
        weigh_in_16_bits(row, left, right, factors, mean)
        for q in range(width):
            plane[p, q] = np.int32(mean[q]) - np.int32(32768)
