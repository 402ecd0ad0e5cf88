"""The report's figures, each from plain numbers to one SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.reporting import svg
from benchmark.reporting.svg import GRID, INK, MUTED, drawing, element, path, text, tip

Number = float | None
"""A number that may be undefined."""


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: Number
    low: Number
    high: Number


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[Number]], *, top: float, label: str
) -> str:
    """Draw a table of percentages as coloured cells, 0 white and `top` dark red; a dash on grey is undefined."""
    head, wide, high = 70, 31, 26
    left = 16 + svg.room(rows, 11.5)
    parts = []
    for c, name in enumerate(columns):
        x = left + (c + 0.5) * wide
        parts.append(text(x, head - 8, name, transform=f"rotate(-45 {x} {head - 8})", font_size=11, fill=MUTED))
    for r, name in enumerate(rows):
        y = head + r * high
        parts.append(text(left - 8, y + 17, name, text_anchor="end", font_size=11.5, fill=INK))
        for c, value in enumerate(values[r]):
            x = left + c * wide
            share = 0.0 if value is None else value / top
            words = f"{name}, {columns[c]}: {'undefined' if value is None else f'{value:.1f}'}"
            colour = GRID if value is None else svg.heat(share)
            box = element("rect", tip(words), x=x + 1, y=y + 1, width=wide - 2, height=high - 2, rx=3, fill=colour)
            shown = "–" if value is None else f"{value:.0f}"
            number = text(
                x + wide / 2,
                y + 17,
                shown,
                text_anchor="middle",
                font_size=11,
                fill=svg.ink_on(share),
                pointer_events="none",
            )
            parts += [box, number]
    return drawing(left + wide * len(columns) + 20, head + high * len(rows) + 4, parts, label)


def curves(lines: Mapping[str, Sequence[float]], *, top: float, label: str) -> str:
    """Draw errors in percent by severity, 0 being clean, one line a model."""
    wide, high, left, head = 170, 140, 32, 8
    parts = []
    last = max(len(errors) for errors in lines.values()) - 1
    for step in range(5):
        y = head + high * (1 - step / 4)
        parts.append(element("line", x1=left, x2=left + wide, y1=y, y2=y, stroke=GRID))
        parts.append(text(left - 6, y + 4, f"{top * step / 4:g}", text_anchor="end", font_size=10, fill=MUTED))
    for severity in range(last + 1):
        x = left + wide * severity / last
        words = "clean" if severity == 0 else str(severity)
        parts.append(text(x, head + high + 15, words, text_anchor="middle", font_size=10, fill=MUTED))
    for k, (model, errors) in enumerate(lines.items()):
        points = [(left + wide * s / last, head + high * (1 - min(e, top) / top)) for s, e in enumerate(errors)]
        colour = svg.SERIES[k % len(svg.SERIES)]
        parts.append(path(points, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round"))
        for (x, y), error in zip(points, errors, strict=True):
            parts.append(element("circle", tip(f"{model}: {error:.1f} %"), cx=x, cy=y, r=3, fill=colour))
    return drawing(left + wide + 8, head + high + 20, parts, label)


def radar(axes: Sequence[str], lines: Mapping[str, Sequence[Number]], *, label: str) -> str:
    """Draw percentages 0 to 100 on one spoke each, a closed line a model; undefined is drawn at the centre."""
    radius, cy = 128, 168
    cx = max(200, radius + 24 + svg.room(axes, 11.5))

    def at(k: int, share: float) -> tuple[float, float]:
        angle = 2 * math.pi * k / len(axes) - math.pi / 2
        return cx + radius * share * math.cos(angle), cy + radius * share * math.sin(angle)

    rings = (0.25, 0.5, 0.75, 1.0)
    web = [[at(k, ring) for k in range(len(axes))] for ring in rings]
    parts = [path(corners, closed=True, fill="none", stroke=GRID) for corners in web]
    for k, name in enumerate(axes):
        (x, y), (tx, ty) = at(k, 1), at(k, 1.1)
        parts.append(element("line", x1=cx, y1=cy, x2=x, y2=y, stroke=GRID))
        anchor = "middle" if abs(tx - cx) < 12 else "start" if tx > cx else "end"
        parts.append(text(tx, ty + 4, name, text_anchor=anchor, font_size=11.5, fill=INK))
    for k, (model, values) in enumerate(lines.items()):
        colour = svg.SERIES[k % len(svg.SERIES)]
        points = [at(i, (value or 0) / 100) for i, value in enumerate(values)]
        line = path(points, closed=True, fill=colour, fill_opacity=0.12 / len(lines), stroke=colour, stroke_width=2)
        dots = (
            element("circle", tip(f"{model}, {axes[i]}: {values[i] or 0:.1f} %"), cx=x, cy=y, r=3, fill=colour)
            for i, (x, y) in enumerate(points)
        )
        parts += [line, *dots]
    heights = [(ring, cy - radius * ring + 11) for ring in rings]
    parts += [svg.haloed(cx + 4, y, f"{100 * ring:.0f}", font_size=9, fill=MUTED) for ring, y in heights]
    return drawing(2 * cx, 2 * cy - 4, parts, label)


def forest(lines: Mapping[str, Interval], *, mark: float, label: str) -> str:
    """Draw values with their intervals on one axis from 0, and a dashed line at `mark`, the baseline's."""
    left, wide, high = 20 + svg.room(list(lines), 12.5), 290, 30
    top = svg.nice_ceiling(
        max([mark, *(line.high or line.value or 0 for line in lines.values())]) * 1.04,
        steps=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10),
    )

    def at(value: float) -> float:
        return left + wide * value / top

    bottom = 14 + high * len(lines)
    parts = []
    for step in range(5):
        x = at(top * step / 4)
        parts.append(element("line", x1=x, x2=x, y1=8, y2=bottom, stroke=GRID))
        parts.append(text(x, bottom + 16, f"{top * step / 4:g}", text_anchor="middle", font_size=10.5, fill=MUTED))
    parts.append(element("line", x1=at(mark), x2=at(mark), y1=4, y2=bottom, stroke=MUTED, stroke_dasharray="4 4"))
    for k, (model, line) in enumerate(lines.items()):
        y, colour = 14 + high * (k + 0.5), svg.SERIES[k % len(svg.SERIES)]
        parts.append(text(left - 12, y + 4, model, text_anchor="end", font_size=12.5, fill=INK))
        if line.value is None:
            parts.append(text(left + 6, y + 4, "undefined", font_size=11, fill=MUTED))
            continue
        if line.low is not None and line.high is not None:
            bar = element("line", x1=at(line.low), x2=at(line.high), y1=y, y2=y, stroke=colour, stroke_width=3)
            ends = (
                element("line", x1=at(end), x2=at(end), y1=y - 5, y2=y + 5, stroke=colour, stroke_width=2)
                for end in (line.low, line.high)
            )
            parts += [bar, *ends]
        parts.append(element("circle", tip(f"{line.value:.1f}"), cx=at(line.value), cy=y, r=5.5, fill=colour))
        beyond = at(line.high if line.high is not None else line.value)
        words = f"{line.value:.1f}"
        parts.append(svg.haloed(beyond + 12, y + 4, words, font_size=12, font_weight=600, fill=colour))
    return drawing(left + wide + 60, bottom + 24, parts, label)


def reliability(
    curves_of: Mapping[str, tuple[Sequence[Number], Sequence[Number], Sequence[int]]], *, label: str
) -> str:
    """Draw accuracy over confidence, one line a kind of image; dots grow with the share of images in the bin."""
    side, left, head = 190, 48, 10
    parts = [element("rect", x=left, y=head, width=side, height=side, fill="none", stroke=GRID)]
    parts.append(
        element("line", x1=left, y1=head + side, x2=left + side, y2=head, stroke=MUTED, stroke_dasharray="3 4")
    )
    for step in range(0, 101, 25):
        x, y = left + side * step / 100, head + side * (1 - step / 100)
        parts.append(text(x, head + side + 14, str(step), text_anchor="middle", font_size=9.5, fill=MUTED))
        parts.append(text(left - 5, y + 3, str(step), text_anchor="end", font_size=9.5, fill=MUTED))
    parts.append(
        text(left + side / 2, head + side + 29, "confidence, %", text_anchor="middle", font_size=10.5, fill=MUTED)
    )
    middle = head + side / 2
    turned = f"rotate(-90 12 {middle})"
    parts.append(text(12, middle, "accuracy, %", text_anchor="middle", font_size=10.5, fill=MUTED, transform=turned))
    for k, (kind, (confidence, accuracy, images)) in enumerate(curves_of.items()):
        colour = ("#2f4858", "#d9730d")[k % 2]
        total = sum(images) or 1
        points = [
            (left + side * c, head + side * (1 - a), n, a)
            for c, a, n in zip(confidence, accuracy, images, strict=True)
            if c is not None and a is not None
        ]
        parts.append(path([(x, y) for x, y, _, _ in points], fill="none", stroke=colour, stroke_width=1.5))
        for x, y, n, a in points:
            words = tip(f"{kind}: {n} images, {100 * a:.0f} % right")
            parts.append(
                element("circle", words, cx=x, cy=y, r=2 + 9 * math.sqrt(n / total), fill=colour, fill_opacity=0.55)
            )
    return drawing(left + side + 14, head + side + 36, parts, label)


def recall_bars(classes: Sequence[str], lines: Mapping[str, Sequence[tuple[Number, Number]]], *, label: str) -> str:
    """Draw each class's recall, one bar a model for corrupted images and a tick where its clean recall is."""
    left, wide, bar, gap = 14 + svg.room(classes, 11), 420, 9, 12
    parts = []
    for step in range(0, 101, 25):
        x = left + wide * step / 100
        bottom = 8 + len(classes) * (bar * len(lines) + gap)
        parts.append(element("line", x1=x, x2=x, y1=4, y2=bottom, stroke=GRID))
        parts.append(text(x, bottom + 14, str(step), text_anchor="middle", font_size=10, fill=MUTED))
    for c, name in enumerate(classes):
        y = 8 + c * (bar * len(lines) + gap)
        parts.append(text(left - 8, y + bar * len(lines) / 2 + 4, name, text_anchor="end", font_size=11, fill=INK))
        for k, (model, values) in enumerate(lines.items()):
            clean, corrupted = values[c]
            colour = svg.SERIES[k % len(svg.SERIES)]
            width = wide * (corrupted or 0)
            words = tip(f"{model}: {100 * (corrupted or 0):.0f} % corrupted, {100 * (clean or 0):.0f} % clean")
            parts.append(
                element("rect", words, x=left, y=y + k * bar, width=max(width, 1), height=bar - 2, fill=colour)
            )
            if clean is not None:
                x = left + wide * clean
                parts.append(
                    element(
                        "line", x1=x, x2=x, y1=y + k * bar - 1, y2=y + k * bar + bar - 1, stroke=INK, stroke_width=2
                    )
                )
    bottom = 8 + len(classes) * (bar * len(lines) + gap)
    parts.append(text(left + wide / 2, bottom + 29, "recall, %", text_anchor="middle", font_size=10.5, fill=MUTED))
    return drawing(left + wide + 20, bottom + 34, parts, label)


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]], *, label: str) -> str:
    """Draw a confusion matrix, rows being the true classes, shaded by the share of the row, in percent."""
    cell, size = (34, 10.5) if len(classes) <= 8 else (19, 8.5)
    left, head = 38, 36
    side = cell * len(classes)
    turned = f"rotate(-90 10 {head + side / 2})"
    parts = [
        text(left + side / 2, 11, "taken for", text_anchor="middle", font_size=10.5, fill=MUTED),
        text(10, head + side / 2, "true class", text_anchor="middle", font_size=10.5, fill=MUTED, transform=turned),
    ]
    for k in range(len(classes)):
        middle = (k + 0.5) * cell
        parts.append(text(left + middle, head - 7, str(k), text_anchor="middle", font_size=size, fill=MUTED))
        parts.append(text(left - 8, head + middle + size / 3, str(k), text_anchor="end", font_size=size, fill=MUTED))
    for r, row in enumerate(counts):
        total = sum(row) or 1
        for c, count in enumerate(row):
            share = count / total
            colour = svg.heat(0.72 * share) if r != c else f"rgba(11,110,153,{0.06 + 0.8 * share:.3f})"
            words = tip(f"{classes[r]} taken for {classes[c]}: {100 * share:.1f} % ({count})")
            x, y = left + c * cell, head + r * cell
            parts.append(element("rect", words, x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=2, fill=colour))
            if share >= 0.005:
                ink = "#ffffff" if share > 0.6 else INK
                parts.append(
                    text(
                        x + cell / 2,
                        y + cell / 2 + size / 3,
                        f"{100 * share:.0f}",
                        text_anchor="middle",
                        font_size=size,
                        fill=ink,
                        pointer_events="none",
                    )
                )
    return drawing(left + side + 4, head + side + 4, parts, label)
