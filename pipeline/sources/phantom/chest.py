"""Chest radiographs: ribs, heart and diaphragm; pneumonia as a lobe's consolidation or as a pattern on both sides."""

from __future__ import annotations

import numpy as np

from pipeline.sources.phantom import brush
from pipeline.sources.phantom.camera import Camera
from pipeline.sources.phantom.plane import (
    CENTRE,
    Capsules,
    Field,
    X,
    Y,
    bell,
    cos_sin,
    frame,
    step,
    stroke,
    strokes,
    total,
)
from pipeline.sources.phantom.random_state import RandomState
from pipeline.sources.phantom.texture import texture

CAMERAS = (
    Camera((0.5, 0.9), (1.5, 3), (0.42, 0.54), (0.19, 0.24), (-0.3, 0.3)),
    Camera((1.1, 1.7), (5, 10), (0.36, 0.56), (0.15, 0.21), (-0.6, 0.4), (0.0, 0.4), coarse=0.2),
)
NORMAL, BACTERIA, VIRUS = range(3)


def radiograph(random: RandomState, label: int) -> Field:
    """Draw a frontal radiograph of a child's chest, 0 normal, 1 bacterial, 2 viral; float64 (224, 224, 1)."""
    middle = CENTRE + random.uniform(-5, 5)
    wide, top, base = random.uniform(0.92, 1.06), random.uniform(38, 50), random.uniform(158, 176)
    bend = 2.0 * texture(random, 64)
    lungs = []
    for side in (-1.0, 1.0):
        x = middle + side * 46 * wide
        lungs.append(
            np.array(
                [
                    (x - side * 10, top + 24, x, base - 62, 21 * wide, 33 * wide),
                    (x, base - 62, x + side * 7, base - 14, 33 * wide, 36 * wide),
                ]
            )
        )
    air = []
    for side, shape in zip((-1.0, 1.0), lungs, strict=True):
        distance = brush.union(X + bend, Y, shape, 6.0)
        u, v = frame(middle + side * 50 * wide, base + 44 + random.uniform(-5, 5) - 5 * side, 0.0, 66 * wide, 52)
        air.append(np.maximum(distance, (1.0 - np.sqrt(u * u + v * v)) * 50.0))
    both = np.minimum(air[0], air[1])

    flank = np.abs(X - middle) / wide - (96.0 + 0.10 * (Y - 60.0))
    rise = np.maximum(np.abs(X - middle) - 24.0, 0.0)
    shoulder = 46.0 * rise / (rise + 10.0) + 0.12 * rise - 22.0 - Y
    body = step(np.maximum(flank, shoulder), 10.0)
    image: Field = 0.04 + 0.56 * body * (1.0 + 0.04 * texture(random, 64, octaves=4))
    image += 0.10 * body * step(base - 8 - Y, 50.0)
    clear = step(both, 7.0)
    image += (random.uniform(0.15, 0.27) + 0.02 * texture(random, 32, octaves=3) - image) * 0.92 * clear
    _spine(image, random, middle, wide)
    _heart(image, random, middle, base)
    _vessels(image, random, middle, top, base, wide, clear)
    if label == BACTERIA:
        added = _consolidation(random, air, middle, top, base, wide)
    elif label == VIRUS:
        added = _interstitium(random, clear, middle, top, base, wide)
    else:
        added = _veil(random, clear, middle, top, base)
    image += added * (random.uniform(750, 1100) / total(added)) * (1.0 - image) * 1.6
    _bones(image, random, middle, top, base, wide, body)
    _marker(image, random)
    return image[..., None]


def _spine(image: Field, random: RandomState, middle: float, wide: float) -> None:
    column = step(np.abs(X - middle) - 13 * wide, 12.0)
    pitch = random.uniform(12, 15)
    phase = (Y[:, :1] + random.uniform(0, 15)) / pitch
    wave, _ = cos_sin(phase)
    image += column * (0.16 + 0.025 * wave) * step(20.0 - Y, 20.0)
    image -= 0.08 * step(np.abs(X - middle) - 4.5, 4.0) * step(Y - 78.0, 20.0)  # windpipe


def _heart(image: Field, random: RandomState, middle: float, base: float) -> None:
    size = random.uniform(0.92, 1.12)
    shape = np.array(
        [
            (middle - 6, base - 44, middle + 20 * size, base - 18, 26 * size, 24 * size),
            (middle, base - 88, middle, base - 30, 15, 22 * size),
            (middle + 8, base - 92, middle + 8, base - 92, 13, 13),
        ]
    )
    distance = brush.union(X + texture(random, 64), Y, shape, 16.0)
    image += (0.74 - image) * 0.85 * step(distance, 7.0)


def _vessels(
    image: Field, random: RandomState, middle: float, top: float, base: float, wide: float, clear: Field
) -> None:
    """Draw the vessels of both lungs, that leave the hilum and fade outwards: every class has them."""
    twigs = []
    for side in (-1.0, 1.0):
        hilum_x, hilum_y = middle + side * 20 * wide, 0.5 * (top + base) - 6
        for n in range(11):
            turn = side * (-0.24 + 0.048 * n + random.uniform(-0.015, 0.015))
            c, s = cos_sin(turn if side > 0 else turn + 0.5)
            length, start = random.uniform(24, 46), random.uniform(1.2, 2.2)
            px, py = hilum_x + length * 0.5 * c, hilum_y + length * 0.5 * s
            twigs.append((hilum_x, hilum_y, px, py, start * 1.4, start, 3.0, 1.0))
            for _ in range(2):
                c2, s2 = cos_sin((turn if side > 0 else turn + 0.5) + random.uniform(-0.07, 0.07))
                twigs.append((px, py, px + length * 0.6 * c2, py + length * 0.6 * s2, start * 0.8, 0.3, 2.5, 0.7))
    cover = strokes(twigs)
    image += 0.16 * cover * clear


def _bones(image: Field, random: RandomState, middle: float, top: float, base: float, wide: float, body: Field) -> None:
    """Draw ribs, the lower edge brighter, and the collar bones."""
    pitch = (base - top) / 8.2
    arcs: Capsules = []
    clavicles: Capsules = []
    for side in (-1.0, 1.0):
        for n in range(10):
            start = top - 8 + pitch * n + random.uniform(-1, 1)
            reach = (46 + 40 * min(1.0, 0.45 + 0.11 * n)) * wide
            drop = random.uniform(20, 26) + 1.5 * n
            first, last = middle + side * 10, middle + side * (10 + reach)
            bow = middle + side * (10 + 0.47 * reach), middle + side * (10 + 0.8 * reach)
            arcs.append((first, start, bow[0], start - 9, bow[1], start - 4 + 0.2 * drop, last, start + drop, 3.4, 3.4))
        a, b = middle + side * 9, top + 4 + random.uniform(-3, 3)
        c, d = middle + side * 82 * wide, top - 12 + random.uniform(-5, 5)
        m = (0.5 * (a + c), 0.5 * (b + d) + 4)
        clavicles += [(a, b, *m, 4.2, 3.4, 2.0, 1.5), (*m, c, d, 3.4, 4.0, 2.0, 1.5)]
    curves = np.array(arcs)
    ribs = stroke(strokes(brush.tubes(curves, 14, 2.5)), clavicles)
    curves[:, 1:8:2] += 3.2
    curves[:, 8:] = 0.7
    edges = strokes(brush.tubes(curves, 14, 1.8))
    image += (0.095 * ribs + 0.06 * edges) * body


def _lobe(random: RandomState, middle: float, top: float, base: float, wide: float) -> tuple[int, float, float]:
    """Return side (0 or 1) and middle of a lobe."""
    side = random.integer(0, 1)
    y = top + (base - top) * (0.30 if random.happens(0.4) else 0.68) + random.uniform(-6, 6)
    return side, middle + (side * 2 - 1) * wide * random.uniform(42, 52), y


def _consolidation(random: RandomState, air: list[Field], middle: float, top: float, base: float, wide: float) -> Field:
    """Fill one lobe of one lung, with the bronchi that stay open dark in it."""
    side, x, y = _lobe(random, middle, top, base, wide)
    u, v = frame(x, y, random.uniform(-0.08, 0.08), 34.0 * wide, 29.0)
    bend = 0.14 * texture(random, 32, octaves=3)
    away = np.sqrt(u * u + v * v) + bend - 1.0
    cover = step(away, 0.55) * step(air[side], 5.0)
    twigs = []
    root_x = x - (side * 2 - 1) * 26
    for _ in range(5):
        c, s = cos_sin((0.0 if side else 0.5) + random.uniform(-0.13, 0.13))
        twigs.append((root_x, y, root_x + 46 * c, y + 46 * s, 1.9, 0.8, 2.0, 1.0))
    open_ = strokes(twigs)
    return np.asarray(cover * (1.0 + 0.12 * texture(random, 16, octaves=2)) * (1.0 - 0.4 * open_))


def _interstitium(random: RandomState, clear: Field, middle: float, top: float, base: float, wide: float) -> Field:
    """Lay a net of fine lines and thickened bronchi over both lungs."""
    net = np.maximum(1.0 - np.abs(texture(random, 16, octaves=2)) * 2.2, 0.0)
    net2 = np.maximum(1.0 - np.abs(texture(random, 8)) * 2.2, 0.0)
    u = (np.abs(X - middle) - 34.0) / 56.0
    v = (Y - 0.5 * (top + base)) / 72.0
    near = 0.35 + 0.65 * bell(0.5 * (u * u + v * v))
    rings = []
    for _ in range(9):
        px = middle + random.sign() * wide * random.uniform(26, 62)
        py = 0.5 * (top + base) + random.uniform(-38, 40)
        rings.append((px, py, px, py, 3.8, 3.8, 1.8, 1.0))
    walls, holes = strokes(rings), strokes([(a, b, a, b, 2.2, 2.2, 1.8, 1.0) for a, b, *_ in rings])
    haze = 0.05 + 0.16 * net + 0.10 * net2 + 0.10 * np.maximum(walls - holes, 0.0)
    return np.asarray(haze * near * clear)


def _veil(random: RandomState, clear: Field, middle: float, top: float, base: float) -> Field:
    """Add as much grey without a structure of its own: soft tissue in front of one lung, a turned patient."""
    side = random.sign()
    u, v = frame(middle + side * 54, 0.5 * (top + base) + random.uniform(-10, 30), 0.0, 90.0, 105.0)
    return np.asarray((0.4 + bell(u * u + v * v)) * clear)


def _marker(image: Field, random: RandomState) -> None:
    """Put the lead letter R beside the patient's right shoulder, in some pictures."""
    if random.happens(0.6):
        x, y = random.uniform(10, 24), random.uniform(14, 34)
        lines = ((0, 0, 0, 12), (0, 0, 5, 0), (5, 0, 7, 3), (7, 3, 5, 6), (5, 6, 0, 6), (3, 6, 7, 12))
        image += (0.95 - image) * strokes([(x + a, y + b, x + c, y + d, 0.9, 0.9, 1.4, 1.0) for a, b, c, d in lines])
