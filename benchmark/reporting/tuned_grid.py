"""Models that were tuned on a grid: few-shot curves and ranks, mean and deviation over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from benchmark.reporting.figures import Curve
from benchmark.reporting.tables import UNDEFINED, Column, Entry, Table, number, percentages, slug
from benchmark.scoring.aggregation import defined_mean, over_datasets, over_seeds
from benchmark.scoring.records import ScoresRecord

Options = dict[str, Any]
"""What a model was tuned with, by the name that a person reads."""

AMOUNTS = {"percent": "% of each class's images", "shots": "images a class"}
"""Ways to say how many images a model is tuned on, and how an axis names each."""

_NOTE = "Mean over seeds, ± the standard deviation between seeds where there are several."


@dataclass(frozen=True)
class TunedGrid:
    """Tuned models that differ in amount, rank or seed.

    Attributes:
        options: by setting, what differs between the settings; the order of the report.
        measures: by title and unit, ``mean`` and ``std`` over seeds and the number of ``seeds``, by setting.
    """

    options: dict[str, Options]
    measures: dict[tuple[str, str], xr.Dataset]


def tuned_grid(cube: xr.Dataset, scores: ScoresRecord) -> TunedGrid | None:
    """Return the grid of the models that were tuned here, or None if no two differ in amount, rank or seed."""
    tunings = {model: model_scores.prediction.tuning for model, model_scores in scores.models.items()}
    tuned = {model: tuning for model, tuning in tunings.items() if tuning}
    all_options: dict[str, Options] = {}
    for model, tuning in tuned.items():
        all_options.setdefault(scores.settings[model].name, _options(tuning.settings.model_dump()))
    keys = {key: None for options in all_options.values() for key in options}
    differ = [key for key in keys if len({str(options.get(key)) for options in all_options.values()}) > 1]
    if len(tuned) == len(all_options) and not {"rank", *AMOUNTS} & set(differ):
        return None
    error, ce = percentages(cube, scores.baseline)
    values = {
        ("Clean error", "%"): over_datasets(100 * cube.clean_error),
        ("Corrupted error", "%"): over_datasets(defined_mean(error, "corruption")),
        ("mCE", "base = 100"): over_datasets(defined_mean(ce, "corruption")),
    }
    options = {name: {key: of.get(key) for key in differ} for name, of in all_options.items()}
    return TunedGrid(options, {title: over_seeds(value.sel(model=list(tuned))) for title, value in values.items()})


def _options(settings: Mapping[str, Any]) -> Options:
    """Return the settings without the seed, and with the amount that counts."""
    unused = "shots" if settings["percent"] else "percent"
    return {key: value for key, value in settings.items() if key not in ("seed", unused)}


def representatives(grid: TunedGrid, scores: ScoresRecord) -> list[str]:
    """Return the models that figures show, in the report's order.

    They are the baseline, all that were not tuned here, and for each way to tune the first seed with the most images.
    """
    most: dict[str, tuple[float, str]] = {}
    for setting, options in grid.options.items():
        amount = max(float(options.get(key) or 0) for key in AMOUNTS)
        rest = _words({key: value for key, value in options.items() if key not in AMOUNTS})
        most[rest] = max(most.get(rest, (-1.0, "")), (amount, setting), key=lambda place: place[0])
    settings = {setting for _, setting in most.values()}
    first = {scores.settings[model].name: model for model in reversed(scores.models)}
    shown = {scores.baseline, *(first[setting] for setting in settings)}
    return [
        model for model, model_scores in scores.models.items() if model in shown or not model_scores.prediction.tuning
    ]


def tables_of(grid: TunedGrid) -> Iterator[Table]:
    """Yield the table of all settings, and the one of ranks if they differ."""
    yield _settings_table(grid)
    if len({options.get("rank") for options in grid.options.values()}) > 1:
        yield _rank_table(grid)


def _settings_table(grid: TunedGrid) -> Table:
    """Return a row a setting: what differs, and its scores over seeds."""
    keys = list(next(iter(grid.options.values())))
    seeds = next(iter(grid.measures.values())).seeds
    heads = [Column("Setting", is_text=True), *(Column(key.replace("_", " ")) for key in keys), Column("seeds")]
    rows = [
        [Entry(name), *(Entry(_said(options[key])) for key in keys), Entry(f"{int(seeds.sel(setting=name))}")]
        + [_over_seeds(values, name) for values in grid.measures.values()]
        for name, options in grid.options.items()
    ]
    measures = [Column(title, unit, "low") for title, unit in grid.measures]
    return Table(slug("tuned"), "Tuned models", [*heads, *measures], rows, _NOTE)


def _rank_table(grid: TunedGrid) -> Table:
    """Return a row for what else differs, and side by side the scores at each rank."""
    ranks = sorted({options["rank"] for options in grid.options.values()})
    by_rest: dict[str, dict[int, str]] = {}
    for name, options in grid.options.items():
        rest = _words({key: value for key, value in options.items() if key != "rank"}) or "all"
        by_rest.setdefault(rest, {})[options["rank"]] = name
    rows = [
        [Entry(rest)]
        + [
            _over_seeds(values, names[rank]) if rank in names else Entry("")
            for rank in ranks
            for values in grid.measures.values()
        ]
        for rest, names in by_rest.items()
    ]
    columns = [Column(title, unit, "low", group=f"rank {rank}") for rank in ranks for title, unit in grid.measures]
    return Table(slug("ranks"), "Ranks", [Column("Tuned with", is_text=True), *columns], rows, _NOTE)


def few_shot(grid: TunedGrid, amount: str) -> dict[str, dict[str, Curve]]:
    """Return each measure's curves over an amount of `AMOUNTS`, by what else differs; empty if none has two places."""
    series: dict[str, list[tuple[float, str]]] = {}
    for name, options in grid.options.items():
        if options.get(amount):
            rest = {key: value for key, value in options.items() if key not in AMOUNTS}
            series.setdefault(_words(rest) or "tuned", []).append((float(options[amount]), name))
    known = {rest: sorted(places) for rest, places in series.items() if len(places) > 1}
    return {
        f"{title}, {unit}": {rest: _curve(values, places) for rest, places in known.items()}
        for (title, unit), values in grid.measures.items()
        if known
    }


def _curve(values: xr.Dataset, places: Sequence[tuple[float, str]]) -> Curve:
    of_places = values.sel(setting=[name for _, name in places])
    return Curve(np.array([place for place, _ in places]), of_places["mean"].values, of_places["std"].values)


def _over_seeds(values: xr.Dataset, name: str) -> Entry:
    of_setting = values.sel(setting=name)
    deviation = float(of_setting["std"])
    return Entry(number(float(of_setting["mean"])), "" if np.isnan(deviation) else f"± {deviation:.1f}")


def _words(options: Options) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_said(value)}" for key, value in options.items() if value is not None)


def _said(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
