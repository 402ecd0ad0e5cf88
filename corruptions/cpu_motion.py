"""The CPU kernel of motion blur: shifted rows, weighted and added up."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions import lookup
from corruptions.cpu_levels import Images, flat


def motion_blur(images: Images, angles: NDArray[np.uint8], *, radius: int, sigma: float) -> Images:
    """Blur along one direction an image, one-sided, edges replicated; `radius` and `sigma` in pixels."""
    weights = lookup.motion_weights(radius, sigma)
    offsets = lookup.motion_offsets(weights.size)
    out = np.empty(images.shape, np.uint8)
    _blur(flat(images, images.shape), flat(angles), offsets, weights, out)
    return out


@numba.njit(nogil=True, cache=True)
def _blur(images, angles, offsets, weights, out):  # type: ignore[no-untyped-def]
    count, height, width, channels = images.shape
    line = width * channels
    total = np.empty(line, np.int32)
    # Rows that the blur still needs, widened by what it reaches past the edge; row r is in slot r % steps.
    steps = weights.size
    ring = np.empty((steps, (width + steps - 1) * channels), np.uint16)
    for n in range(count):
        dx, dy, weight = _merge(offsets[angles[n]], weights)
        left, right = max(0, -dx.min()), max(0, dx.max())
        below = max(0, dy.max())
        rows, blurred = images[n].reshape(height, line), out[n].reshape(height, line)
        ready = 0
        for p in range(height):
            while ready <= min(p + below, height - 1):
                _widen(rows[ready], channels, left, right, ring[ready % steps])
                ready += 1
            total[:] = 32768
            for i in range(0, weight.size, 4):
                a = _shifted(ring, p + dy[i], height, (left + dx[i]) * channels, line)
                b = _shifted(ring, p + dy[i + 1], height, (left + dx[i + 1]) * channels, line)
                c = _shifted(ring, p + dy[i + 2], height, (left + dx[i + 2]) * channels, line)
                d = _shifted(ring, p + dy[i + 3], height, (left + dx[i + 3]) * channels, line)
                _add_four(a, b, c, d, weight[i : i + 4], total)
            row = blurred[p]
            for j in range(line):
                row[j] = total[j] >> 16


@numba.njit(nogil=True, cache=True)
def _merge(offsets, weights):  # type: ignore[no-untyped-def]
    """Return dx, dy and the added weights of each distinct offset, filled up with zeros to a multiple of four."""
    dx, dy = np.zeros(weights.size + 3, np.int64), np.zeros(weights.size + 3, np.int64)
    merged = np.zeros(weights.size + 3, np.int32)
    last = 0
    for i in range(weights.size):
        # A line goes on in one direction, so equal offsets are neighbours.
        if offsets[0, i] != dx[last] or offsets[1, i] != dy[last]:
            last += 1
            dx[last], dy[last] = offsets[0, i], offsets[1, i]
        merged[last] += weights[i]
    filled = (last // 4 + 1) * 4
    return dx[:filled], dy[:filled], merged[:filled]


@numba.njit(nogil=True, cache=True)
def _widen(row, channels, left, right, slot):  # type: ignore[no-untyped-def]
    """Copy a row into `slot` with its edge pixels repeated `left` and `right` times."""
    start, end = left * channels, left * channels + row.size
    for c in range(channels):
        for q in range(left):
            slot[q * channels + c] = row[c]
        for q in range(right):
            slot[end + q * channels + c] = row[row.size - channels + c]
    body = slot[start:end]
    for j in range(row.size):
        body[j] = row[j]


@numba.njit(nogil=True, cache=True)
def _shifted(ring, p, height, start, line):  # type: ignore[no-untyped-def]
    return ring[min(max(p, 0), height - 1) % ring.shape[0], start : start + line]


@numba.njit(nogil=True, cache=True)
def _add_four(a, b, c, d, weight, total):  # type: ignore[no-untyped-def]
    # Four taps a pass: one load and store of the total for four products. All sums stay below 2^24.
    wa, wb, wc, wd = weight[0], weight[1], weight[2], weight[3]
    for j in range(total.size):
        first = np.int32(np.int32(a[j]) * wa) + np.int32(np.int32(b[j]) * wb)
        second = np.int32(np.int32(c[j]) * wc) + np.int32(np.int32(d[j]) * wd)
        total[j] += np.int32(first + second)
