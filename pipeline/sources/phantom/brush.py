"""Compiled loops that put shapes on the plane.

Compiled without fast-math: LLVM then neither reorders sums nor fuses a product and a sum, so the results are
those of IEEE 754 on every machine. They call no compiled function of another file, since Numba's cache would
not notice a change there.
"""

from __future__ import annotations

import math

import numpy as np

from corruptions.cpu.compiler import njit, vectorize


@vectorize
def step(distance, soft):  # type: ignore[no-untyped-def]
    """Return 1 where `distance` is below -soft/2, 0 above soft/2, a smooth cubic between; elementwise."""
    t = min(max(0.5 - distance / soft, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(error_model="numpy")
def stroke(cover, capsules, x, y, margin):  # type: ignore[no-untyped-def]
    """Raise `cover` to the weight of each capsule inside it; in place.

    Args:
        cover: float64 (H, W).
        capsules: float64 (n, 8): x0, y0, x1, y1, radius at each end, width of the soft edge, weight.
        x: float64 (H, W), where each pixel looks: a bent plane gives crooked strokes.
        y: the same, downwards.
        margin: the farthest that a pixel looks from its own place, pixels.
    """
    height, width = cover.shape
    for n in range(capsules.shape[0]):
        x0, y0, x1, y1, r0, r1, soft, weight = capsules[n]
        reach = max(r0, r1) + soft * 0.5 + margin
        left = max(math.floor(min(x0, x1) - reach), 0)
        right = min(math.floor(max(x0, x1) + reach) + 1, width - 1)
        top = max(math.floor(min(y0, y1) - reach), 0)
        bottom = min(math.floor(max(y0, y1) + reach) + 1, height - 1)
        dx, dy = x1 - x0, y1 - y0
        length = max(dx * dx + dy * dy, 1e-12)
        for i in range(top, bottom + 1):
            for j in range(left, right + 1):
                px, py = x[i, j] - x0, y[i, j] - y0
                t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                ex, ey = px - t * dx, py - t * dy
                distance = math.sqrt(ex * ex + ey * ey) - (r0 + (r1 - r0) * t)
                c = min(max(0.5 - distance / soft, 0.0), 1.0)
                cover[i, j] = max(cover[i, j], c * c * (3.0 - 2.0 * c) * weight)


@njit(error_model="numpy")
def tubes(curves, count, soft):  # type: ignore[no-untyped-def]
    """Return the capsules of cubic Bezier curves; float64 (n * count, 8).

    Args:
        curves: float64 (n, 10): x and y of four control points, radius at each end.
        count: capsules a curve.
        soft: width of the soft edge.
    """
    out = np.empty((curves.shape[0] * count, 8))
    for n in range(curves.shape[0]):
        for k in range(count + 1):
            t = k / count
            s = 1.0 - t
            a, b, c, d = s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t
            px = a * curves[n, 0] + b * curves[n, 2] + c * curves[n, 4] + d * curves[n, 6]
            py = a * curves[n, 1] + b * curves[n, 3] + c * curves[n, 5] + d * curves[n, 7]
            r = s * curves[n, 8] + t * curves[n, 9]
            if k < count:
                out[n * count + k, 0], out[n * count + k, 1], out[n * count + k, 4] = px, py, r
                out[n * count + k, 6], out[n * count + k, 7] = soft, 1.0
            if k > 0:
                out[n * count + k - 1, 2], out[n * count + k - 1, 3], out[n * count + k - 1, 5] = px, py, r
    return out


@njit(error_model="numpy")
def union(x, y, capsules, blend):  # type: ignore[no-untyped-def]
    """Return the signed distance of each point to a smooth union of capsules; float64 of the shape of `x`.

    Args:
        x: float64 (H, W), coordinates of the points, in the units of the capsules.
        y: the same, downwards.
        capsules: float64 (n, 6): x0, y0, x1, y1, radius at each end.
        blend: how far the joint between two capsules reaches, above 0.
    """
    out = np.full(x.shape, 1e9)
    for n in range(capsules.shape[0]):
        x0, y0, x1, y1, r0, r1 = capsules[n]
        dx, dy = x1 - x0, y1 - y0
        length = max(dx * dx + dy * dy, 1e-12)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                px, py = x[i, j] - x0, y[i, j] - y0
                t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                ex, ey = px - t * dx, py - t * dy
                distance = math.sqrt(ex * ex + ey * ey) - (r0 + (r1 - r0) * t)
                h = max(blend - abs(out[i, j] - distance), 0.0) / blend
                out[i, j] = min(out[i, j], distance) - h * h * blend * 0.25
    return out


@njit(error_model="numpy")
def mix(image, colour, cover, strength):  # type: ignore[no-untyped-def]
    """Paint `colour` (3,) over `image` (H, W, 3), as far as `strength` times `cover` (H, W) says; in place."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            c = cover[i, j] * strength
            if c > 0.0:
                for k in range(3):
                    image[i, j, k] += (colour[k] - image[i, j, k]) * c


@njit(error_model="numpy")
def stain(image, colour, cover, strength):  # type: ignore[no-untyped-def]
    """Multiply `image` (H, W, 3) by `colour` (3,), as far as `strength` times `cover` (H, W) says; in place."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            c = cover[i, j] * strength
            for k in range(3):
                image[i, j, k] *= 1.0 - c * (1.0 - colour[k])


@njit(error_model="numpy")
def mix_shaded(image, colour, shade, cover):  # type: ignore[no-untyped-def]
    """Paint `colour` (3,) times `shade` (H, W) over `image` (H, W, 3) as far as `cover` (H, W) says; in place."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            c = cover[i, j]
            if c > 0.0:
                for k in range(3):
                    image[i, j, k] += (colour[k] * shade[i, j] - image[i, j, k]) * c


@njit(error_model="numpy")
def discs(image, cells, colour):  # type: ignore[no-untyped-def]
    """Lay biconcave discs on a transmitted-light image; in place, overlaps multiply.

    Args:
        image: float64 (H, W, 3).
        cells: float64 (n, 7): x, y, radius along and across, cosine and sine of the direction, depth of the dimple.
        colour: float64 (3,), what one disc lets through.
    """
    height, width = image.shape[:2]
    for n in range(cells.shape[0]):
        x, y, along, across, c, s, dimple = cells[n]
        reach = max(along, across) + 1.0
        for i in range(max(math.floor(y - reach), 0), min(math.floor(y + reach) + 1, height - 1) + 1):
            for j in range(max(math.floor(x - reach), 0), min(math.floor(x + reach) + 1, width - 1) + 1):
                u = ((j - x) * c + (i - y) * s) / along
                v = ((i - y) * c - (j - x) * s) / across
                d = math.sqrt(u * u + v * v)
                if d < 1.05:
                    edge = min(max((1.03 - d) * 14.0, 0.0), 1.0)
                    hollow = max(1.0 - d * d * 1.9, 0.0)
                    rim = min(max((d - 0.8) * 4.0, 0.0), 1.0)
                    thick = edge * (0.92 + 0.16 * rim - dimple * hollow * (2.0 - hollow))
                    for k in range(3):
                        image[i, j, k] *= 1.0 - thick * (1.0 - colour[k])


@njit(error_model="numpy")
def soften(image, channels, share, passes):  # type: ignore[no-untyped-def]
    """Blur in place: each pass mixes a pixel with its two neighbours, along both axes; edges are replicated.

    Args:
        image: float64 (H, W * channels), the channels of a pixel side by side.
        channels: how many.
        share: what each neighbour gives, 0 to 1/3; the standard deviation is sqrt(2 * share * passes) pixels.
        passes: whole number.
    """
    height, length = image.shape
    keep = 1.0 - 2.0 * share
    line = np.empty(length + 2 * channels)
    above, here = np.empty(length), np.empty(length)
    for _ in range(passes):
        for i in range(height):
            line[channels : length + channels] = image[i]
            line[:channels] = image[i, :channels]
            line[length + channels :] = image[i, length - channels :]
            for j in range(length):
                image[i, j] = keep * line[j + channels] + share * (line[j] + line[j + 2 * channels])
        above[:] = image[0]
        for i in range(height):
            here[:] = image[i]
            below = min(i + 1, height - 1)
            for j in range(length):
                image[i, j] = keep * here[j] + share * (above[j] + image[below, j])
            above[:] = here


@njit(error_model="numpy")
def moments(image):  # type: ignore[no-untyped-def]
    """Return the sums of a (H, W) array and of its squares, in units of 1/4096 and its square, as exact integers."""
    total, squares = np.int64(0), np.int64(0)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            whole = np.int64(math.floor(image[i, j] * 4096.0 + 0.5))
            total += whole
            squares += whole * whole
    return total, squares


@njit(error_model="numpy")
def noise(grain):  # type: ignore[no-untyped-def]
    """Turn uniform uint16 (H, W, C) into triangular deviates of standard deviation 1, float64."""
    out = np.empty(grain.shape)
    for i in range(grain.shape[0]):
        for j in range(grain.shape[1]):
            for k in range(grain.shape[2]):
                word = int(grain[i, j, k])
                # The sum of two bytes; 104.5 is its standard deviation.
                out[i, j, k] = ((word & 255) + (word >> 8) - 255) / 104.5
    return out


@njit(error_model="numpy")
def develop(image, deviates, gain, shift, curve, tint, strength):  # type: ignore[no-untyped-def]
    """Return the picture, uint8 (H, W, C): exposure, tone curve, tint, noise and rounding.

    Args:
        image: float64 (H, W, C), any range.
        deviates: float64 (H, W, C), noise of standard deviation 1.
        gain: contrast, a factor.
        shift: brightness, added; `image * gain + shift` is in fractions of the range.
        curve: what is added, times v(1 - v).
        tint: float64 (C,), what each channel is multiplied by.
        strength: of the noise, fractions of the range.
    """
    out = np.empty(image.shape, np.uint8)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for k in range(image.shape[2]):
                v = min(max(image[i, j, k] * gain + shift, 0.0), 1.0)
                v = (v + curve * v * (1.0 - v)) * tint[k] + strength * deviates[i, j, k]
                out[i, j, k] = np.uint8(min(max(math.floor(v * 255.0 + 0.5), 0.0), 255.0))
    return out
