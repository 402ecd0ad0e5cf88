"""The drawing plane: pixel coordinates and the few functions that every drawing is made of.

Float64 with + - * / sqrt and comparisons alone, each rounded as IEEE 754 says, so every machine gets the same
bytes. Lengths are pixels, angles are turns (1 is a full circle), grey levels are fractions of the range.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.phantom import brush
from pipeline.workspace.cell import SIZE

Field = NDArray[np.float64]
Capsules = list[tuple[float, ...]]

X: Field = np.broadcast_to(np.arange(SIZE, dtype=np.float64)[None, :], (SIZE, SIZE)).copy()
Y: Field = np.ascontiguousarray(X.T)
X.flags.writeable = Y.flags.writeable = False
CENTRE = (SIZE - 1) / 2

_TWO_PI = 6.283185307179586


def cos_sin(turns: Any) -> tuple[Any, Any]:
    """Return cosine and sine of an angle in turns, by Taylor polynomials (libm's last digit differs by machine)."""
    nearest = math.floor(turns + 0.5) if isinstance(turns, float) else np.floor(turns + 0.5)
    x = (turns - nearest) * _TWO_PI
    square = x * x
    cosine, sine = 1.0, 1.0
    for k in range(22, 0, -2):
        cosine = 1.0 - square * cosine / (k * (k - 1))
        sine = 1.0 - square * sine / (k * (k + 1))
    return cosine, x * sine


def step(distance: Any, soft: float = 1.5) -> Any:
    """Return 1 where `distance` is below -soft/2, 0 above soft/2, a smooth cubic between."""
    return brush.step(distance, soft)


def bell(square: Any) -> Any:
    """Return a bell of height 1 at 0 that ends at 1, for a squared distance: (1 - d^2)^2."""
    t = np.maximum(1.0 - square, 0.0)
    return t * t


def frame(x: float, y: float, turns: float, width: float = 1.0, height: float = 1.0) -> tuple[Field, Field]:
    """Return coordinates of every pixel seen from (x, y), turned by `turns`, in units of `width` and `height`."""
    c, s = cos_sin(turns)
    dx, dy = X - x, Y - y
    return (dx * c + dy * s) / width, (dy * c - dx * s) / height


def window(x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Return the slices (rows, columns) of the part of the plane within `reach` pixels of (x, y)."""
    top, left = max(int(y - reach), 0), max(int(x - reach), 0)
    return slice(top, max(int(y + reach) + 2, top)), slice(left, max(int(x + reach) + 2, left))


def stroke(cover: Field, capsules: Any) -> Field:
    """Raise `cover` to the weight of each capsule (`brush.stroke`) inside it, in place; return it."""
    if len(capsules):
        brush.stroke(cover, np.asarray(capsules, np.float64), X, Y, 0.0)
    return cover


def strokes(capsules: Any) -> Field:
    """Return how far capsules cover an empty plane; float64 (224, 224)."""
    return stroke(np.zeros((SIZE, SIZE)), capsules)


def mix(image: Field, colour: Any, cover: Field, strength: float = 1.0) -> None:
    """Paint `colour` over a colour image where `cover` is 1; in place."""
    brush.mix(image, np.asarray(colour, np.float64), cover, strength)


def stain(image: Field, colour: Any, cover: Field, strength: float = 1.0) -> None:
    """Let `colour` filter a colour image where `cover` is 1; in place."""
    brush.stain(image, np.asarray(colour, np.float64), cover, strength)


def total(field: Field) -> float:
    """Return the sum of a field, in steps of 1/4096, so that the order of the sum does not matter."""
    return float(brush.moments(field)[0]) / 4096.0
