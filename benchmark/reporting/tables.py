"""The report's tables: rows of text once, then as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Column(NamedTuple):
    """One column of the main table.

    Attributes:
        key: name in ``summary`` of scores.json.
        title: what stands above it.
        unit: under the title.
        better: the direction of a better model, ``low``, ``high`` or nothing.
        help: one sentence.
    """

    key: str
    title: str
    unit: str
    better: str
    help: str


MAIN = (
    Column("clean_error", "Clean error", "%", "low", "Wrong top-1 answers on clean images."),
    Column("corrupted_error", "Corrupted error", "%", "low", "Wrong top-1 answers, mean over all cells."),
    Column("gap", "Gap", "points", "low", "Clean minus corrupted accuracy: what the corruptions alone cost."),
    Column("mce", "mCE", "base = 100", "low", "Corruption error over the baseline's, mean over corruptions."),
    Column("mce_pooled", "Pooled mCE", "base = 100", "low", "The same, errors summed over data sets first."),
    Column("relative_mce", "Relative mCE", "base = 100", "low", "Rise of the error over clean, over the baseline's."),
    Column("auroc_clean", "AUROC clean", "%", "high", "Area under the ROC curve, one against the rest."),
    Column("auroc_corrupted", "AUROC corrupted", "%", "high", "The same, mean over all cells."),
)

MORE = (
    Column("relative_mce_pooled", "Pooled relative mCE", "base = 100", "low", "Relative mCE, errors summed first."),
    Column("mce_trained", "mCE, trained", "base = 100", "low", "Corruptions that augmentation may draw from."),
    Column("mce_held_out", "mCE, held out", "base = 100", "low", "Corruptions that no tuning has seen."),
    Column("clean_ratio", "Clean error ratio", "base = 100", "low", "Clean error over the baseline's."),
    Column("clean_balanced_error", "Balanced error", "%", "low", "One minus the mean recall over classes, clean."),
    Column("mbe", "BE", "base = 100", "low", "Balanced error over the baseline's (Di Salvo et al. 2024)."),
    Column("mrbe", "rBE", "base = 100", "low", "Rise of the balanced error, over the baseline's."),
    Column("ece_clean", "ECE clean", "%", "low", "Expected calibration error, 15 bins."),
    Column("ece_corrupted", "ECE corrupted", "%", "low", "The same, mean over all cells."),
)


class Cell(NamedTuple):
    """A value, its interval as text (empty if it has none), and whether no model is better."""

    value: str
    interval: str
    best: bool


def cells(models: Mapping[str, Mapping[str, Any]], columns: Sequence[Column]) -> dict[str, list[Cell]]:
    """Return the cells of a table by model; columns that no model has must be left out by the caller."""
    best = {column.key: _best(models, column) for column in columns}
    rows: dict[str, list[Cell]] = {}
    for name, found in models.items():
        row = []
        for column in columns:
            line = found["summary"][column.key]
            value, low, high = line["value"], line.get("low"), line.get("high")
            shown = "–" if value is None else number(value)
            # the baseline over itself is 100 in every sample, which is no interval
            known = low is not None and high is not None and low != high
            interval = f"{number(low)}{'–' if low >= 0 else ' to '}{number(high)}" if known else ""
            row.append(Cell(shown, interval, value is not None and shown == best[column.key]))
        rows[name] = row
    return rows


def present(models: Mapping[str, Mapping[str, Any]], columns: Sequence[Column]) -> list[Column]:
    """Return the columns that the models have."""
    return [column for column in columns if all(column.key in found["summary"] for found in models.values())]


def _best(models: Mapping[str, Mapping[str, Any]], column: Column) -> str:
    values = [found["summary"][column.key]["value"] for found in models.values()]
    known = [value for value in values if value is not None]
    if not known or not column.better:
        return ""
    return number(min(known) if column.better == "low" else max(known))


def number(value: float, form: str = ".1f") -> str:
    """Return a number in a form of `format`, with the minus sign that tables are printed with."""
    return format(value, form).replace("-", "−")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """Return a Markdown table, pipes escaped; the first `words` columns are text, the others numbers to the right."""
    lines = [header, ["---"] * words + ["---:"] * (len(header) - words), *rows]
    return "\n".join("| " + " | ".join(word.replace("|", r"\|") for word in line) + " |" for line in lines) + "\n"


def latex(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, label: str) -> str:
    """Return a table for LaTeX's packages booktabs and graphicx, as wide as the text; words between ** are bold."""

    def line(words: Sequence[str]) -> str:
        return " & ".join(_bold(word) for word in words) + r" \\"

    body = "\n".join(line(row) for row in rows)
    return (
        "% needs \\usepackage{booktabs,graphicx}\n\\begin{table}\n\\centering\n"
        f"\\caption{{{_tex(caption)}}}\n\\label{{{label}}}\n"
        f"\\resizebox{{\\textwidth}}{{!}}{{%\n\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n"
        f"\\toprule\n{line(header)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}}\n\\end{table}\n"
    )


def comma_separated(groups: Mapping[str, Mapping[str, Mapping[str, Any]]], columns: Sequence[Column]) -> str:
    """Return a CSV table: a row a model and collection, each value with the ends of its interval; empty is undefined.

    `groups` has the models by collection, under no name over all of them.
    """
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["model", "collection", *(name for c in columns for name in (c.key, f"{c.key}_low", f"{c.key}_high"))])
    for collection, models in groups.items():
        for model, found in models.items():
            lines = [found["summary"].get(column.key, {}) for column in columns]
            values = [line.get(end) for line in lines for end in ("value", "low", "high")]
            write([model, collection, *("" if value is None else f"{value:.4f}" for value in values)])
    return out.getvalue()


def _bold(word: str) -> str:
    parts = [_tex(part) for part in word.split("**")]
    return "".join(rf"\textbf{{{part}}}" if place % 2 else part for place, part in enumerate(parts))


def _tex(words: str) -> str:
    special = {c: "\\" + c for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "–": "--",
        "−": "$-$",
    }
    return "".join(special.get(character, character) for character in words)
