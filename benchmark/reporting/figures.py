"""The report's figures, from plain numbers; NaN is undefined. `panels` are a figure's parts, by title.

A paper has them together, with their legend; in a page they wrap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from benchmark.reporting import style
from benchmark.reporting.style import CLEAN, CORRUPTED, GRID, HEAT, INK, MUTED, Look, Margins
from benchmark.scoring.metrics import Reliability

Looks = Mapping[str, Look]
"""How each model is drawn, by its title, in the order of the legend."""


class Interval(NamedTuple):
    """A value with the ends of its interval, NaN if it has none."""

    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """Means and standard deviations (N,) at the places `x` (N,); a deviation is NaN where there is one value only."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


@style.styled
def forest(panels: Mapping[str, Mapping[str, Interval]], marks: Mapping[str, float], looks: Looks) -> Figure:
    """Draw every model's value with its interval on an axis from 0; a dashed line is at a panel's mark."""
    high = 30
    left = 20 + style.room(looks, 11.5)
    figure, axes = style.panels(panels, (180, high * len(looks)), Margins(left, 52, 24, 10), columns=3)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        mark = marks.get(title, np.nan)
        top = style.ceiling([mark, *(number for line in lines.values() for number in line)])
        ax.set(xlim=(0, top), ylim=(len(lines), 0), xticks=np.linspace(0, top, 5), yticks=[])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.axvline(mark, color=MUTED, lw=1, ls=(0, (4, 4)))
        for k, (model, (value, low, end)) in enumerate(lines.items()):
            look, y = looks[model], k + 0.5
            _name_row(ax, y, model, 11.5)
            if np.isnan(value):
                ax.text(0.02 * top, y, "undefined", va="center", fontsize=11, color=MUTED)
                continue
            if not np.isnan(low):
                ax.plot([low, end], [y, y], color=look.colour, lw=3, solid_capstyle="butt", clip_on=False)
                ax.plot([low, end], [y, y], "|", color=look.colour, ms=10, mew=2, clip_on=False)
            style.points(ax, [value], [y], [f"{model}: {value:.1f}"], [10], look)
            beyond = (np.fmax(value, end), y)
            ax.annotate(
                f"{value:.1f}",
                beyond,
                (10, 0),
                textcoords="offset pixels",
                va="center",
                fontsize=11.5,
                color=look.colour,
                weight="bold",
                bbox={"fc": "white", "ec": "none", "pad": 1},
            )
    return figure


@style.styled
def heat_map(panels: Mapping[str, ArrayLike], rows: Sequence[str], columns: Sequence[str], *, top: float) -> Figure:
    """Draw percentages (rows, columns) as coloured cells, 0 white and `top` dark red; a dash on grey is undefined."""
    wide, high = 30, 26
    slant = 12 + 0.71 * style.room(columns, 10.5)
    left = 13 + style.room(rows, 11)
    overhangs = [0.71 * style.text_width(name, 10.5) - wide * (k + 0.5) for k, name in enumerate(reversed(columns))]
    right = 10 + max(0, *overhangs)
    size = (wide * len(columns), high * len(rows))
    figure, axes = style.panels(panels, size, Margins(left, right, 8, slant), columns=3)
    for ax, values in zip(axes, panels.values(), strict=True):
        ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0), xticks=[], yticks=[])
        for c, column in enumerate(columns):
            ax.text(c + 0.45, -0.2, column, rotation=45, rotation_mode="anchor", fontsize=10.5, color=MUTED)
        for r, row in enumerate(rows):
            _name_row(ax, r + 0.5, row, 11)
        for (r, c), value in np.ndenumerate(np.asarray(values, float)):
            words = f"{rows[r]}, {columns[c]}: {'undefined' if np.isnan(value) else f'{value:.1f}'}"
            share = value / top
            ink = "#ffffff" if share > 0.72 else INK
            shown = "–" if np.isnan(value) else f"{value:.0f}"
            _cell(ax, r, c, GRID if np.isnan(value) else HEAT(share), words, shown, ink, 10.5)
    return figure


@style.styled
def severity(panels: Mapping[str, Mapping[str, ArrayLike]], looks: Looks, *, top: float) -> Figure:
    """Draw errors in percent by severity, the first being clean, a line a model."""
    margins = Margins(34, 12, 22, 8)
    figure, axes = style.panels(panels, (178, 140), margins, columns=4, legend=looks)
    for ax, lines in zip(axes, panels.values(), strict=True):
        steps = np.arange(len(np.asarray(next(iter(lines.values())))))
        ax.set(xlim=(0, steps[-1]), ylim=(0, top), yticks=np.linspace(0, top, 5))
        ax.set_xticks(steps, ["clean", *map(str, steps[1:])])
        ax.yaxis.set_major_formatter("{x:g}")
        ax.grid(visible=False, axis="x")
        for model, errors in lines.items():
            y, look = np.asarray(errors, float), looks[model]
            ax.plot(steps, y, color=look.colour, ls=look.dashes, clip_on=False)
            words = [f"{model}, {at}: {e:.1f} %" for at, e in zip(["clean", *steps[1:]], y, strict=True)]
            style.points(ax, steps, y, words, [6] * len(steps), look)
    return figure


@style.styled
def radar(panels: Mapping[str, tuple[Sequence[str], Mapping[str, ArrayLike]]], looks: Looks) -> Figure:
    """Draw percentages 0 to 100, a named spoke each and a closed line a model; outwards is more."""
    folded = {title: ([fill(spoke, 18) for spoke in spokes], lines) for title, (spokes, lines) in panels.items()}
    side = 16 + max(style.room("\n".join(spokes).split("\n"), 11) for spokes, _ in folded.values())
    figure, axes = style.panels(
        panels,
        (230, 230),
        Margins(side, side, 26, 22),
        columns=3,
        legend=looks,
        projection="polar",
    )
    for ax, (spokes, lines) in zip(axes, folded.values(), strict=True):
        angles = 2 * np.pi * np.arange(len(spokes)) / len(spokes)
        ax.set_theta_zero_location("N")  # type: ignore[attr-defined]
        ax.set_theta_direction(-1)  # type: ignore[attr-defined]
        ax.set_thetagrids(np.degrees(angles), [])  # type: ignore[attr-defined]
        ax.set_rgrids([25, 50, 75, 100], ["25", "50", "75", ""], angle=180 / len(spokes), fontsize=9)  # type: ignore[attr-defined]
        ax.set_ylim(0, 100)
        for angle, spoke in zip(angles, spokes, strict=True):
            side_of = np.sin(angle)
            anchor = "center" if abs(side_of) < 0.1 else "left" if side_of > 0 else "right"
            ax.text(angle, 108, spoke, ha=anchor, va="center", fontsize=11)
        for model, values in lines.items():
            y, look = np.asarray(values, float), looks[model]
            around = [*range(len(spokes)), 0]
            ax.plot(angles[around], y[around], color=look.colour, ls=look.dashes, clip_on=False)
            ax.fill(angles, y, color=look.colour, alpha=0.12 / len(lines), lw=0)
            words = [f"{model}, {spoke}: {value:.1f} %" for spoke, value in zip(spokes, y, strict=True)]
            style.points(ax, angles, y, words, [6] * len(spokes), look)
    return figure


@style.styled
def trend(panels: Mapping[str, Mapping[str, Curve]], looks: Looks, *, x: str) -> Figure:
    """Draw means over a logarithmic axis named `x`, with bars of one standard deviation, a line a setting."""
    figure, axes = style.panels(panels, (300, 190), Margins(44, 16, 40, 8), columns=3, legend=looks)
    for ax, lines in zip(axes, panels.values(), strict=True):
        ticks = sorted({float(place) for curve in lines.values() for place in curve.x})
        ends = [end for c in lines.values() for end in np.r_[c.mean + np.nan_to_num(c.deviation)]]
        ax.set(xscale="log", xlim=(ticks[0] * 0.9, ticks[-1] * 1.1), ylim=(0, style.ceiling(ends)), xlabel=x)
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.grid(visible=False, axis="x")
        for name, (places, mean, deviation) in lines.items():
            look = looks[name]
            ax.errorbar(
                places, mean, np.nan_to_num(deviation), color=look.colour, ls=look.dashes, capsize=3, elinewidth=1
            )
            words = [f"{name}, {at:g}: {value:.1f}" for at, value in zip(places, mean, strict=True)]
            style.points(ax, places, mean, words, [6] * len(places), look)
    return figure


@style.styled
def reliability(panels: Mapping[str, Mapping[str, Reliability]], notes: Mapping[str, str]) -> Figure:
    """Draw accuracy over confidence for ``clean`` and ``corrupted``; a dot's area is its bin's share of the images.

    `notes` has a line for below each panel.
    """
    looks = {"clean": Look(CLEAN, "o", "-"), "corrupted": Look(CORRUPTED, "o", "-")}
    ticks = np.linspace(0, 1, 5)
    figure, axes = style.panels(panels, (190, 190), Margins(50, 18, 54, 10), columns=3, legend=looks)
    for ax, (title, kinds) in zip(axes, panels.items(), strict=True):
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"confidence, %\n{notes[title]}", ylabel="accuracy, %")
        ax.set_xticks(ticks, [f"{100 * tick:.0f}" for tick in ticks])
        ax.set_yticks(ticks, [f"{100 * tick:.0f}" for tick in ticks])
        ax.axline((0, 0), slope=1, color=MUTED, lw=1, ls=(0, (3, 4)))
        for kind, bins in kinds.items():
            known = ~np.isnan(bins.confidence)
            x, y, images = bins.confidence[known], bins.accuracy[known], bins.images[known]
            look = looks[kind]
            ax.plot(x, y, color=look.colour, lw=1.5, clip_on=False)
            words = [f"{kind}: {n} images, {100 * right:.0f} % right" for n, right in zip(images, y, strict=True)]
            sizes = 4 + 18 * np.sqrt(images / max(1, images.sum()))
            style.points(ax, x, y, words, sizes, look._replace(colour=f"{look.colour}99"))
    return figure


@style.styled
def recall(panels: Mapping[str, Mapping[str, ArrayLike]], classes: Sequence[str], looks: Looks) -> Figure:
    """Draw each class's recall, a bar a model on corrupted images and a tick where its clean recall is.

    A panel has each model's (clean, corrupted) by class, fractions: (K, 2).
    """
    thick, gap = (9, 12) if len(looks) < 6 else (5, 10)
    group = thick * len(looks) + gap
    margins = Margins(14 + style.room(classes, 10.5), 24, 36, 4)
    size = (320, group * len(classes))
    figure, axes = style.panels(panels, size, margins, columns=1, legend=looks)
    for ax, lines in zip(axes, panels.values(), strict=True):
        ax.set(xlim=(0, 100), ylim=(size[1], 0), xticks=np.linspace(0, 100, 5), yticks=[], xlabel="recall, %")
        for c, name in enumerate(classes):
            _name_row(ax, group * (c + 0.5), name, 10.5)
        for k, (model, values) in enumerate(lines.items()):
            for c, (clean, corrupted) in enumerate(100 * np.asarray(values, float)):
                y = group * c + gap / 2 + thick * (k + 0.45)
                (bar,) = ax.barh(y, np.nan_to_num(corrupted), thick - 2, color=looks[model].colour, lw=0)
                style.tip(bar, f"{model}, {classes[c]}: {corrupted:.0f} % corrupted, {clean:.0f} % clean")
                ax.plot([clean, clean], [y - thick / 2, y + thick / 2], color=INK, lw=2, clip_on=False)
    return figure


@style.styled
def confusion(panels: Mapping[str, ArrayLike], classes: Sequence[str]) -> Figure:
    """Draw confusion matrices of counts (K, K), rows being the true classes, in percent of the row.

    Classes are named by their number; right answers are blue, mistakes orange to red.
    """
    side, size = (34, 10) if len(classes) <= 8 else (18, 8)
    extent = side * len(classes)
    figure, axes = style.panels(panels, (extent, extent), Margins(42, 14, 8, 32), columns=3)
    for ax, counts in zip(axes, panels.values(), strict=True):
        middles = np.arange(len(classes)) + 0.5
        ax.set(xlim=(0, len(classes)), ylim=(len(classes), 0), xlabel="taken for", ylabel="true class")
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xticks(middles, map(str, range(len(classes))), fontsize=size)
        ax.set_yticks(middles, map(str, range(len(classes))), fontsize=size)
        ax.grid(visible=False)
        matrix = np.asarray(counts, float)
        fractions = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
        for (row, column), fraction in np.ndenumerate(fractions):
            colour = to_rgba("#0b6e99", 0.06 + 0.8 * fraction) if row == column else HEAT(0.72 * fraction)
            words = f"{classes[row]} taken for {classes[column]}: {100 * fraction:.1f} % ({matrix[row, column]:.0f})"
            number = f"{100 * fraction:.0f}" if fraction >= 0.005 else ""
            _cell(ax, row, column, colour, words, number, "#ffffff" if fraction > 0.7 else INK, size)
    return figure


def _name_row(ax: Axes, y: float, words: str, size: float) -> None:
    """Write the name of a row to the left of the axes."""
    ax.annotate(
        words, (0, y), (-9, 0), ("axes fraction", "data"), "offset pixels", ha="right", va="center", fontsize=size
    )


def _cell(ax: Axes, row: int, column: int, colour: Any, words: str, shown: str, ink: str, size: float) -> None:
    """Draw one cell of a matrix, with its tooltip and the number that stands in it."""
    box = Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, facecolor=colour, lw=0, clip_on=False)
    style.tip(ax.add_artist(box), words)
    if shown:
        ax.text(column + 0.5, row + 0.53, shown, ha="center", va="center", fontsize=size, color=ink)
