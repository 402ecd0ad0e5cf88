"""What the report says, whatever the document: its tables, and its figures as SVG for the page and PDF for papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmark.reporting import figures, provenance, style, tables, tuned_grid
from benchmark.reporting.examples import SEVERITY, Example
from benchmark.reporting.figures import Interval, Looks
from benchmark.reporting.tables import Cell, Table
from benchmark.scoring import metrics
from benchmark.scoring.aggregation import by_modality, defined_mean
from benchmark.scoring.records import ScoreName, ScoresRecord
from pipeline import datasets

FORESTS: dict[ScoreName, str] = {
    "mce": "mCE",
    "mce_held_out": "mCE on held-out corruptions",
    "clean_error": "Clean error, %",
}


class Drawing(NamedTuple):
    """One figure: its caption, all of it as PDF under the name of its file, and its panels as SVG with their legend."""

    name: str
    caption: str
    pdf: bytes
    panels: list[Markup]
    looks: Looks


def draw(name: str, caption: str, figure: Callable[..., Figure], panels: Mapping[str, Any], **options: Any) -> Drawing:
    """Draw the panels together as a PDF, and each on its own as SVG, so that they wrap in a page."""
    together = style.pdf(figure(panels, **options))
    options.pop("legend", None)
    svgs = [
        Markup(style.svg(figure({title: panel}, **options), f"{caption}: {title}", f"{name}-{k}"))  # noqa: S704
        for k, (title, panel) in enumerate(panels.items())
    ]
    return Drawing(name, caption, together, svgs, options.get("looks", {}))


@dataclass(frozen=True)
class ClassDetails:
    """One data set's figures of classes."""

    dataset: str
    title: str
    count: int
    class_names: Sequence[str]
    recall: Drawing
    confusion: Drawing


@dataclass(frozen=True)
class Content:
    """All that the templates fill in."""

    scores: ScoresRecord
    titles: Mapping[str, str]
    looks: Looks
    images: int
    is_phantom: bool
    order_source: str
    main: Sequence[Table]
    left_out: Sequence[tuple[str, str, str]]
    paper: Sequence[Table]
    tuned: Sequence[Table]
    comparisons: Table
    label_order: Table
    models: Sequence[Table]
    prompts: Table
    data_sets: Table
    forest: Drawing
    few_shot: Sequence[Drawing]
    heat: Sequence[Drawing]
    error_top: float
    severity: Sequence[Drawing]
    radars: Drawing | None
    calibration: Drawing
    classes: Sequence[ClassDetails]
    examples: Sequence[Example]
    example_severity: int

    @property
    def drawings(self) -> list[Drawing]:
        """All figures, in the report's order."""
        classes = [drawing for part in self.classes for drawing in (part.recall, part.confusion)]
        radars = [self.radars] if self.radars else []
        return [self.forest, *self.few_shot, *self.heat, *self.severity, *radars, self.calibration, *classes]


def content(scores: ScoresRecord, cube: xr.Dataset, examples: Sequence[Example]) -> Content:
    """Return all that the documents say."""
    titles = _titles(scores)
    looks = style.looks(list(titles.values()), titles[scores.baseline])
    labels = {model: Cell(title, colour=looks[title].colour) for model, title in titles.items()}
    grid = tuned_grid.tuned_grid(cube, scores)
    error, _ = tables.percentages(cube, scores.baseline)
    top = style.ceiling(error.values.ravel())
    return Content(
        scores=scores,
        titles=titles,
        looks=looks,
        images=sum(dataset.count for dataset in scores.datasets.values()),
        is_phantom=any(dataset.source == "phantom" for dataset in scores.datasets.values()),
        order_source=datasets.card(datasets.DATASETS[0]).robustmedclip_source,
        main=list(tables.main_tables(scores, labels)),
        left_out=tables.left_out(scores),
        paper=list(tables.paper_tables(cube, scores, labels)),
        tuned=[table for table in (tuned_grid.settings_table(grid), tuned_grid.rank_table(grid)) if table] if grid else [],
        comparisons=tables.comparisons(scores, labels),
        label_order=tables.label_order(scores, labels),
        models=[provenance.model_table(name, titles[name], found.prediction) for name, found in scores.models.items()],
        prompts=provenance.prompts_table(scores.models[scores.baseline].prediction),
        data_sets=tables.data_sets(scores),
        forest=_forest(scores, titles, looks),
        few_shot=list(_few_shot(grid)) if grid else [],
        heat=list(_heat_maps(error, scores, titles, top)),
        error_top=top,
        severity=list(_severity(cube, scores, titles, looks)),
        radars=_radars(error, scores, titles, looks),
        calibration=_calibration(scores, titles),
        classes=list(_classes(scores, titles, looks)),
        examples=examples,
        example_severity=SEVERITY,
    )


def _titles(scores: ScoresRecord) -> dict[str, str]:
    """Return what each model is called; those of one title have their name beside it."""
    titles = {name: tables.one_line(found.prediction.model.title) for name, found in scores.models.items()}
    count = Counter(titles.values())
    return {name: title if count[title] == 1 else f"{title} ({name})" for name, title in titles.items()}


def _collections(scores: ScoresRecord) -> Iterator[tuple[str, str, list[str]]]:
    """Yield of each collection the end of a figure's name, the end of its caption, and its data sets."""
    are_several = len(scores.collections) > 1
    for collection, names in scores.collections.items():
        yield f"-{collection}" if are_several else "", f", {collection}" if are_several else "", list(names)


def _having(values: xr.DataArray, names: Sequence[str]) -> xr.DataArray:
    """Return the values of some data sets, and of the corruptions that any of them has."""
    of_sets = values.sel(dataset=list(names))
    return of_sets.sel(corruption=of_sets.present.any("dataset").values)


def _forest(scores: ScoresRecord, titles: Mapping[str, str], looks: Looks) -> Drawing:
    panels: dict[str, dict[str, Interval]] = {}
    marks: dict[str, float] = {}
    for key, title in FORESTS.items():
        estimates = {titles[model]: found.summary.get(key) for model, found in scores.models.items()}
        if all(estimates.values()):
            panels[title] = {
                name: Interval(*(np.nan if v is None else v for v in (e.value, e.low, e.high))) for name, e in estimates.items()
            }
            marks[title] = panels[title][titles[scores.baseline]].value
    return draw("scores", "Scores with 95 % intervals", figures.forest, panels, marks=marks, looks=looks)


def _few_shot(grid: tuned_grid.TunedGrid) -> Iterator[Drawing]:
    for amount, axis in tuned_grid.AMOUNTS.items():
        if panels := tuned_grid.few_shot(grid, amount):
            looks = style.looks(list(next(iter(panels.values()))))
            yield draw(f"few-shot-{amount}", "Few-shot curves", figures.trend, panels, legend=True, looks=looks, x=axis)


def _heat_maps(
    error: xr.DataArray, scores: ScoresRecord, titles: Mapping[str, str], top: float
) -> Iterator[Drawing]:
    for suffix, of, names in _collections(scores):
        own = _having(error, names)
        panels = {title: own.sel(model=model).values for model, title in titles.items()}
        columns = [c.replace("_", " ") for c in own.corruption.values.tolist()]
        caption = f"Error by data set and corruption, %{of}"
        yield draw(f"errors{suffix}", caption, figures.heat_map, panels, rows=names, columns=columns, top=top)


def _severity(
    cube: xr.Dataset, scores: ScoresRecord, titles: Mapping[str, str], looks: Looks
) -> Iterator[Drawing]:
    for suffix, of, names in _collections(scores):
        panels = {}
        for corruption, errors in _having(cube.error, names).groupby("corruption", squeeze=False):
            of_corruption = errors.sel(corruption=corruption)
            present = of_corruption.present.values
            clean = cube.clean_error.sel(dataset=of_corruption.dataset[present]).mean("dataset")
            corrupted = of_corruption.isel(dataset=present).mean("dataset")
            title = f"{corruption.replace('_', ' ')}{' (held out)' if corruption in scores.held_out else ''}"
            panels[title] = {
                name: 100 * np.r_[clean.sel(model=model).item(), corrupted.sel(model=model).values]
                for model, name in titles.items()
            }
        top = style.ceiling(e for lines in panels.values() for line in lines.values() for e in line)
        caption = f"Error by severity, %{of}"
        yield draw(f"severity{suffix}", caption, figures.severity, panels, legend=True, looks=looks, top=top)


def _radars(
    error: xr.DataArray, scores: ScoresRecord, titles: Mapping[str, str], looks: Looks
) -> Drawing | None:
    by_place = by_modality(defined_mean(error, "corruption"))
    spokes = {"Accuracy by modality, %": ("modality", by_place)}
    for _, of, names in _collections(scores):
        own = _having(error, names)
        spokes[f"Accuracy by data set, %{of}"] = ("dataset", defined_mean(own, "corruption"))
        spokes[f"Accuracy by corruption, %{of}"] = ("corruption", defined_mean(own, "dataset"))
    panels = {
        title: (
            [name.replace("_", " ") if axis == "corruption" else name for name in values[axis].values.tolist()],
            {name: 100 - values.sel(model=model).values for model, name in titles.items()},
        )
        for title, (axis, values) in spokes.items()
        if values.sizes[axis] > 2
    }
    caption = "Accuracy on corrupted images"
    return draw("radar", caption, figures.radar, panels, legend=True, looks=looks) if panels else None


def _calibration(scores: ScoresRecord, titles: Mapping[str, str]) -> Drawing:
    panels = {
        titles[model]: {
            kind: metrics.pooled([of_set.reliability[kind].curve() for of_set in found.datasets.values()])
            for kind in ("clean", "corrupted")
        }
        for model, found in scores.models.items()
    }
    return draw("calibration", "Accuracy over confidence", figures.reliability, panels, legend=True)


def _classes(
    scores: ScoresRecord, titles: Mapping[str, str], looks: Looks
) -> Iterator[ClassDetails]:
    for name, dataset in scores.datasets.items():
        classes = [tables.one_line(of_class) for of_class in dataset.class_names]
        details = {titles[model]: found.datasets[name] for model, found in scores.models.items()}
        recall = {
            title: np.array([(r.clean, r.corrupted) for r in found.recall.values()], float)
            for title, found in details.items()
        }
        confusion = {title: found.confusion["corrupted"] for title, found in details.items()}
        yield ClassDetails(
            name,
            datasets.card(name).title if name in datasets.DATASETS else name,
            dataset.count,
            classes,
            draw(
                f"recall-{name}", f"Recall, {name}", figures.recall, {name: recall}, legend=True, classes=classes, looks=looks
            ),
            draw(
                f"confusion-{name}", f"Confusion on corrupted images, {name}", figures.confusion, confusion, classes=classes
            ),
        )
