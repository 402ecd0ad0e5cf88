"""Compiled loops that put shapes on the plane.

Compiled without fast-math: LLVM then neither reorders sums nor fuses a product and a sum, so the results are
those of IEEE 754 on every machine. They call no compiled function of another file, since Numba's cache would
not notice a change there.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def stroke(cover, capsules):  # type: ignore[no-untyped-def]
    """Raise `cover` to the weight of each capsule inside it; in place.

    Args:
        cover: float64 (H, W).
        capsules: float64 (n, 8): x0, y0, x1, y1, radius at each end, width of the soft edge, weight.
    """
    height, width = cover.shape
    for n in range(capsules.shape[0]):
        x0, y0, x1, y1, r0, r1, soft, weight = capsules[n]
        reach = max(r0, r1) + soft * 0.5
        left = max(int(math.floor(min(x0, x1) - reach)), 0)
        right = min(int(math.floor(max(x0, x1) + reach)) + 1, width - 1)
        top = max(int(math.floor(min(y0, y1) - reach)), 0)
        bottom = min(int(math.floor(max(y0, y1) + reach)) + 1, height - 1)
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        for i in range(top, bottom + 1):
            py = i - y0
            for j in range(left, right + 1):
                px = j - x0
                t = 0.0
                if length > 0.0:
                    t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                ex, ey = px - t * dx, py - t * dy
                distance = math.sqrt(ex * ex + ey * ey) - (r0 + (r1 - r0) * t)
                c = min(max(0.5 - distance / soft, 0.0), 1.0)
                c = c * c * (3.0 - 2.0 * c) * weight
                if c > cover[i, j]:
                    cover[i, j] = c


@numba.njit(nogil=True, cache=True, error_model="numpy")
def union(x, y, capsules, blend):  # type: ignore[no-untyped-def]
    """Return the signed distance of each point to a smooth union of capsules; float64 of the shape of `x`.

    Args:
        x, y: float64 (H, W), coordinates of the points, in the units of the capsules.
        capsules: float64 (n, 6): x0, y0, x1, y1, radius at each end.
        blend: how far the joint between two capsules reaches; 0 for none.
    """
    out = np.empty(x.shape)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            nearest = 1e9
            for n in range(capsules.shape[0]):
                px, py = x[i, j] - capsules[n, 0], y[i, j] - capsules[n, 1]
                dx, dy = capsules[n, 2] - capsules[n, 0], capsules[n, 3] - capsules[n, 1]
                length = dx * dx + dy * dy
                t = 0.0
                if length > 0.0:
                    t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                ex, ey = px - t * dx, py - t * dy
                distance = math.sqrt(ex * ex + ey * ey) - (capsules[n, 4] + (capsules[n, 5] - capsules[n, 4]) * t)
                if blend > 0.0:
                    h = max(blend - abs(nearest - distance), 0.0) / blend
                    nearest = min(nearest, distance) - h * h * blend * 0.25
                else:
                    nearest = min(nearest, distance)
            out[i, j] = nearest
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
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
        for i in range(max(int(math.floor(y - reach)), 0), min(int(math.floor(y + reach)) + 1, height - 1) + 1):
            for j in range(max(int(math.floor(x - reach)), 0), min(int(math.floor(x + reach)) + 1, width - 1) + 1):
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def soften(image, share, passes):  # type: ignore[no-untyped-def]
    """Blur in place: each pass mixes a pixel with its two neighbours, along both axes; edges are replicated.

    Args:
        image: float64 (H, W, C).
        share: what each neighbour gives, 0 to 1/3; the standard deviation is sqrt(2 * share * passes) pixels.
        passes: whole number.
    """
    height, width, channels = image.shape
    line = np.empty((max(height, width), channels))
    keep = 1.0 - 2.0 * share
    for _ in range(passes):
        for i in range(height):
            for j in range(width):
                for k in range(channels):
                    near = image[i, max(j - 1, 0), k] + image[i, min(j + 1, width - 1), k]
                    line[j, k] = keep * image[i, j, k] + share * near
            for j in range(width):
                for k in range(channels):
                    image[i, j, k] = line[j, k]
        row = image[0].copy()
        for i in range(height):
            for j in range(width):
                for k in range(channels):
                    old = image[i, j, k]
                    near = row[j, k] + image[min(i + 1, height - 1), j, k]
                    image[i, j, k] = keep * old + share * near
                    row[j, k] = old


@numba.njit(nogil=True, cache=True, error_model="numpy")
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def develop(image, deviates, strength):  # type: ignore[no-untyped-def]
    """Return `image`, fractions of the range, plus `strength` times `deviates`, as uint8 (H, W, C)."""
    out = np.empty(image.shape, np.uint8)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for k in range(image.shape[2]):
                value = math.floor((image[i, j, k] + strength * deviates[i, j, k]) * 255.0 + 0.5)
                out[i, j, k] = np.uint8(min(max(value, 0.0), 255.0))
    return out
