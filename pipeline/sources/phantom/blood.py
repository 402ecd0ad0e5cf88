"""Blood smears: red cells around one white cell (or platelets) in the middle."""

from __future__ import annotations

import itertools
import math

import numpy as np

from pipeline.sources.phantom import brush
from pipeline.sources.phantom.camera import Camera, Colour, Range
from pipeline.sources.phantom.morphology import AML, PBC, BloodCell, Granules
from pipeline.sources.phantom.plane import CENTRE, Capsules, Field, X, Y, cos_sin, mix, step, stroke, window
from pipeline.sources.phantom.random_state import RandomState
from pipeline.sources.phantom.texture import texture
from pipeline.workspace.cell import SIZE

CAMERAS = {
    "pbc": (
        Camera((0.5, 0.8), (2, 4), (0.66, 0.78), (0.12, 0.19), (-0.3, 0.3), (0.0, 0.1), (1.0, 0.98, 0.95), 0.06),
        Camera((0.8, 1.3), (4, 7), (0.58, 0.70), (0.12, 0.17), (-0.4, 0.0), (0.1, 0.3), (0.90, 0.94, 1.06), 0.05, 0.2),
    ),
    "aml": (
        Camera((0.5, 0.9), (2, 4), (0.68, 0.77), (0.13, 0.18), (-0.1, 0.2), (0.0, 0.1), (1.0, 0.96, 0.99), 0.05),
        Camera((0.7, 1.2), (4, 7), (0.60, 0.72), (0.12, 0.17), (-0.3, 0.1), (0.1, 0.3), (1.01, 0.97, 0.88), 0.05, 0.2),
    ),
}
_RED = np.array((0.86, 0.62, 0.60))
_NUCLEUS = np.array((0.40, 0.20, 0.55))
_NUCLEOLUS: tuple[Colour, Range, float] = (0.68, 0.60, 0.84), (0.14, 0.19), -0.16
_VACUOLE: tuple[Colour, Range, float] = (0.97, 0.95, 0.97), (0.05, 0.09), -0.04
_BACKGROUND = np.array((0.96, 0.94, 0.93))


def aml(random: RandomState, label: int) -> Field:
    """Draw a cell of one of the 15 morphological classes; float64 (224, 224, 3)."""
    return _smear(random, AML[label], radius=(58.0, 72.0), red=(30.0, 36.0))


def pbc(random: RandomState, label: int) -> Field:
    """Draw a normal blood cell of one of the eight classes; float64 (224, 224, 3)."""
    kinds = PBC[label]
    return _smear(random, kinds[random.integer(0, len(kinds) - 1)], radius=(52.0, 66.0), red=(27.0, 33.0))


def _smear(random: RandomState, cell: BloodCell, radius: tuple[float, float], red: tuple[float, float]) -> Field:
    size, red_size = random.uniform(*radius), random.uniform(*red)
    x, y = CENTRE + random.uniform(-8, 8), CENTRE + random.uniform(-8, 8)
    stain = np.array((random.uniform(-0.04, 0.04), random.uniform(-0.03, 0.03), random.uniform(-0.04, 0.04)))
    image = np.empty((SIZE, SIZE, 3))
    image[:] = _BACKGROUND + 0.5 * stain
    image += 0.012 * texture(random, 64, octaves=3)[..., None]
    _red_cells(image, random, x, y, size, red_size, _RED + stain)
    for _ in range(random.integer(0, 3)):
        angle, away = random.uniform(), size + random.uniform(14, 60)
        c, s = cos_sin(angle)
        _platelet(image, random, x + away * c, y + away * s, random.uniform(5, 9), stain)
    if cell.nucleus == "none":
        _platelets(image, random, x, y, size, stain)
    else:
        _white_cell(image, random, cell, x, y, size, stain)
    return image


def _red_cells(image: Field, random: RandomState, x: float, y: float, size: float, red: float, colour: Field) -> None:
    """Lay red cells on a jittered grid, a few missing, none under the white cell."""
    pitch = red * random.uniform(1.9, 2.5)
    crowd = random.uniform(0.4, 0.95)
    start_x, start_y = random.uniform(-pitch, 0), random.uniform(-pitch, 0)
    cells = []
    for row in range(int(SIZE / pitch) + 3):
        for column in range(int(SIZE / pitch) + 3):
            px = start_x + (column + 0.5 * (row % 2)) * pitch + random.uniform(-0.3, 0.3) * pitch
            py = start_y + row * pitch * 0.9 + random.uniform(-0.3, 0.3) * pitch
            r, long = red * random.uniform(0.9, 1.08), random.uniform(0.9, 1.0)
            c, s = cos_sin(random.uniform())
            dimple, kept = random.uniform(0.25, 0.7), random.happens(crowd)
            away = math.sqrt((px - x) * (px - x) + (py - y) * (py - y))
            if away < size + 0.96 * r:
                push = (size + 0.96 * r) / max(away, 1.0)
                if push > 1.35:
                    continue
                px, py = x + (px - x) * push, y + (py - y) * push
            if kept:
                cells.append((px, py, r, r * long, float(c), float(s), dimple))
    brush.discs(image, np.array(cells), colour)


def _platelet(image: Field, random: RandomState, x: float, y: float, size: float, stain: Field) -> None:
    rows, columns = window(x, y, size * 1.8)
    wobble = 0.22 * texture(random, 16)[rows, columns]
    dx, dy = X[rows, columns] - x, Y[rows, columns] - y
    outside = np.sqrt(dx * dx + dy * dy) / size - 1.0 + wobble
    part = image[rows, columns]
    mix(part, np.array((0.78, 0.68, 0.84)) + stain, step(outside, 0.4), 0.8)
    speck = texture(random, 4)[rows, columns]
    mix(part, np.array((0.52, 0.28, 0.58)) + stain, step(outside + 0.25, 0.5) * step(-speck, 1.6), 0.8)


def _platelets(image: Field, random: RandomState, x: float, y: float, size: float, stain: Field) -> None:
    turn = random.uniform()
    count = random.integer(3, 6)
    for n in range(count):
        c, s = cos_sin(turn + (n + random.uniform(-0.3, 0.3)) / count)
        away = size * random.uniform(0.25, 0.62)
        _platelet(image, random, x + away * c, y + away * s, size * random.uniform(0.26, 0.40), stain)


def _white_cell(
    image: Field, random: RandomState, cell: BloodCell, x: float, y: float, size: float, stain: Field
) -> None:
    rows, columns = window(x, y, size * 1.45)
    part = image[rows, columns]
    bend_x, bend_y = texture(random, 32)[rows, columns], texture(random, 32)[rows, columns]
    c, s = cos_sin(random.uniform())
    dx, dy = (X[rows, columns] - x) / size, (Y[rows, columns] - y) / size
    u, v = dx * c + dy * s, dy * c - dx * s
    stretch = random.uniform(1.0, 1.1)
    uu, vv = (u + cell.ragged * bend_x) * stretch, v + cell.ragged * bend_y
    rim = np.sqrt(uu * uu + vv * vv) - 1.0
    if cell.nucleus != "smudge":
        inside = step(rim, 0.05)
        tone = np.array(cell.cytoplasm) * random.uniform(0.95, 1.05) + stain
        depth = 1.0 + 0.035 * texture(random, 8, octaves=2)[rows, columns] - 0.16 * step(np.abs(rim + 0.03), 0.1)
        brush.mix_shaded(part, tone, depth, inside)
    nucleus = _nucleus(random, cell, u + 0.06 * bend_y, v + 0.06 * bend_x)
    blotch = texture(random, cell.grain, octaves=2)[rows, columns]
    pattern = cell.clumps * 0.10 * np.clip(blotch * (1.6 if cell.clumps > 0.6 else 1.0), -1.3, 1.3)
    edge = -0.10 * step(np.abs(nucleus + 0.03), 0.08)
    tone = (_NUCLEUS + stain) * random.uniform(0.75, 1.25)
    smudge = cell.nucleus == "smudge"
    cover = step(nucleus, 0.5) * 0.85 if smudge else step(nucleus, 0.05)
    brush.mix_shaded(part, tone, 1.0 + 2.2 * (pattern + edge), 0.97 * cover)
    _spots(part, random, cell.nucleoli, nucleus, size, _NUCLEOLUS)
    _spots(part, random, cell.vacuoles, np.maximum(rim, -nucleus - 0.04), size, _VACUOLE)
    _granules(part, random, cell.granules, rim, nucleus, stain)


def _arc(radius: float, span: float, count: int) -> list[tuple[float, float]]:
    """Return `count` points on an arc of `span` turns, its middle of mass about 0."""
    points = []
    for n in range(count):
        c, s = cos_sin(span * (n / (count - 1) - 0.5))
        points.append((radius * float(c) - 0.6 * radius * (1.0 - span), radius * float(s)))
    return points


def _chain(points: list[tuple[float, float]], radii: Field) -> Capsules:
    return [(*a, *b, radii[n], radii[n + 1]) for n, (a, b) in enumerate(itertools.pairwise(points))]


def _shape(random: RandomState, kind: str) -> tuple[Capsules, float]:
    """Return capsules and the blend of one kind of nucleus, in any size."""
    if kind == "round":
        return [(-0.03, 0.0, 0.03, 0.0, 0.7, 0.7)], 0.01
    if kind == "oval":
        return [(-0.16, 0.0, 0.16, 0.0, 0.58, 0.58 * random.uniform(0.9, 1.0))], 0.01
    if kind == "kidney":
        return _chain(_arc(0.42, random.uniform(0.34, 0.42), 6), random.uniforms(6, 0.36, 0.40)), 0.05
    if kind == "folded":
        points = _arc(0.42, random.uniform(0.52, 0.62), 5)
        return _chain(points, random.uniforms(5, 0.26, 0.40)), 0.15
    if kind == "band":
        return _chain(_arc(0.48, random.uniform(0.50, 0.66), 9), random.uniforms(9, 0.17, 0.20)), 0.04
    if kind == "segmented":
        lobes = random.integer(3, 5)
        points = _arc(0.44 + 0.03 * lobes, random.uniform(0.62, 0.8), lobes)
        bars = _chain(points, np.full(lobes, 0.045))
        wide = random.uniforms(lobes, 0.23, 0.31) + 0.03 * (5 - lobes)
        turn = random.uniforms(lobes, -0.06, 0.06)
        return bars + [
            (a - t, b + t, a + t, b - t, w, w) for (a, b), w, t in zip(points, wide, turn, strict=True)
        ], 0.02
    if kind == "two_lobed":
        away = random.uniform(0.42, 0.5)
        left, right = random.uniforms(2, 0.34, 0.42)
        tilt = random.uniforms(2, -0.12, 0.12)
        return [
            (-away, 0.0, away, 0.0, 0.07, 0.07),
            (-away - tilt[0], -0.12, -away + tilt[0], 0.12, left, left),
            (away - tilt[1], -0.12, away + tilt[1], 0.12, right, right),
        ], 0.04
    if kind == "cleft":
        away = random.uniform(0.42, 0.46)
        pair: Capsules = [(-away, -0.14, -away, 0.14, 0.40, 0.40), (away, -0.14, away, 0.14, 0.38, 0.38)]
        return [*pair, (-away, 0.1, away, 0.1, 0.13, 0.13)], 0.06
    turns = random.uniforms(5)
    rays: Capsules = []
    for turn in turns:
        c, s = cos_sin(turn)
        rays.append((0.0, 0.0, 0.8 * float(c), 0.8 * float(s), 0.5, 0.16))
    return rays, 0.3


def _nucleus(random: RandomState, cell: BloodCell, u: Field, v: Field) -> Field:
    """Return the signed distance to the nucleus in cell radii, its area drawn from the class's range."""
    capsules, blend = _shape(random, cell.nucleus)
    shape = np.array(capsules)
    scale = math.sqrt(random.uniform(*cell.share) * 3.14159 / _area(shape, blend))
    away = random.uniform(0.0, cell.offset)
    c, s = cos_sin(random.uniform())
    distance: Field = brush.union((u - away * c) / scale, (v - away * s) / scale, shape, blend)
    if cell.nucleus == "smudge":
        distance = distance + 0.13 * texture(random, 16, octaves=3)[: u.shape[0], : u.shape[1]]
    return distance * scale


_GRID_U, _GRID_V = np.meshgrid((np.arange(49) - 24) * 0.05, (np.arange(49) - 24) * 0.05)


def _area(shape: Field, blend: float) -> float:
    """Return the area of a union of capsules, counted on a grid."""
    return int(np.count_nonzero(brush.union(_GRID_U, _GRID_V, shape, blend) < 0.0)) * 0.05 * 0.05


def _spots(
    part: Field,
    random: RandomState,
    count: tuple[int, int],
    outside: Field,
    size: float,
    kind: tuple[Colour, Range, float],
) -> None:
    """Put round spots, none near another, where `outside` is below a depth; `kind` is colour, radius and depth."""
    colour, radius, depth = kind
    wanted = random.integer(*count)
    rows, columns = outside.shape
    spots: Capsules = []
    for _ in range(90):
        if len(spots) >= wanted:
            break
        i, j = random.integer(0, rows - 1), random.integer(0, columns - 1)
        r = random.uniform(*radius)
        apart = 2.5 * size * size * r * r
        if outside[i, j] < depth - 0.3 * r and all((a - j) * (a - j) + (b - i) * (b - i) > apart for a, b, *_ in spots):
            spots.append((j, i, j, i, r * size, r * size, 2.5, 0.85))
    mix(part, colour, stroke(np.zeros(outside.shape), spots))


def _granules(part: Field, random: RandomState, granules: Granules, rim: Field, nucleus: Field, stain: Field) -> None:
    """Put granules outside the nucleus, or `granules.over` of them over it too."""
    count = random.integer(*granules.count)
    rows, columns = rim.shape
    at = random.uniforms(4 * count).reshape(count, 4)
    i, j = (at[:, 0] * rows).astype(np.int64), (at[:, 1] * columns).astype(np.int64)
    allowed = (rim[i, j] < -0.06) & ((nucleus[i, j] > 0.0) | (at[:, 2] < granules.over))
    i, j, at = i[allowed], j[allowed], at[allowed]
    r = granules.radius[0] + (granules.radius[1] - granules.radius[0]) * at[:, 3]
    soft, weight = np.full(len(r), 1.2), np.full(len(r), 0.85)
    cover = stroke(np.zeros(rim.shape), np.stack([j, i, j, i, r, r, soft, weight], axis=1))
    mix(part, np.array(granules.colour) + stain, cover)
