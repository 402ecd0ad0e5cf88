"""How every figure looks, and how it becomes SVG for the page and PDF for papers: the same bytes for the same numbers.

Sizes are in pixels of the page, which are points in a PDF.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import NamedTuple, ParamSpec
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

P = ParamSpec("P")

INK, MUTED, GRID = "#1f2933", "#66727f", "#e3e8ed"
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#fee8c8", "#fdbb84", "#ef6548", "#b30000"])
CLEAN, CORRUPTED = "#2f4858", "#d9730d"

BASELINE = "#66727f"
SERIES = ("#0072b2", "#d55e00", "#7b4ea3", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
"""Colours of the other models, after Okabe & Ito 2008: told apart on white without red or green."""

MARKERS = "osD^vPX"
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.spines.bottom": False,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",
    "grid.color": GRID,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.solid_joinstyle": "round",
    "pdf.fonttype": 42,
    "polaraxes.grid": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "medimeta-c",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "xtick.major.pad": 7,
    "xtick.major.size": 0,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
}
_BAND = 24  # pixels for a panel's title
_TIP, _PANEL = "tip ", "panel "  # how the ids begin that tell `svgs` what an element is
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


class Look(NamedTuple):
    """How one model, or one setting, is drawn in every figure."""

    colour: str
    marker: str
    dashes: str


class Margins(NamedTuple):
    """Pixels around the axes of one panel."""

    left: float
    right: float
    bottom: float
    top: float


def looks(names: Sequence[str], baseline: str | None = None) -> dict[str, Look]:
    """Return each name's look: grey for the baseline; once the colours are used up, dashes."""
    others = [name for name in names if name != baseline]
    series = {
        name: Look(SERIES[k % len(SERIES)], MARKERS[1:][k % (len(MARKERS) - 1)], ("-", "--", ":")[k // len(SERIES) % 3])
        for k, name in enumerate(others)
    }
    return {name: series.get(name, Look(BASELINE, MARKERS[0], "-")) for name in names}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make `draw` use the style, whatever the caller's own matplotlib settings are."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _applied():
            return draw(*args, **kwargs)

    return wrapped


@contextmanager
def _applied() -> Iterator[None]:
    with matplotlib.style.context(_STYLE, after_reset=True), warnings.catch_warnings():
        # A name in a script that the font lacks: the page's own font has it, a PDF shows boxes.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


def panels(
    titles: Iterable[str],
    size: tuple[float, float],
    margins: Margins,
    *,
    columns: int,
    legend: Mapping[str, Look] | None = None,
    projection: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of equal panels, with their titles above them and the legend above all.

    Args:
        titles: of the panels, in reading order.
        size: width and height of a panel's axes, pixels.
        margins: around the axes.
        columns: panels side by side, at most.
        legend: what it names.
        projection: of the axes, as matplotlib calls it.
    """
    titles = list(titles)
    across = min(columns, len(titles))
    wide = max(margins.left + size[0] + margins.right, *(10 + text_width(title, 12.5, bold=True) for title in titles))
    high = _BAND + margins.top + size[1] + margins.bottom
    entry = 50 + room(legend, 11) if legend else 0
    width = max(across * wide, entry)
    in_row = max(1, int(width // entry)) if legend else 1
    head = 8 + 19 * math.ceil(len(legend) / in_row) if legend else 0
    height = head + high * math.ceil(len(titles) / across)
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    axes = []
    for k, title in enumerate(titles):
        left, top = wide * (k % across), head + high * (k // across)
        x, y = left + margins.left, height - top - high + margins.bottom
        box = (x / width, y / height, size[0] / width, size[1] / height)
        ax = figure.add_axes(box, projection=projection)
        ax.set_gid(f"{_PANEL}{left:.2f} {top:.2f} {wide:.2f} {high:.2f} {title}")
        at = (4 - margins.left, margins.top + 8)
        ax.annotate(title, (0, 1), at, "axes fraction", "offset pixels", fontsize=12.5, fontweight="bold")
        axes.append(ax)
    if legend:
        lines = [Line2D([], [], color=look.colour, marker=look.marker, ls=look.dashes) for look in legend.values()]
        figure.legend(lines, list(legend), loc="upper left", ncols=in_row, borderaxespad=0, bbox_to_anchor=(0, 1))
    return figure, axes


def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Return the pixels to leave for `words`: their width in the style's font, and some for a page's wider one."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return 1.06 * float(text_to_path.get_text_width_height_descent(words, font, ismath=False)[0])


def room(names: Iterable[str], size: float) -> float:
    """Return the pixels to leave for the longest of `names`."""
    return max(text_width(name, size) for name in names)


def ceiling(values: Iterable[float]) -> float:
    """Return a round number that no value is above, 1 if all are 0; NaN does not count."""
    most = float(np.nanmax([0, *values])) or 1.0
    return float(MaxNLocator(4, steps=[1, 2, 2.5, 4, 5, 6, 8, 10]).tick_values(0, most)[-1])


def points(
    axes: Axes, x: Iterable[float], y: Iterable[float], words: Iterable[str], sizes: Iterable[float], look: Look
) -> None:
    """Draw a mark at every point, each with its tooltip."""
    for place, height, said, size in zip(x, y, words, sizes, strict=True):
        (mark,) = axes.plot([place], [height], look.marker, color=look.colour, ms=size, mew=0, clip_on=False)
        tip(mark, said)


def tip(artist: Artist, words: str) -> None:
    """Give a drawn thing a tooltip, which `svgs` writes."""
    artist.set_gid(_TIP + words)


def pdf(figure: Figure) -> bytes:
    """Return the figure as PDF with embedded fonts."""
    return _saved(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None})


def svgs(figure: Figure, label: str, name: str) -> list[str]:
    """Return each panel as SVG to stand inside a page, where panels wrap; the legend is the page's.

    Text stays text, in the page's font. `label` says in words what is to be seen, for those who do not see it. `name`
    begins every id, so that several figures in one page do not mix up theirs.
    """
    for prefix, uri in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(_saved(figure, "svg", {"Date": None}))
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    return [
        _panel(element, by_id, label, f"{name}-{k}")
        for k, element in enumerate(element for key, element in by_id.items() if str(key).startswith(_PANEL))
    ]


def _panel(group: ElementTree.Element, by_id: Mapping[str | None, ElementTree.Element], label: str, name: str) -> str:
    """Return one panel with what it refers to, which matplotlib writes once a figure."""
    left, top, width, height, title = group.attrib.pop("id").removeprefix(_PANEL).split(" ", 4)
    root = ElementTree.Element(f"{{{_SVG}}}svg", viewBox=f"{left} {top} {width} {height}", width=width, height=height)
    root.attrib |= {"role": "img", "aria-label": f"{label}: {title}"}
    text = ElementTree.tostring(group, encoding="unicode")
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([\w-]+)', text))
    own = {element.get("id") for element in group.iter()}
    defined = ElementTree.SubElement(root, f"{{{_SVG}}}defs")
    defined.extend(by_id[key] for key in used if key not in own)
    root.append(group)
    root = ElementTree.fromstring(ElementTree.tostring(root))  # a copy: other panels refer to the same elements
    ids = {key: f"{name}-{k}" for k, key in enumerate(used)}
    for element in root.iter():
        _shorten(element, ids)
    return ElementTree.tostring(root, encoding="unicode").replace("\n", "")


def _shorten(element: ElementTree.Element, ids: Mapping[str, str]) -> None:
    """Rename the ids that are used, drop the others, write tooltips, and keep two decimals."""
    element.tail = None
    if not element.tag.endswith(("text", "title")):
        element.text = None
    old = element.attrib.pop("id", "")
    if old in ids:
        element.set("id", ids[old])
    elif old.startswith(_TIP):
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = old.removeprefix(_TIP)
        element.insert(0, title)
    for key, value in element.attrib.items():
        value = re.sub(r"#([\w-]+)", lambda match: f"#{ids.get(match[1], match[1])}", value)
        value = re.sub(r"(\.\d\d)\d+", r"\1", value.replace("\n", " ") if key == "d" else value)
        element.set(key, re.sub(r" font-family:[^;]*;", "", value))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]


def _saved(figure: Figure, kind: str, metadata: Mapping[str, None]) -> bytes:
    out = io.BytesIO()
    with _applied():
        figure.savefig(out, format=kind, metadata=dict(metadata))
    return out.getvalue()
