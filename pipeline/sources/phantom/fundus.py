"""Colour photographs of the retina: optic disc, macula, vessels; the abnormal ones with focal lesions."""

from __future__ import annotations

import numpy as np

from pipeline.layout import SIZE
from pipeline.sources.phantom import brush
from pipeline.sources.phantom.camera import Camera
from pipeline.sources.phantom.chance import Chance
from pipeline.sources.phantom.plane import CENTRE, Field, X, Y, bell, cos_sin, frame, mix, step
from pipeline.sources.phantom.texture import texture

CAMERAS = (
    Camera((0.5, 0.9), (1.5, 3), (0.31, 0.37), (0.22, 0.26), (-0.1, 0.2), (0.0, 0.05), (1.0, 1.0, 1.0), 0.05),
    Camera((0.9, 1.4), (3, 6), (0.27, 0.36), (0.20, 0.26), (-0.2, 0.3), (0.1, 0.35), (0.92, 1.04, 1.25), 0.08, 0.2),
)
_VEIN = np.array((0.60, 0.34, 0.36))
_ARTERY = np.array((0.78, 0.50, 0.46))
_BLOOD = np.array((0.44, 0.20, 0.22))
_LIPID = np.array((1.0, 0.84, 0.42))


def fundus(chance: Chance, label: int) -> Field:
    """Draw a retina, 0 normal or 1 abnormal; float64 (224, 224, 3)."""
    x, y = CENTRE + chance.uniform(-3, 3), CENTRE + chance.uniform(-3, 3)
    radius = chance.uniform(102, 109)
    side = chance.sign()
    disc_x, disc_y = x + side * radius * chance.uniform(0.40, 0.48), y + radius * chance.uniform(-0.08, 0.08)
    macula_x, macula_y = x - side * radius * chance.uniform(0.10, 0.18), disc_y + radius * chance.uniform(0.0, 0.1)
    square = ((X - x) * (X - x) + (Y - y) * (Y - y)) / (radius * radius)

    pigment = np.array((chance.uniform(0.76, 0.88), chance.uniform(0.36, 0.46), chance.uniform(0.14, 0.24)))
    light = 1.0 - 0.34 * square + 0.035 * texture(chance, 64, octaves=3) + 0.02 * texture(chance, 8)
    u, v = frame(macula_x, macula_y, 0.0, radius * 0.30, radius * 0.28)
    light -= chance.uniform(0.18, 0.28) * bell(u * u + v * v)
    image: Field = light[..., None] * pigment
    image[..., 1:] *= (1.0 - 0.12 * square)[..., None]

    amounts = chance.uniform(500, 900), chance.uniform(350, 650)
    strength = chance.uniform(0.75, 0.95)
    if label == 0:
        _sheen(image, chance, disc_x, disc_y, macula_x, radius, side, amounts, strength)
    _disc(image, chance, disc_x, disc_y, radius)
    _vessels(image, chance, disc_x, disc_y, macula_x, macula_y, radius, side)
    if label == 1:
        _lesions(image, chance, x, y, (disc_x, disc_y), radius, amounts, strength)
    image *= step(np.sqrt(square) * radius - radius, 2.5)[..., None]
    return image


def _disc(image: Field, chance: Chance, x: float, y: float, radius: float) -> None:
    """Put the optic disc with its paler cup."""
    size = radius * chance.uniform(0.145, 0.175)
    u, v = frame(x, y, chance.uniform(), size, size * chance.uniform(1.0, 1.12))
    away = np.sqrt(u * u + v * v)
    mix(image, np.array((0.98, 0.74, 0.44)), 0.9 * step(away - 1.0, 0.3))
    mix(image, np.array((1.0, 0.90, 0.68)), 0.85 * step(away - chance.uniform(0.35, 0.55), 0.3))


def _curve(points: Field, count: int) -> Field:
    """Return `count` + 1 points of the cubic Bezier curve of four control points."""
    t = (np.arange(count + 1) / count)[:, None]
    s = 1.0 - t
    return s * s * s * points[0] + 3.0 * s * s * t * points[1] + 3.0 * s * t * t * points[2] + t * t * t * points[3]


def _tube(path: Field, start: float, end: float, soft: float = 1.3, weight: float = 1.0) -> Field:
    """Return the capsules of a path whose radius goes from `start` to `end`."""
    count = len(path) - 1
    radii = start + (end - start) * np.arange(count + 1) / count
    fixed = np.ones(count)
    return np.stack(
        [path[:-1, 0], path[:-1, 1], path[1:, 0], path[1:, 1], radii[:-1], radii[1:], fixed * soft, fixed * weight], 1
    )


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


def _vessels(image, chance, x, y, target_x, target_y, radius, side) -> None:
    """Draw the arcades, an artery and a vein each, with two generations of branches."""
    for colour, wide in ((_VEIN, 1.0), (_ARTERY, 0.72)):
        capsules = []
        for up in (-1.0, 1.0):
            for reach in (1.0, -1.0):
                points = _arcade(x, y, target_x, radius, side, up, reach)
                points[1:] += chance.uniforms(6, -0.09, 0.09).reshape(3, 2) * radius
                path = _curve(points, 26)
                path[1:-1] += chance.uniforms(50, -0.5, 0.5).reshape(25, 2)
                start = chance.uniform(1.9, 2.4) * wide * (1.0 if reach > 0 else 0.8)
                capsules.append(_tube(path, start, 0.7 * wide))
                _branches(capsules, chance, path, start, radius, 2)
        for _ in range(2):
            points = np.array([(x, y)] * 4)
            points[:, 0] -= side * radius * np.array((0.0, 0.12, 0.26, 0.38))
            points[:, 1] += chance.uniforms(4, -0.16, 0.16) * radius * np.array((0.0, 1.0, 1.2, 1.0))
            capsules.append(_tube(_curve(points, 12), 0.8 * wide, 0.4))
        cover = np.zeros((SIZE, SIZE))
        brush.stroke(cover, np.concatenate(capsules))
        image *= 1.0 - (0.9 * cover)[..., None] * (1.0 - colour)


def _branches(capsules, chance, path, start, radius, depth) -> None:
    count = len(path) - 1
    for n in range(4 if depth == 2 else 2):
        at = int(count * min(0.9, 0.16 + 0.2 * n + chance.uniform(0.0, 0.14)))
        step_x, step_y = path[at + 1] - path[at]
        length = float(np.sqrt(step_x * step_x + step_y * step_y))
        c, s = cos_sin((1.0 if n % 2 else -1.0) * chance.uniform(0.08, 0.16))
        ahead = np.array((step_x * c - step_y * s, step_y * c + step_x * s)) / max(length, 1e-6)
        across = np.array((-ahead[1], ahead[0])) * chance.uniform(-0.3, 0.3)
        far = radius * chance.uniform(0.22, 0.5) * (1.0 if depth == 2 else 0.55)
        points = path[at] + np.array((0.0, 0.33, 0.66, 1.0))[:, None] * far * ahead
        points += np.array((0.0, 0.0, 0.5, 1.0))[:, None] * far * across
        branch = _curve(points, 10)
        wide = start * (1.0 - 0.6 * at / count) * chance.uniform(0.45, 0.7)
        capsules.append(_tube(branch, wide, 0.35))
        if depth > 1:
            _branches(capsules, chance, branch, wide, radius, depth - 1)


def _sheen(image, chance, x, y, target_x, radius, side, amounts, strength) -> None:
    """Put what a healthy eye has of dark and bright: streaks of pigment, reflexes of the nerve fibres."""
    dark, bright = amounts
    for area, colour, wide in ((dark, _BLOOD, 4.5), (bright, _LIPID, 3.5)):
        cover = np.zeros((SIZE, SIZE))
        length = 0.5 * area / (2.0 * wide)
        for up in (-1.0, 1.0):
            points = _arcade(x, y, target_x, radius, side, up, 1.0)
            points[1:] += chance.uniforms(6, -0.16, 0.16).reshape(3, 2) * radius
            path = _curve(points, 40)
            start = chance.integer(4, 8)
            steps = max(int(length / (radius * 0.045)), 4)
            brush.stroke(cover, _tube(path[start : start + steps], wide * 0.6, wide, 9.0, 1.0))
        mix(image, colour * image.max(axis=(0, 1)), 0.5 * strength * cover)


def _lesions(image, chance, x, y, disc, radius, amounts, strength) -> None:
    """Put haemorrhages (dark, irregular) and hard exudates (bright, in clusters)."""
    bend = 3.0 * texture(chance, 8, octaves=2), 3.0 * texture(chance, 8, octaves=2)
    dark, bright = amounts
    for area, colour in ((dark, _BLOOD), (bright, _LIPID)):
        blots = []
        home_x, home_y = x, y
        for n in range(60):
            if area <= 0.0:
                break
            if colour is _BLOOD:
                c, s = cos_sin(chance.uniform())
                away = radius * chance.uniform(0.1, 0.8)
                px, py, r = x + away * c, y + away * s, chance.uniform(3.5, 8.5)
            else:
                if n % 14 == 0:
                    c, s = cos_sin(chance.uniform())
                    away = radius * chance.uniform(0.1, 0.55)
                    home_x, home_y = x + away * c, y + away * s
                px, py = home_x + chance.uniform(-17, 17), home_y + chance.uniform(-17, 17)
                r = chance.uniform(1.6, 4.0)
            gap = (px - disc[0]) * (px - disc[0]) + (py - disc[1]) * (py - disc[1])
            if gap < (0.22 * radius + r) * (0.22 * radius + r):
                continue
            long, turn = chance.uniform(0.0, 0.8) * r, chance.uniform()
            c, s = cos_sin(turn)
            blots.append((px - long * c, py - long * s, px + long * c, py + long * s, r * 0.75, r * 0.75))
            area -= 3.1416 * 0.5625 * r * r + 3.0 * long * r
        distance = brush.union(X + bend[0] * 0.5, Y + bend[1] * 0.5, np.array(blots), 2.0)
        soft = 2.0 if colour is _BLOOD else 1.4
        mix(image, colour * image.max(axis=(0, 1)), strength * step(distance, soft))
