"""Crops of mammograms around a finding: calcifications or a mass, benign or malignant by their form."""

from __future__ import annotations

import numpy as np

from pipeline.sources.phantom.camera import Camera
from pipeline.sources.phantom.plane import CENTRE, Capsules, Field, X, Y, cos_sin, step, strokes
from pipeline.sources.phantom.random_state import RandomState
from pipeline.sources.phantom.texture import texture
from pipeline.workspace.cell import SIZE

CAMERAS = (
    Camera((0.4, 0.8), (2, 4), (0.38, 0.50), (0.13, 0.18), (-0.2, 0.2), (0.0, 0.1)),
    Camera((1.1, 1.8), (6, 11), (0.30, 0.54), (0.10, 0.16), (-0.6, 0.4), (0.0, 0.4), coarse=0.25),
)


def _tissue(random: RandomState) -> Field:
    """Draw fat and fibroglandular tissue with its strands."""
    base = 0.36 + 0.07 * texture(random, 128, octaves=4)
    dense = step(-0.8 * texture(random, 128, octaves=3) - random.uniform(-0.4, 0.5), 2.4)
    fine = 1.0 - np.abs(texture(random, 32, octaves=4))
    base += 0.10 * dense + (0.05 + 0.06 * dense) * fine
    strands = []
    for _ in range(random.integer(9, 14)):
        c, s = cos_sin(random.uniform())
        x, y = random.uniform(0, SIZE), random.uniform(0, SIZE)
        bend = random.uniform(-0.5, 0.5)
        length, wide, weight = random.uniform(18, 42), random.uniform(0.5, 1.1), random.uniform(0.4, 1.0)
        past = (x, y)
        for _ in range(5):
            c, s = c - 0.2 * bend * s, s + 0.2 * bend * c
            point = (past[0] + 0.2 * length * c, past[1] + 0.2 * length * s)
            strands.append((*past, *point, wide, wide, 2.5, weight))
            past = point
    base += 0.13 * strokes(strands)
    return base


def calcifications(random: RandomState, label: int) -> Field:
    """Draw calcifications: 0 round, smooth and scattered; 1 pleomorphic, clustered or in branching lines."""
    image = _tissue(random)
    area = random.uniform(380, 720)
    x, y = CENTRE + random.uniform(-22, 22), CENTRE + random.uniform(-22, 22)
    grains = _scattered(random, area) if label == 0 else _clustered(random, x, y, area)
    image += random.uniform(0.30, 0.48) * strokes(grains)
    return image[..., None]


def _scattered(random: RandomState, area: float) -> Capsules:
    """Place round grains all over the picture, none near another."""
    grains: Capsules = []
    for _ in range(200):
        if area < 0.0:
            break
        r, px, py = random.uniform(2.6, 5.2), random.uniform(14, SIZE - 14), random.uniform(14, SIZE - 14)
        if all((px - a) * (px - a) + (py - b) * (py - b) > 700.0 for a, b, *_ in grains):
            grains.append((px, py, px, py, r, r, 3.0, random.uniform(0.6, 0.9)))
            area -= 3.1416 * r * r
    return grains


def _clustered(random: RandomState, x: float, y: float, area: float) -> Capsules:
    """Place rods, commas and dust in a cluster, or along a branching duct."""
    grains: Capsules = []
    turn, ducts = random.uniform(), random.happens(0.5)
    for n in range(260):
        if area < 0.0:
            break
        if ducts:
            branch = n % 3
            c, s = cos_sin(turn + (0.0, 0.42, 0.58)[branch] + random.uniform(-0.012, 0.012))
            away = random.uniform(2, 52)
            px, py = x + away * c + random.uniform(-2, 2), y + away * s + random.uniform(-2, 2)
            along = random.uniform(-0.04, 0.04) + turn + (0.0, 0.42, 0.58)[branch]
        else:
            c, s = cos_sin(random.uniform())
            away = 34.0 * (1.0 - random.uniform() * random.uniform())
            away *= random.uniform(0.2, 1.0)
            px, py, along = x + away * c, y + away * s, random.uniform()
        c, s = cos_sin(along)
        r, half = random.uniform(1.1, 1.8), random.uniform(0.0, 3.4)
        grains.append(
            (px - half * c, py - half * s, px + half * c, py + half * s, r, r * 0.6, 1.3, random.uniform(0.6, 1.0))
        )
        area -= 3.1416 * r * r + 3.2 * half * r
    return grains


def mass(random: RandomState, label: int) -> Field:
    """Draw a mass: 0 oval with a smooth margin; 1 irregular with spicules that radiate from it."""
    image = _tissue(random)
    x, y = CENTRE + random.uniform(-14, 14), CENTRE + random.uniform(-14, 14)
    size, density = random.uniform(26, 40), random.uniform(0.24, 0.34)
    c, s = cos_sin(random.uniform())
    rough = 0.0 if label == 0 else 0.17
    bend_x, bend_y = texture(random, 32, octaves=3), texture(random, 32, octaves=3)
    dx, dy = (X - x) / size + rough * bend_x, (Y - y) / size + rough * bend_y
    long = random.uniform(1.0, 1.3)
    u, v = (dx * c + dy * s) / long, (dy * c - dx * s) * long
    distance = (np.sqrt(u * u + v * v) - 1.0) * size
    lit = 0.85 + 0.15 * texture(random, 16, octaves=3)
    cover = step(distance, 5.0) * lit
    rays = _spicules(random, x, y, size) if label == 1 else _ligaments(random, x, y, size)
    image += density * np.maximum(cover, 0.85 * strokes(rays))
    return image[..., None]


def _spicules(random: RandomState, x: float, y: float, size: float) -> Capsules:
    """Return lines that taper away from the mass, all around."""
    count = random.integer(13, 20)
    rays: Capsules = []
    for n in range(count):
        turn = (n + random.uniform(-0.35, 0.35)) / count
        c, s = cos_sin(turn)
        near, far = size * 0.7, size * random.uniform(1.45, 2.2)
        bent, other = cos_sin(turn + random.uniform(-0.03, 0.03))
        middle = 0.5 * (near + far)
        point = (x + middle * c, y + middle * s)
        wide = random.uniform(1.4, 2.4)
        rays.append((x + near * c, y + near * s, *point, wide * 1.5, wide, 2.5, 1.0))
        rays.append((*point, x + far * bent, y + far * other, wide, 0.4, 2.5, 1.0))
    return rays


def _ligaments(random: RandomState, x: float, y: float, size: float) -> Capsules:
    """Return as many lines of the same length, that pass by the mass in one common direction."""
    count = random.integer(13, 20)
    main = random.uniform()
    rays: Capsules = []
    for _ in range(count):
        away = random.sign() * size * random.uniform(1.25, 2.6)
        along = size * random.uniform(-2.2, 2.2)
        turn = main + random.uniform(-0.03, 0.03)
        c, s = cos_sin(turn)
        px, py = x + along * c - away * s, y + along * s + away * c
        half = 0.5 * size * random.uniform(0.7, 1.4)
        wide = random.uniform(1.4, 2.4)
        rays.append((px - half * c, py - half * s, px, py, 0.4, wide, 2.5, 1.0))
        rays.append((px, py, px + half * c, py + half * s, wide, 0.4, 2.5, 1.0))
    return rays
