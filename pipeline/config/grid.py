"""Settings of params.yaml that are lists, multiplied out: one tuned model a point of the grid, named by its values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any


class GridError(ValueError):
    """A list that can't be multiplied out."""


def multiply_all(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``benchmark`` of params.yaml with the points of every grid in its place.

    So under ``tuned``, and among ``models``. What is of another form than it must be stays, to be named by its type.
    """
    tuned, models = benchmark.get("tuned"), benchmark.get("models")
    if not isinstance(tuned, dict):
        return dict(benchmark)
    grids = {name: multiply(name, of) if isinstance(of, dict) else {name: of} for name, of in tuned.items()}
    points = {name: settings for grid in grids.values() for name, settings in grid.items()}
    if isinstance(models, list):
        models = [point for name in models for point in (grids.get(name, [name]) if isinstance(name, str) else [name])]
    return {**benchmark, "tuned": points} | ({} if models is None else {"models": models})


def multiply(name: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of every point of a grid by its name, such as ``rmedclip/percent7.5-rank8-seed1``.

    A setting that is a list is an axis; ``scales``, itself a list, is one if it holds lists. Names follow the alphabet,
    the seed last, whatever the order in the file. A grid's models lie in one folder, which one DVC stage makes.
    Without a list the one point is `name`.

    Raises:
        GridError: a list is empty or has a value twice.
    """
    axes = {key: value for key, value in settings.items() if _is_axis(key, value)}
    for key, values in axes.items():
        words = [_word(key, value) for value in values]
        if not words or len(set(words)) < len(words):
            raise GridError(f"tuned.{name}.{key} {'has a value twice' if words else 'is an empty list'}")
    if not axes:
        return {name: dict(settings)}
    order = sorted(axes, key=lambda key: (key == "seed", key))
    points = (dict(zip(order, values, strict=True)) for values in itertools.product(*(axes[key] for key in order)))
    return {f"{name}/{'-'.join(itertools.starmap(_word, p.items()))}": dict(settings) | p for p in points}


def family(name: str) -> str:
    """Return the name that params.yaml gives a model: that of its grid, or its own."""
    return name.partition("/")[0]


def _is_axis(key: str, value: Any) -> bool:
    return isinstance(value, list) and (key != "scales" or not value or any(isinstance(part, list) for part in value))


def _word(key: str, value: Any) -> str:
    """Return ``rank8``, ``augment-true``, ``scales0.5+1``: fit for a folder's name."""
    if isinstance(value, list):
        return key + "+".join(_number(part) for part in value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{key}{_number(value)}" if is_number else f"{key}-{_number(value)}"


def _number(value: Any) -> str:
    text = format(value, ".15g") if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]", "_", text.lower() if isinstance(value, bool) else text)
