"""The report's tables, built once from the scores; each document's template writes them in its own form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import pandas as pd
import xarray as xr
from markupsafe import Markup

from benchmark.scoring.aggregation import by_modality, ce, clean_ratio, defined_mean, over_datasets
from benchmark.scoring.cube import core, extended
from benchmark.scoring.records import Accuracies, Estimate, ScoreName, ScoresRecord, Summary

UNDEFINED = "–"
BASE = "base = 100"
EXTENDED = "extended"
"""What titles and links call the corruptions that were built beside the seven."""
OF_SET = ("mce_set", "relative_mce_set", "mbe_set", "mrbe_set")
RELATIVE = ("relative_mce", "relative_mce_pooled", "relative_mce_set", "mrbe", "mrbe_set")


class Column(NamedTuple):
    """The head of a column.

    Attributes:
        title: what stands above it.
        unit: under the title.
        better: the direction of a better model, if there is one.
        help: one sentence.
        group: what stands above the titles of neighbouring columns.
        is_text: whether it holds words, which stand to the left.
    """

    title: str
    unit: str = ""
    better: Literal["low", "high", ""] = ""
    help: str = ""
    group: str = ""
    is_text: bool = False


class Entry(NamedTuple):
    """What stands in one place: text, its interval (empty if it has none), and whether no model is better.

    `colour` marks the name of a model by what it has in the figures.
    """

    text: str
    interval: str = ""
    is_best: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: its short name, for links.
        title: what stands above it.
        columns: their heads.
        rows: as many cells as columns in each.
        note: a sentence or two below it.
    """

    name: Markup
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    note: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The groups of neighbouring columns, each with how many columns it spans; none if there is no group."""
        spans = [(group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)]
        return spans if any(group for group, _ in spans) else []


MODEL = Column("Model", is_text=True)

MAIN: dict[ScoreName, Column] = {
    "clean_error": Column("Clean error", "%", "low", "Wrong top-1 answers on clean images."),
    "corrupted_error": Column("Corrupted error", "%", "low", "Wrong top-1 answers, mean over all cells."),
    "gap": Column("Gap", "points", "low", "Clean minus corrupted accuracy: what the corruptions alone cost."),
    "mce": Column("mCE", BASE, "low", "Corruption error over the baseline's, mean over corruptions."),
    "mce_pooled": Column("Pooled mCE", BASE, "low", "The same, errors summed over data sets first."),
    "relative_mce": Column("Relative mCE", BASE, "low", "Rise of the error over clean, over the baseline's."),
    "auroc_clean": Column("AUROC clean", "%", "high", "Area under the ROC curve, one against the rest."),
    "auroc_corrupted": Column("AUROC corrupted", "%", "high", "The same, mean over all cells."),
}

MORE: dict[ScoreName, Column] = {
    "relative_mce_pooled": Column("Pooled relative mCE", BASE, "low", "Relative mCE, errors summed first."),
    "mce_trained": Column("mCE, trained", BASE, "low", "Corruptions that augmentation may draw from."),
    "mce_held_out": Column("mCE, held out", BASE, "low", "Corruptions that no tuning has seen."),
    "mce_set": Column("mCE, corruption set", BASE, "low", "Of the corruptions that corruption_set names, apart."),
    "relative_mce_set": Column("Relative mCE, corruption set", BASE, "low", "Relative mCE of the same."),
    "mbe_set": Column("BE, corruption set", BASE, "low", "BE of the same."),
    "mrbe_set": Column("rBE, corruption set", BASE, "low", "rBE of the same."),
    "clean_ratio": Column("Clean error ratio", BASE, "low", "Clean error over the baseline's."),
    "clean_balanced_error": Column("Balanced error", "%", "low", "One minus the mean recall over classes, clean."),
    "mbe": Column("BE", BASE, "low", "Balanced error over the baseline's (Di Salvo et al. 2024)."),
    "mrbe": Column("rBE", BASE, "low", "Rise of the balanced error, over the baseline's."),
    "ece_clean": Column("ECE clean", "%", "low", "Expected calibration error, 15 bins."),
    "ece_corrupted": Column("ECE corrupted", "%", "low", "The same, mean over all cells."),
}


def number(value: float | None, form: str = ".1f") -> str:
    """Return a number in a form of `format`, with the minus sign that tables are printed with."""
    return UNDEFINED if value is None or value != value else format(value, form).replace("-", "−")


def one_line(text: object) -> str:
    """Return `text` as one line without control characters, which XML and LaTeX refuse."""
    line = " ".join(str(text).split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def corruption_title(corruption: str, scores: ScoresRecord) -> str:
    """Return what tables and figures call a corruption, and that it is held out if it is."""
    return corruption.replace("_", " ") + (" (held out)" if corruption in scores.held_out else "")


def slug(*parts: str) -> Markup:
    """Return a name for files and links, alike in every document."""
    return Markup("-".join(re.sub(r"[^A-Za-z0-9_]+", "-", part) for part in parts if part))


def numeric(
    labels: Sequence[Entry], values: Sequence[Sequence[Estimate]], columns: Sequence[Column]
) -> list[list[Entry]]:
    """Return a row a label: its cell, then each value with its interval; the best of a column is marked."""
    marks = [best([row[k].value for row in values], column) for k, column in enumerate(columns)]
    return [
        [
            label,
            *(
                Entry(number(v.value), _interval(v), number(v.value) == mark)
                for v, mark in zip(row, marks, strict=True)
            ),
        ]
        for label, row in zip(labels, values, strict=True)
    ]


def best(values: Sequence[float | None], column: Column) -> str | None:
    """Return the best of some models' values as `number` prints it; None without two of them or a direction."""
    known = [value for value in values if value is not None and value == value]
    if len(values) < 2 or not known or not column.better:
        return None
    return number(min(known) if column.better == "low" else max(known))


def _interval(value: Estimate) -> str:
    # the baseline over itself is 100 in every sample, which is no interval
    if value.low is None or value.high is None or value.low == value.high:
        return ""
    return f"{number(value.low)}{'–' if value.low >= 0 else ' to '}{number(value.high)}"


def summaries(scores: ScoresRecord) -> dict[str, dict[str, Summary]]:
    """Return every model's summary over all collections, under no name, and over each alone if there are several."""
    every = {"": {model: of_model.summary for model, of_model in scores.models.items()}}
    names = scores.collections if len(scores.collections) > 1 else ()
    return every | {
        c: {model: model_scores.collections[c] for model, model_scores in scores.models.items()} for c in names
    }


def main_tables(scores: ScoresRecord, labels: Mapping[str, Entry]) -> Iterator[Table]:
    """Yield the main table and the one of more scores: over all collections, then of each if there are several."""
    for collection, models in summaries(scores).items():
        for name, title, columns in (("scores", "Scores", MAIN), ("more-scores", "More scores", MORE)):
            kept = {key: column for key, column in columns.items() if all(key in s for s in models.values())}
            rows = numeric(list(labels.values()), [[s[key] for key in kept] for s in models.values()], [*kept.values()])
            yield Table(
                slug(name, collection),
                f"{title}, {collection}" if collection else title,
                [MODEL, *kept.values()],
                rows,
            )


def frame(scores: ScoresRecord) -> pd.DataFrame:
    """Return the scores with a row a model and collection, the first of which, without a name, is all of them."""
    undefined = Estimate(value=None)
    rows = [
        {"model": model, "collection": collection}
        | {
            f"{key}{suffix}": getattr(summary.get(key, undefined), end)
            for key in MAIN | MORE
            if key not in OF_SET or key in summary
            for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        for collection, models in summaries(scores).items()
        for model, summary in models.items()
    ]
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys(table.columns[2:], float))


def paper_tables(cube: xr.Dataset, scores: ScoresRecord, labels: Mapping[str, Entry]) -> Iterator[Table]:
    """Yield errors, and ratios to the baseline's, by modality; and of each collection by data set and corruption."""
    yield from _by_place(core(cube), scores, labels, "modality")
    for collection, names in scores.collections.items():
        of_collection = cube.sel(dataset=list(names))
        shown = collection if len(scores.collections) > 1 else ""
        yield from _by_place(core(of_collection), scores, labels, "dataset", shown)
        yield from _by_corruption(core(of_collection), scores, labels, shown)
        if (part := extended(of_collection)) is not None:
            yield from _by_corruption(part, scores, labels, shown, EXTENDED)


def _by_place(
    cube: xr.Dataset,
    scores: ScoresRecord,
    labels: Mapping[str, Entry],
    axis: Literal["modality", "dataset"],
    collection: str = "",
) -> Iterator[Table]:
    """Yield the errors in percent, then the ratios; clean and corrupted of the same place stand side by side."""
    error, ratio = percentages(cube, scores.baseline)
    of = f" by {'data set' if axis == 'dataset' else axis}{_of(collection)}"
    errors = {"clean": 100 * cube.clean_error, "corrupted": defined_mean(error, "corruption")}
    ratios = {"clean": clean_ratio(cube, scores.baseline), "mCE": defined_mean(ratio, "corruption")}
    for name, title, kinds in (
        ("errors", f"Errors{of}, %", errors),
        ("ratios", f"Clean error and mCE{of}, {BASE}", ratios),
    ):
        columns, values = [], []
        means = {kind: by_modality(value) if axis == "modality" else value for kind, value in kinds.items()}
        for place in dict.fromkeys(cube[axis].values.tolist()):
            columns += [Column(kind, better="low", group=place) for kind in kinds]
            values += [mean.sel({axis: place}) for mean in means.values()]
        columns += [Column(kind, better="low", group="mean") for kind in kinds]
        values += [over_datasets(value) for value in kinds.values()]
        yield Table(slug(f"{name}-by-{axis}", collection), title, [MODEL, *columns], _rows(values, columns, labels))


def _by_corruption(
    cube: xr.Dataset, scores: ScoresRecord, labels: Mapping[str, Entry], collection: str, part: str = ""
) -> Iterator[Table]:
    of = f"{_of(collection)}{f', {part} set' if part else ''}"
    names = cube.corruption.values[cube.present.any("dataset").values].tolist()
    columns = [Column(corruption_title(name, scores), better="low") for name in names]
    columns.append(Column("mean", better="low"))
    for name, title, values in zip(
        ("errors", "ce"),
        (f"Corrupted error by corruption{of}, %", f"CE by corruption{of}, {BASE}"),
        percentages(cube, scores.baseline),
        strict=True,
    ):
        means = defined_mean(values, "dataset")
        shown = [*(means.sel(corruption=c) for c in names), over_datasets(defined_mean(values, "corruption"))]
        rows = _rows(shown, columns, labels)
        yield Table(slug(f"{name}-by-corruption", collection, part), title, [MODEL, *columns], rows)


def _of(collection: str) -> str:
    return f" of {collection}" if collection else ""


def _rows(values: Sequence[xr.DataArray], columns: Sequence[Column], labels: Mapping[str, Entry]) -> list[list[Entry]]:
    """Return a row a model of arrays that have the dimension model alone."""
    numbers = [[Estimate(value=defined(float(v.sel(model=model)))) for v in values] for model in labels]
    return numeric(list(labels.values()), numbers, columns)


def percentages(cube: xr.Dataset, baseline: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the mean error over severities in percent, and CE: by model, data set and corruption, NaN if undefined."""
    return 100 * cube.error.mean("severity"), ce(cube, baseline)


def defined(value: float) -> float | None:
    """Return None for NaN."""
    return None if value != value else value


def left_out(scores: ScoresRecord) -> list[tuple[str, str, str]]:
    """Return what has no value: the columns that lack it, which cells or data sets, and why; alike for all models."""
    summary = next(iter(scores.models.values())).summary
    titles: dict[tuple[str, str], list[str]] = {}
    for key, column in (MAIN | MORE).items():
        reasons: dict[str, str] = {}
        if key.startswith("auroc"):
            reasons = {
                name: one.undefined["auroc"] for name, one in scores.datasets.items() if "auroc" in one.undefined
            }
        elif key in summary and (cells := summary[key].left_out):
            verb = "does not get worse" if key in RELATIVE else "makes no error"
            lacks = ", or its table has no error of it," if scores.published else ""
            reasons = {", ".join(cells): f"the baseline {verb} there{lacks} and the ratio is undefined"}
        elif key in summary and summary[key].value is None and scores.baseline in scores.models:
            verb = "never gets worse" if key in RELATIVE else "makes no error"
            reasons = {"a value": f"the baseline {verb}, and nothing can be divided by that"}
        for cells_or_name, why in reasons.items():
            titles.setdefault((cells_or_name, why), []).append(column.title)
    return [(_listed(columns), cells, why) for (cells, why), columns in titles.items()]


def _listed(titles: Sequence[str]) -> str:
    """Return titles of columns in one line; they have commas themselves."""
    return "; ".join(titles) if len(titles) > 2 else " and ".join(titles)


def comparisons(scores: ScoresRecord, labels: Mapping[str, Entry]) -> Table:
    """Return every paired comparison of two models that have a label."""
    columns = (MODEL._replace(title="First"), MODEL._replace(title="Second"), Column("Images", is_text=True))
    rows = [
        [
            labels[line.first],
            labels[line.second],
            Entry(line.images),
            Entry(number(line.difference, "+.1f"), f"{number(line.low, '+.1f')} to {number(line.high, '+.1f')}"),
            Entry(f"{line.p:.4f}"),
            Entry(f"{line.p_holm:.4f}", is_best=(line.p_holm or 0) < 0.05),
        ]
        for line in scores.comparisons
        if line.first in labels and line.second in labels
    ]
    heads = [*columns, Column("Difference", "points"), Column("p"), Column("p (Holm)")]
    return Table(slug("comparisons"), "Paired comparisons", heads, rows)


def label_order(scores: ScoresRecord, labels: Mapping[str, Entry]) -> Table:
    """Return the accuracy in the right class order beside that in RobustMedCLIP's."""
    rows = []
    for model, model_scores in scores.models.items():
        for dataset, audit in model_scores.label_order.items():
            own, theirs = audit.own, audit.theirs or Accuracies(clean=None, corrupted=None)
            accuracies = [
                Entry(number(None if value is None else 100 * value))
                for value in (own.clean, theirs.clean, own.corrupted, theirs.corrupted)
            ]
            is_same = audit.order == scores.datasets[dataset].class_names
            said = (
                "unknown for these classes"
                if audit.order is None
                else "the same"
                if is_same
                else ", ".join(audit.order)
            )
            rows.append([labels[model], Entry(dataset), *accuracies, Entry(said)])
    heads = [Column(word, "%") for word in ("Clean", "their order", "Corrupted", "their order")]
    text = [Column(word, is_text=True) for word in ("Data set", "Their order is")]
    return Table(slug("label-order"), "Label order", [MODEL, text[0], *heads, text[1]], rows)
