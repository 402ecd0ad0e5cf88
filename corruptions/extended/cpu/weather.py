"""The CPU kernels of the weather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu.compiler import njit
from corruptions.cpu.levels import flat
from corruptions.cpu.motion import motion_blur
from corruptions.extended.cpu.blur import weigh_in_16_bits
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
    side, line = weather.SIDE, width * channels
    plasmas = np.empty((len(scales), side, side), np.int32)
    halves = np.empty(side * side, np.int32)
    veil, wide = np.empty(width, np.int32), np.empty(line, np.int32)
    for n in range(count):
        image = images[n].reshape(height, line)
        brightest = np.int64(_brightest(images[n].reshape(-1)))
        _centre_halves(words[n], halves)
        for d in range(len(scales)):
            _plasma(halves, scales[d], plasmas[d])
        for k in range(len(heights)):
            foggy = out[k, n].reshape(height, line)
            whole = 16 * brightest + heights[k]
            kept = (np.int64(1 << 18) * brightest + whole // 2) // whole if brightest else np.int64(0)
            for p in range(height):
                # The last 16 bits of a veil and the half that rounds change nothing in the sum with a level << 16.
                for start in range(0, width, side):
                    for q in range(start, min(start + side, width)):
                        point = np.int64(plasmas[plasma_of[k], p % side, q - start])
                        veil[q] = (heights[k] * point * kept + np.int64(1 << 29)) >> 16
                _repeat(veil, channels, wide)
                _mix(image, p, np.int32(kept), wide, np.int32(14), foggy)


@njit
def _brightest(pixels):  # type: ignore[no-untyped-def]
    most = np.uint8(0)
    for e in range(pixels.size):
        most = max(most, pixels[e])
    return most


@njit
def _repeat(row, channels, wide):  # type: ignore[no-untyped-def]
    """Store each number of a row once for each channel."""
    if channels == 3:
        for q in range(row.size):
            wide[3 * q] = row[q]
            wide[3 * q + 1] = row[q]
            wide[3 * q + 2] = row[q]
    else:
        for q in range(row.size):
            wide[q] = row[q]


@njit
def _mix(image, p, kept, added, shift, out):  # type: ignore[no-untyped-def]
    """Store row p of the image times `kept`, with `added`, shifted and limited to 255."""
    for j in range(added.size):
        out[p, j] = min(np.int32(np.int32(np.int32(image[p, j]) * kept) + added[j]) >> shift, np.int32(255))


@njit
def _centre_halves(words, halves):  # type: ignore[no-untyped-def]
    """Store the halves of the words, the low one first, less 32768."""
    for i in range(words.size):
        halves[2 * i] = np.int32(words[i] & np.uint32(65535)) - 32768
        halves[2 * i + 1] = np.int32(words[i] >> np.uint32(16)) - 32768


@njit
def _plasma(halves, scales, plasma):  # type: ignore[no-untyped-def]
    """Store a map by the diamond-square method, int32 (256, 256), 0 to 4096, which repeats at its edges.

    The lattice of each step is kept dense, with its first row and column once more at its end.
    """
    side = plasma.shape[0]
    coarse, fine = np.zeros((side + 1, side + 1), np.int32), np.zeros((side + 1, side + 1), np.int32)
    # The middles of the squares, row and column 0 those of the last: the neighbours of the first ones.
    middles = np.empty((side // 2 + 1, side // 2 + 1), np.int32)
    points, step, level = 1, side, 0
    while step >= 2:
        half, scale = step // 2, np.int32(scales[level])
        for i in range(points):
            first = (i * step + half) * side + half
            for j in range(points):
                total = coarse[i, j] + coarse[i, j + 1] + coarse[i + 1, j] + coarse[i + 1, j + 1]
                middles[i + 1, j + 1] = _moved(total, halves[first + j * step], scale)
            middles[i + 1, 0] = middles[i + 1, points]
        for j in range(points + 1):
            middles[0, j] = middles[points, j]
        for i in range(points):
            first = i * step * side
            for j in range(points):
                total = middles[i, j + 1] + middles[i + 1, j + 1] + coarse[i, j] + coarse[i, j + 1]
                fine[2 * i, 2 * j] = coarse[i, j]
                fine[2 * i, 2 * j + 1] = _moved(total, halves[first + j * step + half], scale)
            first += half * side
            for j in range(points):
                total = coarse[i, j] + coarse[i + 1, j] + middles[i + 1, j] + middles[i + 1, j + 1]
                fine[2 * i + 1, 2 * j] = _moved(total, halves[first + j * step], scale)
                fine[2 * i + 1, 2 * j + 1] = middles[i + 1, j + 1]
        points, step, level = 2 * points, half, level + 1
        for i in range(points):
            fine[i, points] = fine[i, 0]
        for j in range(points + 1):
            fine[points, j] = fine[0, j]
        coarse, fine = fine, coarse
    _stretch(coarse, plasma)


@njit
def _moved(total, half, scale):  # type: ignore[no-untyped-def]
    """Return the mean of four, moved at random by up to `scale`; 32 bits hold all."""
    by = np.int32(np.int32(scale * half) + np.int32(1 << 14)) >> np.int32(15)
    return np.int32((np.int32(total + np.int32(2)) >> np.int32(2)) + by)


@njit
def _stretch(lattice, plasma):  # type: ignore[no-untyped-def]
    """Store a map whose lowest point is brought to 0 and the highest to 4096."""
    side = plasma.shape[0]
    low, high = lattice[0, 0], lattice[0, 0]
    for p in range(side):
        for q in range(side):
            low, high = min(low, lattice[p, q]), max(high, lattice[p, q])
    span = max(np.int64(high) - np.int64(low), np.int64(1))
    for p in range(side):
        for q in range(side):
            above = np.int64(lattice[p, q]) - np.int64(low)
            plasma[p, q] = _divided(above * 4096 + span // 2, span)


@njit(error_model="numpy")  # which does not look for a divisor of 0, so that the compiler can make vectors
def _divided(number, divisor):  # type: ignore[no-untyped-def]
    """Return the floor of a quotient below 2^22 of integers from 0 on, the divisor below 2^31.

    In double precision it is exact: a quotient that is no integer is further from one than its last bit.
    """
    return np.int64(np.float64(number) / np.float64(divisor))


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
            _repeat(grey, channels, white)
            _repeat(snow, channels, added)
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
    line = width * channels
    crystals = np.empty((height, width), np.int32)
    frozen, added = np.empty(width, np.int32), np.empty(line, np.int32)
    for n in range(count):
        image = images[n].reshape(height, line)
        _crystallise(words[n], directions, crystals)
        for k in range(len(shares)):
            keep, ice = np.int32(shares[k, 0]), np.int32(shares[k, 1])
            frosty = out[k, n].reshape(height, line)
            for p in range(height):
                for q in range(width):
                    cold = np.int32(70) + (np.int32(np.int32(170) * crystals[p, q]) >> np.int32(8))
                    frozen[q] = np.int32(ice * np.int32(cold)) + np.int32(2048)
                _repeat(frozen, channels, added)
                _mix(image, p, keep, added, np.int32(12), frosty)


@njit
def _crystallise(words, directions, out):  # type: ignore[no-untyped-def]
    """Store how white each pixel is, int32 (H, W), 0 to 256: crystals like ferns, the whitest of which counts."""
    height, width = out.shape
    unit = max(1, min(height, width) // 28)
    out[:] = 0
    for k in range(weather.CRYSTALS):
        place, form = np.int64(words[2 * k]), np.int64(words[2 * k + 1])
        column, row = ((place >> 16) * width) >> 16, ((place & 65535) * height) >> 16
        cosine, sine = directions[form >> 24]
        length = unit * 16384 + (((form & 65535) * unit * 20480) >> 16)
        reach = (length >> 12) * 3 // 2 + 2  # beyond it all is further from the stem than half of what is left
        # Where it whitens, a pixel is in a strip along the stem and in one across it.
        aside = max(unit * 512 + 2048, length // 2 + 1)
        for p in range(max(0, row - reach), min(height, row + reach + 1)):
            low, high = _between(-length - sine * (p - row), length - sine * (p - row), cosine)
            other_low, other_high = _between(cosine * (p - row) - aside, cosine * (p - row) + aside, sine)
            start, end = column + max(low, other_low, -reach), column + min(high, other_high, reach)
            _grow(out, p, max(0, start), min(width, end + 1), row, column, cosine, sine, length, unit)


@njit
def _between(low, high, factor):  # type: ignore[no-untyped-def]
    """Return the first and last integers, or one beyond, that times `factor` (not 0) lie from `low` to `high`."""
    if factor < 0:
        low, high, factor = -high, -low, -factor
    return low // factor, high // factor + 1


@njit
def _grow(out, p, start, end, row, column, cosine, sine, length, unit):  # type: ignore[no-untyped-def]
    """Whiten the pixels `start` to `end` of row p by one crystal."""
    spacing = 4096 * max(2, unit // 2 + 1)
    for q in range(start, end):
        along = abs(cosine * (q - column) + sine * (p - row))
        aside = abs(cosine * (p - row) - sine * (q - column))
        left = max(length - along, 0)
        stem = 256 - _divided(aside * 256, unit * 512 + 2048)
        place = along + (aside >> 1)
        place -= spacing * _divided(place, spacing)
        branch = 256 - _divided(1024 * min(place, spacing - place), spacing)
        white = max(stem, (branch * 3) >> 2) if 2 * aside < left else stem
        # Where nothing is left it gets no whiter.
        white = (white * min(256, _divided(left * 256, unit * 8192))) >> 8
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
    line = width * channels
    mean, spread, threshold = liquid
    opacity, mud = shares
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
                    cover[p, q] = cover[p, q] if cover[p, q] >= weather.DENSE else 0
                _paint(cover, p, colour, np.int32(8192), added)
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
                    cover[p, q] = _divided(np.int64(opacity) * cover[p, q] + brightest // 2, brightest)
                _paint(cover, p, colour, np.int32(2048), added)
                _mix(image, p, np.int32(4096), added, np.int32(12), splashed)


@njit
def _paint(cover, p, colour, half, added):  # type: ignore[no-untyped-def]
    """Store the colour times row p of the cover, and a half that rounds."""
    channels = colour.size
    for c in range(channels):
        shade = np.int32(colour[c])
        for q in range(cover.shape[1]):
            added[q * channels + c] = np.int32(cover[p, q] * shade) + half


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
