"""Scalable vector graphics as text: elements, colours and scales, nothing that knows a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

SERIES = ("#5b6770", "#0b6e99", "#d9730d", "#2e7d4f", "#9a4f96", "#b3412e", "#8a7a1f", "#3f51b5", "#00838f")
"""Line colours, told apart on white also without red or green; the first, grey, is the baseline's."""

INK, MUTED, GRID = "#1f2933", "#66727f", "#e3e8ed"
_HEAT = ((255, 255, 255), (254, 232, 200), (253, 187, 132), (239, 101, 72), (179, 0, 0))


def element(name: str, content: str = "", **attributes: object) -> str:
    """Return ``<name ...>content</name>``; an underscore in an attribute is a dash, at its end nothing."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_number(value))}" for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """Return a text element with its anchor at (x, y); `words` are escaped."""
    return element("text", escape(words), x=x, y=y, **attributes)


def haloed(x: float, y: float, words: str, **attributes: object) -> str:
    """Return a text element that stays readable on top of lines."""
    return text(x, y, words, paint_order="stroke", stroke="#ffffff", stroke_width=3.5, **attributes)


def room(names: Sequence[str], font_size: float) -> float:
    """Return the pixels that the longest of `names` may take: a letter is at most 0.7 of its size wide on average."""
    return 0.7 * font_size * max(map(len, names))


def tip(words: str) -> str:
    """Return a tooltip, to put inside another element."""
    return element("title", escape(words))


def drawing(width: float, height: float, content: Iterable[str], label: str) -> str:
    """Return a whole picture, `label` being its words for those who do not see it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
    return f'{head}height="{height:g}" role="img" aria-label={quoteattr(label)}>{"".join(content)}</svg>'


def path(points: Sequence[tuple[float, float]], *, closed: bool = False, **attributes: object) -> str:
    """Return a line through `points`."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", "", d=f"M{steps}{'Z' if closed else ''}", **attributes)


def heat(share: float) -> str:
    """Return the colour of a share 0 to 1: white over orange to dark red."""
    place = min(max(share, 0.0), 1.0) * (len(_HEAT) - 1)
    low = min(int(place), len(_HEAT) - 2)
    mixed = (a + (b - a) * (place - low) for a, b in zip(_HEAT[low], _HEAT[low + 1], strict=True))
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def ink_on(share: float) -> str:
    """Return the colour of writing on `heat(share)`."""
    return "#ffffff" if share > 0.62 else INK


def nice_ceiling(value: float, *, steps: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    """Return the least 1, 2, 2.5 or 5 times a power of ten that is not below `value`; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
