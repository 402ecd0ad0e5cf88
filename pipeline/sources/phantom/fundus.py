"""Colour photographs of the retina: optic disc, macula, vessels; the abnormal ones with focal lesions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.sources.phantom import brush
from pipeline.sources.phantom.camera import Camera
from pipeline.sources.phantom.plane import CENTRE, Capsules, Field, X, Y, bell, cos_sin, frame, mix, stain, step
from pipeline.sources.phantom.random_state import RandomState
from pipeline.sources.phantom.texture import texture
from pipeline.workspace.cell import SIZE

CAMERAS = (
    Camera((0.5, 0.9), (1.5, 3), (0.30, 0.37), (0.2, 0.2), (-0.1, 0.2), (0.0, 0.05), (1.0, 1.0, 1.0), 0.06, black=True),
    Camera((1.2, 1.9), (4, 8), (0.22, 0.36), (0.2, 0.2), (-0.2, 0.3), (0.1, 0.5), (0.88, 1.06, 1.35), 0.09, 0.2, True),
)
_VEIN = np.array((0.60, 0.34, 0.36))
_ARTERY = np.array((0.78, 0.50, 0.46))
_LIPID = np.array((1.0, 0.82, 0.44))
NORMAL, ABNORMAL = range(2)
Place = tuple[float, float]


def fundus(random: RandomState, label: int) -> Field:
    """Draw a retina, 0 normal or 1 abnormal; float64 (224, 224, 3)."""
    x, y = CENTRE + random.uniform(-3, 3), CENTRE + random.uniform(-3, 3)
    radius = random.uniform(102, 109)
    side = random.sign()
    disc_x, disc_y = x + side * radius * random.uniform(0.40, 0.48), y + radius * random.uniform(-0.08, 0.08)
    macula_x, macula_y = x - side * radius * random.uniform(0.10, 0.18), disc_y + radius * random.uniform(0.0, 0.1)
    square = ((X - x) * (X - x) + (Y - y) * (Y - y)) / (radius * radius)

    pigment = np.array((random.uniform(0.76, 0.88), random.uniform(0.36, 0.46), random.uniform(0.14, 0.24)))
    light = 1.0 - 0.34 * square + 0.035 * texture(random, 64, octaves=3) + 0.02 * texture(random, 8)
    u, v = frame(macula_x, macula_y, 0.0, radius * 0.30, radius * 0.28)
    light -= random.uniform(0.18, 0.28) * bell(u * u + v * v)
    image: Field = light[..., None] * pigment
    stain(image, (1.0, 0.88, 0.88), square)

    dark, bright = random.uniform(450, 1350), random.uniform(250, 850)
    disc = disc_x, disc_y
    if label == NORMAL:
        _fibres(image, random, disc, radius, bright)
    _disc(image, random, disc_x, disc_y, radius)
    thicker = dark / (9.0 * radius) if label == NORMAL else 0.0
    free = _vessels(image, random, disc_x, disc_y, macula_x, radius, side, thicker)
    if label == ABNORMAL:
        _haemorrhages(image, random, (x, y), disc, radius, dark, free)
        _exudates(image, random, (x, y), disc, radius, bright)
    stain(image, (0.0, 0.0, 0.0), 1.0 - step(np.sqrt(square) * radius - radius, 2.5))
    return image


def _disc(image: Field, random: RandomState, x: float, y: float, radius: float) -> None:
    """Put the optic disc with its paler cup."""
    size = radius * random.uniform(0.145, 0.175)
    u, v = frame(x, y, random.uniform(), size, size * random.uniform(1.0, 1.12))
    away = np.sqrt(u * u + v * v)
    mix(image, np.array((0.98, 0.74, 0.44)), step(away - 1.0, 0.3), 0.9)
    mix(image, np.array((1.0, 0.90, 0.68)), step(away - random.uniform(0.35, 0.55), 0.3), 0.85)


def _arcade(x: float, y: float, target_x: float, radius: float, side: float, up: float, reach: float) -> Field:
    """Return control points of a vessel that leaves the disc upwards and bends over the macula."""
    end_x = x - side * radius * 1.25 if reach > 0 else x + side * radius * 0.55
    return np.array(
        [
            (x, y),
            (x - side * radius * 0.10 * reach, y + up * radius * 0.50),
            (target_x + side * radius * 0.1 if reach > 0 else x + side * radius * 0.2, y + up * radius * 0.72),
            (end_x, y + up * radius * (0.42 if reach > 0 else 0.75)),
        ]
    )


def _at(points: Sequence[Place], t: float) -> tuple[float, float]:
    """Return the point of a cubic Bezier curve at `t` from 0 to 1."""
    s = 1.0 - t
    a, b, c, d = s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def _vessels(
    image: Field, random: RandomState, x: float, y: float, target_x: float, radius: float, side: float, thicker: float
) -> Field:
    """Draw the arcades, an artery and a vein each, with two generations of branches; return where there are none."""
    bend_x, bend_y = X + 1.2 * texture(random, 16), Y + 1.2 * texture(random, 16)
    free = np.ones((SIZE, SIZE))
    for colour, wide in ((_VEIN, 1.0), (_ARTERY, 0.72)):
        trunks: Capsules = []
        twigs: Capsules = []
        for up in (-1.0, 1.0):
            for reach in (1.0, -1.0):
                points = _arcade(x, y, target_x, radius, side, up, reach)
                points[1:] += random.uniforms(6, -0.09, 0.09).reshape(3, 2) * radius
                start = (random.uniform(1.8, 2.5) + thicker) * wide * (1.0 if reach > 0 else 0.8)
                trunks.append((*points.reshape(-1), start, 0.7 * wide + 0.5 * thicker))
                _branches(twigs, random, points.tolist(), start, radius, 2)
        for _ in range(2):
            ends = np.array([(x, y)] * 4)
            ends[:, 0] -= side * radius * np.array((0.0, 0.12, 0.26, 0.38))
            ends[:, 1] += random.uniforms(4, -0.16, 0.16) * radius * np.array((0.0, 1.0, 1.2, 1.0))
            twigs.append((*ends.reshape(-1), 0.8 * wide, 0.4))
        cover = np.zeros((SIZE, SIZE))
        brush.stroke(cover, brush.tubes(np.array(trunks), 22, 1.3), bend_x, bend_y, 4.0)
        brush.stroke(cover, brush.tubes(np.array(twigs), 7, 1.3), bend_x, bend_y, 4.0)
        stain(image, colour, cover * free, 0.9)
        free -= cover * free
    return free


def _branches(
    twigs: Capsules, random: RandomState, points: Sequence[Place], start: float, radius: float, depth: int
) -> None:
    """Add the branches of a vessel, and theirs, to both sides in turn."""
    for n in range(4 if depth == 2 else 2):
        t = min(0.9, 0.16 + 0.2 * n + random.uniform(0.0, 0.14))
        (px, py), (qx, qy) = _at(points, t), _at(points, t + 0.03)
        dx, dy = qx - px, qy - py
        length = max(math.sqrt(dx * dx + dy * dy), 1e-6)
        c, s = cos_sin((1.0 if n % 2 else -1.0) * random.uniform(0.08, 0.16))
        far = radius * random.uniform(0.22, 0.5) * (1.0 if depth == 2 else 0.55) / length
        ax, ay = (dx * c - dy * s) * far, (dy * c + dx * s) * far
        sway = random.uniform(-0.3, 0.3)
        ends = [
            (px, py),
            (px + 0.33 * ax, py + 0.33 * ay),
            (px + 0.66 * ax - 0.5 * sway * ay, py + 0.66 * ay + 0.5 * sway * ax),
            (px + ax - sway * ay, py + ay + sway * ax),
        ]
        wide = start * (1.0 - 0.6 * t) * random.uniform(0.45, 0.7)
        twigs.append((*ends[0], *ends[1], *ends[2], *ends[3], wide, 0.35))
        if depth > 1:
            _branches(twigs, random, ends, wide, radius, depth - 1)


def _fibres(image: Field, random: RandomState, disc: Place, radius: float, area: float) -> None:
    """Put myelinated nerve fibres: harmless white feathers around the disc, as bright as exudates."""
    fans = random.uniform(0.17, 0.33), random.uniform(0.67, 0.83)
    feathers: Capsules = []
    while area > 0.0:
        turn = fans[len(feathers) % 2] + random.uniform(-0.15, 0.15)
        c, s = cos_sin(turn)
        bent, slant = cos_sin(turn + random.uniform(-0.03, 0.03))
        near, length, r = radius * random.uniform(0.12, 0.26), random.uniform(8.0, 20.0), random.uniform(1.3, 2.5)
        x, y = disc[0] + near * c, disc[1] + near * s
        feathers.append((x, y, x + length * bent, y + length * slant, r, 0.5 * r, 1.6, 1.0))
        area -= 1.1 * r * (length + r)
    bend_x, bend_y = X + 1.2 * texture(random, 8, octaves=2), Y + 1.2 * texture(random, 8, octaves=2)
    cover = np.zeros((SIZE, SIZE))
    brush.stroke(cover, np.array(feathers), bend_x, bend_y, 5.0)
    mix(image, _LIPID, cover, 0.9)


def _far(place: Place, other: Place, reach: float) -> bool:
    dx, dy = place[0] - other[0], place[1] - other[1]
    return dx * dx + dy * dy > reach * reach


def _blots(random: RandomState, spots: list[tuple[float, float, float]], soft: float) -> Field:
    """Return how far irregular spots (x, y, radius) cover the plane."""
    capsules = []
    for x, y, r in spots:
        c, s = cos_sin(random.uniform())
        long = 0.45 * r
        capsules.append((x - long * c, y - long * s, x + long * c, y + long * s, 0.8 * r, 0.8 * r, soft, 1.0))
    bend_x, bend_y = X + 1.6 * texture(random, 8, octaves=2), Y + 1.6 * texture(random, 8, octaves=2)
    cover = np.zeros((SIZE, SIZE))
    brush.stroke(cover, np.array(capsules), bend_x, bend_y, 7.0)
    return cover


def _haemorrhages(
    image: Field, random: RandomState, middle: Place, disc: Place, radius: float, area: float, free: Field
) -> None:
    """Put irregular pools of blood, as dark as the veins, anywhere but on the disc."""
    spots = []
    while area > 0.0:
        c, s = cos_sin(random.uniform())
        away, r = radius * random.uniform(0.1, 0.82), random.uniform(4.0, 10.0)
        place = middle[0] + away * c, middle[1] + away * s
        if _far(place, disc, 0.24 * radius + r):
            spots.append((*place, r))
            area -= 3.1416 * r * r
    stain(image, _VEIN, free * _blots(random, spots, 2.0), 0.9)


def _exudates(image: Field, random: RandomState, middle: Place, disc: Place, radius: float, area: float) -> None:
    """Put deposits of lipid, bright and sharp, in clusters."""
    spots: list[tuple[float, float, float]] = []
    home = middle
    while area > 0.0:
        if len(spots) % 11 == 0:
            c, s = cos_sin(random.uniform())
            away = radius * random.uniform(0.1, 0.55)
            home = middle[0] + away * c, middle[1] + away * s
        r = random.uniform(2.0, 5.0)
        place = home[0] + random.uniform(-20, 20), home[1] + random.uniform(-20, 20)
        if _far(place, disc, 0.24 * radius + r):
            spots.append((*place, r))
            area -= 3.1416 * r * r
    mix(image, _LIPID, _blots(random, spots, 1.4), 0.9)
