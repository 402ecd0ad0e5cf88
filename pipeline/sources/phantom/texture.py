"""Smooth random fields: tiles that repeat every 512 pixels, of which a drawing takes a random window."""

from __future__ import annotations

import functools
import math

import numpy as np

from corruptions.cpu import draws
from pipeline.sources.phantom.plane import Field
from pipeline.sources.phantom.random_state import RandomState, key
from pipeline.workspace.cell import SIZE

_PERIOD = 512


def _smooth(values: Field, scale: int, axis: int) -> Field:
    """Put `scale` pixels between neighbours along an axis, by the cubic B-spline; periodic."""
    t = np.arange(scale, dtype=np.float64) / scale
    s = 1.0 - t
    weights = (s * s * s, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * s * s + 3.0 * s * s * s, t * t * t)
    values = np.moveaxis(values, axis, -1)
    total = np.zeros((*values.shape, scale))
    for shift, weight in zip((1, 0, -1, -2), weights, strict=True):
        total += np.roll(values, shift, -1)[..., None] * weight / 6.0
    return np.moveaxis(total.reshape(*values.shape[:-1], -1), -1, axis)


def _unit(tile: Field) -> Field:
    """Scale to a root mean square of 1; the sum is in integers, so its order does not matter."""
    whole = np.rint(tile * 4096.0).astype(np.int64)
    return np.asarray(tile * (4096.0 / math.sqrt(int((whole * whole).sum()) / whole.size)))


@functools.cache
def _tile(height: int, width: int, octaves: int) -> Field:
    total = np.zeros((_PERIOD, _PERIOD))
    weight = 1.0
    for octave in range(octaves):
        rows, columns = _PERIOD // max(height >> octave, 1), _PERIOD // max(width >> octave, 1)
        numbers = draws.uniforms(key("texture", height, width), [octave], rows * columns).astype(np.float64)
        lattice = (numbers.reshape(rows, columns) - 32767.5) / 32768.0
        total += weight * _unit(_smooth(_smooth(lattice, _PERIOD // rows, 0), _PERIOD // columns, 1))
        weight *= 0.55
    tile = np.concatenate([_unit(total)] * 2)
    tile.flags.writeable = False
    return tile


def texture(
    random: RandomState, height: int, width: int | None = None, *, octaves: int = 1, turned: bool = True
) -> Field:
    """Return a field (224, 224) of mean about 0 and root mean square about 1, a read-only view.

    Args:
        random: where the window is taken.
        height: distance between independent values downwards, pixels, a power of two.
        width: the same to the right; `height` if not given.
        octaves: layers, each of half the size and 0.55 times the strength.
        turned: also exchange rows and columns at random; not for fields that have a direction.
    """
    square = width is None
    tile = _tile(height, height if width is None else width, octaves)
    top, left = random.integer(0, _PERIOD - 1), random.integer(0, _PERIOD - SIZE)
    part = tile[top : top + SIZE, left : left + SIZE]
    if random.happens(0.5):
        part = part[::-1]
    if random.happens(0.5):
        part = part[:, ::-1]
    return part.T if square and turned and random.happens(0.5) else part
