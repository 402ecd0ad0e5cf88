"""Optical coherence tomography: a cut through the retina, with its layers and what disturbs them."""

from __future__ import annotations

import numpy as np

from pipeline.sources.phantom.camera import Camera
from pipeline.sources.phantom.plane import Capsules, Field, Y, bell, step, strokes
from pipeline.sources.phantom.random_state import RandomState
from pipeline.sources.phantom.texture import texture
from pipeline.workspace.cell import SIZE

CAMERAS = (
    Camera((0.5, 0.8), (4, 8), (0.24, 0.32), (0.18, 0.22), (-0.1, 0.2)),
    Camera((1.1, 1.7), (12, 20), (0.24, 0.38), (0.14, 0.19), (-0.3, 0.5), (0.0, 0.5), coarse=0.2),
)
CNV, DME, DRUSEN, NORMAL = range(4)
_COLUMN = np.arange(SIZE, dtype=np.float64)

# Brightness below each boundary, from the vitreous to the outer plexiform layer (0 to 1), then to the pigment
# epithelium (1 to 2): nerve fibres, ganglion cells, inner plexiform, inner nuclear, outer plexiform, outer nuclear,
# limiting membrane, inner segments, their junction, outer segments, pigment epithelium.
_BOUNDARIES = (0.0, 0.20, 0.46, 0.70, 0.88, 1.0, 1.44, 1.50, 1.58, 1.68, 1.80)
_LEVELS = (0.05, 0.72, 0.47, 0.58, 0.30, 0.56, 0.24, 0.42, 0.30, 0.82, 0.50, 0.95)
_STEPS = 1024


def _profile() -> Field:
    depth = np.arange(_STEPS) / (_STEPS - 1) * 2.4 - 0.2
    level = np.full(_STEPS, _LEVELS[0])
    for boundary, above, below in zip(_BOUNDARIES, _LEVELS, _LEVELS[1:], strict=False):
        level += (below - above) * step(boundary - depth, 0.05)
    return level


_PROFILE = _profile()


def _bumps(centres: Field, widths: Field, heights: Field) -> Field:
    """Return a sum of bells along the columns."""
    t = (_COLUMN[None, :] - centres[:, None]) / widths[:, None]
    total = np.zeros(SIZE)
    for one in heights[:, None] * bell(t * t):
        total += one
    return total


def tomogram(random: RandomState, label: int) -> Field:
    """Draw a cut through the macula of one of the four classes; float64 (224, 224, 1)."""
    middle = random.uniform(80, 144)
    t = (_COLUMN - middle) / SIZE
    floor = random.uniform(122, 146) + random.uniform(-24, 24) * t - random.uniform(-14, 24) * t * t
    floor = floor + 0.6 * texture(random, 32)[0]
    thick = random.uniform(58, 70)
    pit = random.uniform(0.30, 0.55) * thick * bell(t * t * random.uniform(14, 24))
    swell = random.uniform(0, 12) * bell(t * t * 3.0)
    lift, gap = np.zeros(SIZE), np.zeros(SIZE)
    if label == DRUSEN:
        count = random.integer(3, 5)
        centres = random.uniform(20, 50) + np.arange(count) * random.uniform(32, 40) + random.uniforms(count, -6, 6)
        lift = _bumps(centres, random.uniforms(count, 14, 21), random.uniforms(count, 11, 19))
    if label == CNV:
        place = middle + random.uniform(-30, 30)
        lift = _bumps(np.array([place]), np.array([random.uniform(34, 48)]), np.array([random.uniform(9, 15)]))
        aside = place + random.sign() * random.uniform(24, 40)
        gap = _bumps(np.array([aside, place]), random.uniforms(2, 44, 62), np.array([random.uniform(13, 20), 4.0]))
    if label == DME:
        swell = swell + random.uniform(8, 18) * bell(t * t * 5.0)
        pit = pit * random.uniform(0.2, 0.7)
    pigment = floor - lift  # upper edge of what lies on Bruch's membrane
    outer = floor - 0.55 * lift - gap  # where the photoreceptors end
    plexiform = outer - 0.40 * thick
    top = floor - thick - swell + pit - 0.35 * lift - 0.6 * gap
    top = np.minimum(top, plexiform - 3.0)
    inner = (Y - top) / (plexiform - top)
    below = 1.0 + (Y - plexiform) / (outer - plexiform)
    depth = np.where(inner < 1.0, inner, below)
    image: Field = _PROFILE[np.clip((depth + 0.2) / 2.4 * (_STEPS - 1), 0, _STEPS - 1).astype(np.int64)].copy()

    under = Y - outer
    image = np.where(under > 0.0, 0.06, image)  # fluid under the retina
    _pigment(image, random, label, floor, pigment)
    _choroid(image, random, floor)
    if label == DME:
        _cysts(image, random, top, plexiform, outer, middle)
    image *= 1.0 + 0.22 * texture(random, 2) + 0.10 * texture(random, 2, 16)
    image *= 1.0 + 0.10 * texture(random, 256, 32)
    image += 0.02
    return image[..., None]


def _pigment(image: Field, random: RandomState, label: int, floor: Field, pigment: Field) -> None:
    """Draw the pigment epithelium, and what lies between it and Bruch's membrane."""
    wobble = 1.5 * texture(random, 16)[0] if label == CNV else 0.0
    fill = step(pigment - Y, 2.0) * step(Y - floor, 2.0)
    level = 0.62 + 0.16 * texture(random, 8, octaves=2) if label == CNV else 0.46
    image += (level - image) * fill
    band = step(np.abs(Y - pigment - wobble) - 2.6, 1.8)
    image += (0.92 - image) * band
    image += (0.75 - image) * 0.8 * step(np.abs(Y - floor) - 1.0, 1.5)


def _choroid(image: Field, random: RandomState, floor: Field) -> None:
    """Draw the choroid below: bright, mottled by vessels, fading downwards."""
    deep = Y - floor - 1.5
    vessels = step(texture(random, 16, octaves=2) - 0.5, 1.2)
    fade = np.clip(1.0 - deep / random.uniform(50, 80), 0.0, 1.0)
    level = (0.36 + 0.26 * vessels) * fade + 0.06
    image += (level - image) * step(-deep, 3.0)


def _cysts(image: Field, random: RandomState, top: Field, plexiform: Field, outer: Field, middle: float) -> None:
    """Put cysts, dark and divided by thin walls, in the inner and the outer nuclear layer; bright exudates beside."""
    cysts: Capsules = []
    dots: Capsules = []
    for _ in range(random.integer(8, 13)):
        x = min(max(middle + random.uniform(-60, 60), 6.0), SIZE - 7.0)
        column = int(x)
        deep = random.happens(0.6)
        y = (plexiform + 0.42 * (outer - plexiform) if deep else top + 0.72 * (plexiform - top))[column]
        y += random.uniform(-3, 3)
        half = random.uniform(2, 6) if deep else random.uniform(0, 2)
        r = random.uniform(3.6, 7.0) if deep else random.uniform(2.6, 4.5)
        cysts.append((x, y - half, x, y + half, r, r * random.uniform(0.8, 1.1), 1.8, 1.0))
        if random.happens(0.4):
            a, b = x + random.uniform(-16, 16), y + random.uniform(-8, 8)
            dots.append((a, b, a, b, 1.6, 1.6, 1.5, 1.0))
    image += (0.07 - image) * 0.95 * strokes(cysts)
    image += (0.95 - image) * strokes(dots)
