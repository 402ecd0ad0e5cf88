"""The report's tables as Markdown and LaTeX, from scores.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.reporting import provenance, tables
from benchmark.reporting.sections import Scores, audit, grids, summaries

Models = Mapping[str, Mapping[str, Any]]
RELATIVE = ("relative_mce", "relative_mce_pooled", "mrbe")
RISES = "does not get worse"
"""Why a relative ratio is undefined."""


def left_out(scores: Scores) -> list[tuple[str, str, str]]:
    """Return which ratios are undefined: columns that they are missing from, why, and which; alike for all models."""
    first = next(iter(scores["models"].values()))["summary"]
    missing: dict[tuple[str, ...], list[str]] = {}
    for column in (*tables.MAIN, *tables.MORE):
        if cells := first.get(column.key, {}).get("left_out"):
            missing.setdefault((RISES if column.key in RELATIVE else "makes no error", *cells), []).append(column.title)
    return [(" and ".join(titles), why, ", ".join(cells)) for (why, *cells), titles in missing.items()]


def _main_rows(scores: Scores, models: Models, columns: Sequence[tables.Column]) -> list[list[str]]:
    rows = []
    for name, found in tables.cells(models, columns).items():
        words = []
        for cell in found:
            value = f"**{cell.value}**" if cell.best else cell.value
            words.append(f"{value} ({cell.interval})" if cell.interval else value)
        rows.append([scores["models"][name]["record"]["model"].get("title", name), *words])
    return rows


def text(scores: Scores) -> str:
    """Return the tables as Markdown."""
    comparisons = [
        [
            line["first"],
            line["second"],
            line["images"],
            "{} ({} to {})".format(*(tables.number(line[key], "+.1f") for key in ("difference", "low", "high"))),
            f"{line['p']:.4f}",
            f"{line['p_holm']:.4f}",
        ]
        for line in scores["comparisons"]
    ]
    data_sets = [
        [name, facts["source"], str(facts["seed"]), str(facts["count"]), facts["images"]]
        for name, facts in scores["data_sets"].items()
    ]
    parts = [
        "# Scores\n",
        f"Split {scores['split']}, baseline {scores['baseline']}, build {scores['build']};"
        f" 95 % intervals by paired bootstrap over images ({scores['intervals']['samples']} samples).\n",
        *_summaries(scores),
        *(f"{titles}: without {cells}, where the baseline {why}.\n" for titles, why, cells in left_out(scores)),
        *_by_corruption(scores),
        "## Paired comparisons\n",
        "Accuracy of the first minus the second model in points, 95 % intervals; p by sign flips, corrected by Holm.\n",
        tables.markdown(["First", "Second", "Images", "Difference", "p", "p (Holm)"], comparisons, words=3),
        "## Label order\n",
        "Accuracy in percent, with the class order of RobustMedCLIP's code beside.\n",
        tables.markdown(
            ["Model", "Data set", "Clean", "Their order", "Corrupted", "Their order"], _audit(scores), words=2
        ),
        "## What was scored\n",
        *(
            tables.markdown([name, ""], [list(line) for line in provenance.model(found["record"])], words=2)
            for name, found in scores["models"].items()
        ),
        tables.markdown(["Data set", "Source", "Seed", "Images", "Images, SHA-256"], data_sets, words=2),
    ]
    return "\n".join(parts)


def _summaries(scores: Scores) -> Iterator[str]:
    """Yield the main table and the one of more scores, over all collections, then of each if there are several."""
    for collection, models in summaries(scores).items():
        if collection:
            yield f"## {collection}\n"
        for columns in (tables.MAIN, tables.present(models, tables.MORE)):
            header = ["Model", *(f"{column.title} ({column.unit})" for column in columns)]
            yield tables.markdown(header, _main_rows(scores, models, columns))


def _by_corruption(scores: Scores) -> Iterator[str]:
    """Yield each collection's table of CE by corruption, mean over the data sets in which it is defined."""
    for grid in grids(scores):
        yield f"## CE by corruption, mean over data sets{f' of {grid.title}' if grid.title else ''}\n"
        rows = []
        for model, found in scores["models"].items():
            sets = [found["data_sets"][d]["corruptions"] for d in grid.sets]
            known = [[s[c]["ce"] for s in sets if s.get(c, {}).get("ce") is not None] for c in grid.corruptions]
            rows.append([model, *(f"{np.mean(values):.1f}" if values else "–" for values in known)])
        yield tables.markdown(["Model", *(c.replace("_", " ") for c in grid.corruptions)], rows)


def _audit(scores: Scores) -> list[list[str]]:
    return [
        [
            row["model"],
            row["dataset"],
            *(
                f"{100 * accuracies[kind]:.1f}" if accuracies else "–"
                for kind in ("clean", "corrupted")
                for accuracies in (row["own"], row["theirs"])
            ),
        ]
        for row in audit(scores)
    ]


def latex(scores: Scores) -> str:
    """Return the main table in LaTeX, then one of each collection if there are several."""
    header = ["Model", *(column.title for column in tables.MAIN)]
    made = []
    for collection, models in summaries(scores).items():
        caption = (
            f"Scores on the {scores['split']} split{f' of {collection}' if collection else ''}; mCE in percent of"
            f" {scores['baseline']}; in parentheses 95 % intervals by paired bootstrap over images."
        )
        label = "tab:" + "-".join(["medimeta-c", *filter(None, [collection])]).lower()
        made.append(tables.latex(header, _main_rows(scores, models, tables.MAIN), caption=caption, label=label))
    return "\n".join(made)
