"""What the report says, whatever the document: its tables, and its figures as SVG for the page and PDF for papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmark.reporting import distances as held_out
from benchmark.reporting import figures, provenance, style, tables, tuned_grid
from benchmark.reporting.distances import Distances
from benchmark.reporting.examples import SEVERITY, Example
from benchmark.reporting.figures import Interval, Looks
from benchmark.reporting.tables import Entry, slug
from benchmark.scoring import cube as cubes
from benchmark.scoring import metrics
from benchmark.scoring.aggregation import by_modality, defined_mean
from benchmark.scoring.records import ScoreName, ScoresRecord
from pipeline.workspace import datasets

FORESTS: dict[ScoreName, str] = {
    "mce": "mCE ↓",
    "mce_held_out": "mCE on held-out corruptions ↓",
    "mce_set": "mCE of the corruption set ↓",
    "clean_error": "Clean error, % ↓",
}


class Drawing(NamedTuple):
    """One figure: its caption, all of it as PDF under the name of its file, and its panels as SVG with their legend."""

    name: Markup
    caption: str
    pdf: bytes
    panels: list[Markup]
    looks: Looks


def draw(
    name: Markup, caption: str, figure: Callable[..., Figure], panels: Mapping[str, Any], **options: Any
) -> Drawing:
    """Draw `panels` by one of the functions of `figures`."""
    drawn = figure(panels, **options)
    svgs = [Markup(svg) for svg in style.svgs(drawn, caption, name)]
    return Drawing(name, caption, style.pdf(drawn), svgs, options.get("looks", {}))


class ClassDetails(NamedTuple):
    """One data set's figures of classes, under its name and title."""

    dataset: str
    title: str
    images: int
    class_names: Sequence[str]
    recall: Drawing
    confusion: Drawing


class Content:
    """All that the templates fill in.

    Attributes:
        titles: what each model is called.
        shown: the same of those that figures show: all, or the representatives of a grid.
        baseline: title of the baseline, which need not be a model.
        looks: how each of these titles is drawn.
        main, paper, tuned, models: tables, as `tables`, `tuned_grid` and `provenance` say.
        drawings: all figures, in the report's order.
    """

    def __init__(
        self, scores: ScoresRecord, cube: xr.Dataset, examples: Sequence[Example], distances: Distances
    ) -> None:
        self.scores, self.examples, self.example_severity = scores, examples, SEVERITY
        self._cube = cubes.core(cube)
        self._parts = {"": self._cube}
        if (extended := cubes.extended(cube)) is not None:
            self._parts[tables.EXTENDED] = extended
        self._error, self._ce = tables.percentages(self._cube, scores.baseline)
        self.titles = _titles(scores)
        grid = tuned_grid.tuned_grid(self._cube, scores)
        shown = tuned_grid.representatives(grid, scores) if grid else list(scores.models)
        self.shown = {model: self.titles[model] for model in shown}
        self.baseline = scores.published.title if scores.published else self.titles[scores.baseline]
        self.looks = style.looks(list(self.shown.values()), self.baseline)
        self.images = sum(dataset.count for dataset in scores.datasets.values())
        self.is_phantom = any(dataset.source == "phantom" for dataset in scores.datasets.values())
        sources = (datasets.card(name).robustmedclip_source for name in scores.datasets if name in datasets.DATASETS)
        self.order_source = next((source for source in sources if source), "")

        dots = {title: look.colour for title, look in self.looks.items()}
        labels = {model: Entry(title, colour=dots.get(title, "")) for model, title in self.titles.items()}
        predictions = {model: model_scores.prediction for model, model_scores in scores.models.items()}
        self.main = list(tables.main_tables(scores, labels))
        self.left_out = tables.left_out(scores)
        self.paper = list(tables.paper_tables(cube, scores, labels))
        self.paper += held_out.tables_of(cube, scores, {model: labels[model] for model in shown}, distances)
        self.tuned = list(tuned_grid.tables_of(grid)) if grid else []
        self.comparisons = tables.comparisons(scores, {model: labels[model] for model in shown})
        self.label_order = tables.label_order(scores, labels)
        self.models = [provenance.model_table(m, self.titles[m], record) for m, record in predictions.items()]
        self.prompts = provenance.prompts_table(predictions.get(scores.baseline) or next(iter(predictions.values())))
        self.data_sets = provenance.data_sets_table(scores)

        self.error_top = style.ceiling(self._error.values.ravel())
        self.forest = self._forest()
        self.few_shot = list(_few_shot(grid)) if grid else []
        self.heat = list(self._heat_maps())
        self.severity = list(self._severity())
        self.radars = list(self._radars())
        self.calibration = self._calibration()
        self.classes = list(self._classes())
        classes = [drawing for details in self.classes for drawing in (details.recall, details.confusion)]
        self.drawings = [
            self.forest,
            *self.few_shot,
            *self.heat,
            *self.severity,
            *self.radars,
            self.calibration,
            *classes,
        ]

    def _collections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each collection's name, empty if there is one only, and its data sets."""
        for collection, names in self.scores.collections.items():
            yield collection if len(self.scores.collections) > 1 else "", list(names)

    def _parts_of_collections(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield what `_collections` does, of the seven and then of the extended set where it has some, named first."""
        for part, cube in self._parts.items():
            for collection, names in self._collections():
                having = [name for name in names if not part or cube.present.sel(dataset=name).any()]
                if having:
                    yield part, collection, having

    def _by_model(self, values: xr.DataArray) -> dict[str, Any]:
        """Return each model's part of an array, by its title."""
        return {title: values.sel(model=model).values for model, title in self.shown.items()}

    def _forest(self) -> Drawing:
        panels: dict[str, dict[str, Interval]] = {}
        for key, title in FORESTS.items():
            estimates = {title: self.scores.models[model].summary.get(key) for model, title in self.shown.items()}
            known = {name: (e.value, e.low, e.high) for name, e in estimates.items() if e}
            if len(known) == len(estimates):
                panels[title] = {name: Interval(*np.array(ends, float)) for name, ends in known.items()}
        marks = {title: lines[self.baseline].value for title, lines in panels.items() if self.baseline in lines}
        return draw(slug("scores"), "Scores with 95 % intervals", figures.forest, panels, marks=marks, looks=self.looks)

    def _heat_maps(self) -> Iterator[Drawing]:
        for part, collection, names in self._parts_of_collections():
            error, ce = tables.percentages(self._parts[part], self.scores.baseline)
            top = style.ceiling(ce.values.ravel())
            for name, title, values, darkest in (
                ("errors", "Error by data set and corruption, %", error, self.error_top),
                ("ce", f"CE by data set and corruption, base = 100; the darkest red is {top:g}", ce, top),
            ):
                of_sets = _having(values, names)
                yield draw(
                    slug(name, collection, part),
                    f"{title}{_of(collection)}{_of_part(part)}",
                    figures.heat_map,
                    self._by_model(of_sets.transpose(..., "dataset", "corruption")),
                    rows=of_sets.dataset.values.tolist(),
                    columns=_words(of_sets.corruption),
                    top=darkest,
                )

    def _severity(self) -> Iterator[Drawing]:
        for part, collection, names in self._parts_of_collections():
            errors = _having(self._parts[part].error, names)
            panels = {}
            for corruption in errors.corruption.values.tolist():
                having = errors.dataset[errors.present.sel(corruption=corruption).values]
                clean = self._cube.clean_error.sel(dataset=having).expand_dims(severity=[0])
                both = xr.concat(
                    [clean, errors.sel(corruption=corruption, dataset=having)], "severity", coords="minimal"
                )
                panels[tables.corruption_title(corruption, self.scores)] = self._by_model(100 * both.mean("dataset"))
            yield draw(
                slug("severity", collection, part),
                f"Error by severity, %{_of(collection)}{_of_part(part)}",
                figures.severity,
                panels,
                looks=self.looks,
                top=style.ceiling(e for lines in panels.values() for line in lines.values() for e in line),
            )

    def _radars(self) -> Iterator[Drawing]:
        modalities = list(dict.fromkeys(self._error.modality.values.tolist()))
        spokes = {
            "Accuracy by modality, %": by_modality(defined_mean(self._error, "corruption")).sel(modality=modalities)
        }
        for collection, names in self._collections():
            error = _having(self._error, names)
            spokes[f"Accuracy by data set, %{_of(collection)}"] = defined_mean(error, "corruption")
            spokes[f"Accuracy by corruption, %{_of(collection)}"] = defined_mean(error, "dataset")
        panels = {}
        for title, values in spokes.items():
            (axis,) = set(values.dims) - {"model"}
            if values.sizes[axis] > 2:
                names = _words(values[axis]) if axis == "corruption" else values[axis].values.tolist()
                panels[title] = (names, self._by_model(100 - values))
        if panels:
            yield draw(slug("radar"), "Accuracy on corrupted images", figures.radar, panels, looks=self.looks)

    def _calibration(self) -> Drawing:
        panels = {
            title: {
                kind: metrics.pooled([d.reliability[kind].curve() for d in self.scores.models[model].datasets.values()])
                for kind in ("clean", "corrupted")
            }
            for model, title in self.shown.items()
        }
        notes = {}
        for model, title in self.shown.items():
            ece = (self.scores.models[model].summary[name].value for name in ("ece_clean", "ece_corrupted"))
            notes[title] = "ECE {} % clean, {} % corrupted".format(*map(tables.number, ece))
        return draw(slug("calibration"), "Accuracy over confidence", figures.reliability, panels, notes=notes)

    def _classes(self) -> Iterator[ClassDetails]:
        for name, dataset in self.scores.datasets.items():
            card = datasets.card_from(name, dataset.source)
            classes = [tables.one_line(class_name) for class_name in dataset.class_names]
            details = {title: self.scores.models[model].datasets[name] for model, title in self.shown.items()}
            recall = {
                title: np.array([(r.clean, r.corrupted) for r in of_model.recall.values()], float)
                for title, of_model in details.items()
            }
            confusion = {title: of_model.confusion["corrupted"] for title, of_model in details.items()}
            bars = {"Recall by class": recall}
            yield ClassDetails(
                name,
                card.title if card else name,
                dataset.count,
                classes,
                draw(slug("recall", name), f"Recall, {name}", figures.recall, bars, classes=classes, looks=self.looks),
                draw(slug("confusion", name), f"Confusion, {name}", figures.confusion, confusion, classes=classes),
            )


def _titles(scores: ScoresRecord) -> dict[str, str]:
    """Return what each model is called; those of one title have their name beside it."""
    titles = {
        name: tables.one_line(model_scores.prediction.model.title) for name, model_scores in scores.models.items()
    }
    count = Counter(titles.values())
    return {name: title if count[title] == 1 else f"{title} ({name})" for name, title in titles.items()}


def _having(values: xr.DataArray, names: Sequence[str]) -> xr.DataArray:
    """Return the values of some data sets, and of the corruptions that any of them has."""
    of_sets = values.sel(dataset=list(names))
    return of_sets.sel(corruption=of_sets.present.any("dataset").values)


def _few_shot(grid: tuned_grid.TunedGrid) -> Iterator[Drawing]:
    for amount, axis in tuned_grid.AMOUNTS.items():
        if panels := tuned_grid.few_shot(grid, amount):
            looks = style.looks(list(next(iter(panels.values()))))
            yield draw(slug("few-shot", amount), "Few-shot curves", figures.trend, panels, looks=looks, x=axis)


def _words(corruptions: xr.DataArray) -> list[str]:
    return [name.replace("_", " ") for name in corruptions.values.tolist()]


def _of(collection: str) -> str:
    return f", {collection}" if collection else ""


def _of_part(part: str) -> str:
    return f", {part} set" if part else ""
