"""The report's figures and rows, from scores.json: which numbers stand where; `figures` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmark.reporting import figures, svg
from benchmark.reporting.figures import Interval
from benchmark.scoring import metrics
from pipeline import datasets

Scores = Mapping[str, Any]


class Grid(NamedTuple):
    """A collection: its name, empty if it is the only one, its data sets, and the corruptions of any of them."""

    title: str
    sets: list[str]
    corruptions: list[str]


def grids(scores: Scores) -> list[Grid]:
    """Return the collections, in the order in which they are averaged."""
    found = scores["models"][scores["baseline"]]["data_sets"]
    made = []
    for name, sets in scores["collections"].items():
        having = dict.fromkeys(c for d in sets for c in found[d]["corruptions"])  # JSON has them by the alphabet
        corruptions = [c for c in dict.fromkeys([*scores["corruptions"], *having]) if c in having]
        made.append(Grid(name if len(scores["collections"]) > 1 else "", list(sets), corruptions))
    return made


def summaries(scores: Scores) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every model's summary over all collections, under no name, and over each alone if there are several."""
    models = scores["models"].items()
    every = {model: {"summary": found["summary"]} for model, found in models}
    return {"": every} | {
        grid.title: {model: {"summary": found["collections"][grid.title]} for model, found in models}
        for grid in grids(scores)
        if grid.title
    }


def own_corruptions(scores: Scores) -> dict[str, list[str]]:
    """Return each data set's corruptions, in the order of its collection's."""
    found = scores["models"][scores["baseline"]]["data_sets"]
    return {
        d: [c for c in grid.corruptions if c in found[d]["corruptions"]] for grid in grids(scores) for d in grid.sets
    }


def forest(scores: Scores, titles: Mapping[str, str]) -> dict[str, str]:
    """Return the main scores with their intervals, a drawing each, and the baseline's value as a line."""
    drawn = {}
    for key, title in (
        ("mce", "mCE"),
        ("mce_held_out", "mCE on held-out corruptions"),
        ("clean_error", "Clean error, %"),
    ):
        found = {titles[name]: one["summary"].get(key) for name, one in scores["models"].items()}
        if all(found.values()):
            lines = {name: Interval(line["value"], line["low"], line["high"]) for name, line in found.items()}
            mark = scores["models"][scores["baseline"]]["summary"][key]["value"] or 0.0
            drawn[title] = figures.forest(lines, mark=mark, label=f"{title} with 95 % intervals")
    return drawn


def _error(found: Mapping[str, Any], dataset: str, corruption: str) -> float | None:
    """Return a model's error in percent, mean over severities, or None where the data set has no such corruption."""
    cells = found["data_sets"][dataset]["corruptions"].get(corruption)
    return None if cells is None else 100 * float(np.mean(cells["errors"]))


def error_top(scores: Scores) -> float:
    """Return the error at which the heat maps are darkest, one for all of them."""
    values = [
        _error(found, d, c) or 0.0
        for found in scores["models"].values()
        for grid in grids(scores)
        for d in grid.sets
        for c in grid.corruptions
    ]
    return svg.nice_ceiling(max(values))


def heat_maps(scores: Scores, grid: Grid) -> dict[str, str]:
    """Return each model's error by data set and corruption."""
    top = error_top(scores)
    columns = [c.replace("_", " ") for c in grid.corruptions]
    return {
        model: figures.heat_map(
            grid.sets,
            columns,
            [[_error(found, d, c) for c in grid.corruptions] for d in grid.sets],
            top=top,
            label=f"Error of {model}, percent",
        )
        for model, found in scores["models"].items()
    }


def curves(scores: Scores, titles: Mapping[str, str], grid: Grid) -> dict[str, str]:
    """Return a panel a corruption, over the data sets that have it, all with the same scale."""
    panels: dict[str, dict[str, list[float]]] = {}
    for corruption in grid.corruptions:
        note = " (held out)" if corruption in scores["held_out"] else ""
        lines = {}
        for model, found in scores["models"].items():
            sets = [found["data_sets"][d] for d in grid.sets if corruption in found["data_sets"][d]["corruptions"]]
            by_severity = np.mean([one["corruptions"][corruption]["errors"] for one in sets], axis=0)
            lines[titles[model]] = [100 * float(np.mean([one["clean"]["error"] for one in sets])), *(100 * by_severity)]
        panels[corruption.replace("_", " ") + note] = lines
    top = svg.nice_ceiling(
        max(e for lines in panels.values() for line in lines.values() for e in line), steps=(1, 2, 4, 6, 8, 10)
    )
    return {
        title: figures.curves(lines, top=top, label=f"Error by severity, {title}") for title, lines in panels.items()
    }


def radars(scores: Scores, titles: Mapping[str, str], grid: Grid) -> dict[str, str]:
    """Return the accuracy under corruption by data set, and by corruption, of all models together."""

    def accuracy(found: Mapping[str, Any], sets: Sequence[str], corruptions: Sequence[str]) -> float:
        known = [error for d in sets for c in corruptions if (error := _error(found, d, c)) is not None]
        return 100 - float(np.mean(known))

    models = scores["models"].items()
    by_set = {titles[m]: [accuracy(f, [d], grid.corruptions) for d in grid.sets] for m, f in models}
    by_name = {titles[m]: [accuracy(f, grid.sets, [c]) for c in grid.corruptions] for m, f in models}
    words = [c.replace("_", " ") for c in grid.corruptions]
    return {
        "Corrupted accuracy by data set, %": figures.radar(grid.sets, by_set, label="Accuracy by data set"),
        "Corrupted accuracy by corruption, %": figures.radar(words, by_name, label="Accuracy by corruption"),
    }


def calibration(scores: Scores) -> dict[str, tuple[str, str]]:
    """One reliability diagram a model, all images of all data sets together, and the mean ECE of its cells in words."""
    drawn = {}
    for model, found in scores["models"].items():
        kinds = {}
        for kind in ("clean", "corrupted"):
            curves = [one["reliability"][kind] for one in found["data_sets"].values()]
            pooled = metrics.pooled(
                [
                    metrics.Reliability(*(np.array(c[k], float) for k in ("confidence", "accuracy", "images")))
                    for c in curves
                ]
            )
            known = [None if np.isnan(v) else float(v) for v in pooled.confidence]
            right = [None if np.isnan(v) else float(v) for v in pooled.accuracy]
            kinds[kind] = (known, right, [int(n) for n in pooled.images])
        clean, corrupted = (found["summary"][f"ece_{kind}"]["value"] for kind in ("clean", "corrupted"))
        words = f"Mean ECE of a cell: {clean:.1f} % clean, {corrupted:.1f} % corrupted"
        drawn[model] = figures.reliability(kinds, label=f"Calibration of {model}"), words
    return drawn


def details(scores: Scores, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Per data set: recall of each class, and every model's confusion matrix over all corrupted cells."""
    made = []
    for name, facts in scores["data_sets"].items():
        classes = facts["class_names"]
        recall = {
            titles[m]: [
                (f["data_sets"][name]["recall"][c]["clean"], f["data_sets"][name]["recall"][c]["corrupted"])
                for c in classes
            ]
            for m, f in scores["models"].items()
        }
        matrices = {
            m: figures.confusion(
                classes, f["data_sets"][name]["confusion"]["corrupted"], label=f"Confusion of {m}, {name}"
            )
            for m, f in scores["models"].items()
        }
        title = datasets.card(name).title if name in datasets.DATASETS else name
        bars = figures.recall_bars(classes, recall, label=f"Recall by class, {name}")
        made.append({"dataset": name, "title": title, "facts": facts, "recall": bars, "confusion": matrices})
    return made


def audit(scores: Scores) -> list[dict[str, Any]]:
    """Rows of the label-order audit: a model and data set with both accuracies and their difference in points."""
    rows = []
    for model, by_set in scores["label_order"].items():
        for name, found in by_set.items():
            own, theirs = found["own"], found["theirs"]
            same = found["order"] == scores["data_sets"][name]["class_names"]
            rows.append(
                {"model": model, "dataset": name, "own": own, "theirs": theirs, "same": same, "order": found["order"]}
            )
    return rows
