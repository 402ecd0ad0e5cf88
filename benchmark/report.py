"""Turn reports/scores.json into a report: one HTML page that needs no network, Markdown, LaTeX and CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark import figures, metrics, svg, tables
from benchmark.examples import SEVERITY, examples
from benchmark.figures import Interval
from benchmark.places import Places
from pipeline import UserError, cards, stage
from pipeline.layout import Layout
from pipeline.settings import settings
from pipeline.whole import whole

Scores = Mapping[str, Any]
TEMPLATES = Path(__file__).parent / "templates"


def report(root: Path | str) -> Path:
    """Write the report of a workspace that is scored, and return the page's path."""
    layout, places = Layout(root), Places(root)
    try:
        scores = json.loads(places.scores.read_text())
    except FileNotFoundError:
        raise UserError(f"no {places.scores}: run `python -m benchmark.score` first") from None
    shown = examples(layout, places, settings(root), list(scores["models"]), scores["split"], list(scores["data_sets"]))
    files = {
        "index.html": page(scores, shown),
        "report.md": text(scores),
        "report.tex": latex(scores),
        "report.csv": _main_table(scores, tables.comma_separated),
    }
    for name, content in files.items():
        with whole(places.reports / name) as handle:
            handle.write(content.encode())
    return places.reports / "index.html"


def page(scores: Scores, shown: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML page; everything that it shows is in it."""
    models = scores["models"]
    titles = {name: found["record"]["model"].get("title", name) for name, found in models.items()}
    groups = [("Scores", tables.MAIN), ("More scores", tables.present(models, tables.MORE))]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        scores=scores,
        titles=titles,
        colours={name: svg.SERIES[k % len(svg.SERIES)] for k, name in enumerate(models)},
        groups=[(title, columns, tables.cells(models, columns)) for title, columns in groups],
        left_out=_left_out(scores),
        phantom=any(facts["source"] == "phantom" for facts in scores["data_sets"].values()),
        images=sum(facts["count"] for facts in scores["data_sets"].values()),
        forest=_forest(scores, titles),
        heat_maps=_heat_maps(scores),
        curves=_curves(scores, titles),
        radars=_radars(scores, titles),
        calibration=_calibration(scores),
        details=_details(scores, titles),
        examples=shown,
        severity=SEVERITY,
        audit=_audit(scores),
        order_source=cards.card(cards.DATASETS[0]).robustmedclip_source,
    )


def _left_out(scores: Scores) -> dict[str, list[str]]:
    """Return which ratios are undefined for want of a baseline error, by line of the table; the same for all models."""
    first = next(iter(scores["models"].values()))["summary"]
    wanted = {column.key: column.title for column in (*tables.MAIN, *tables.MORE)}
    return {wanted[key]: line["left_out"] for key, line in first.items() if key in wanted and line.get("left_out")}


def _forest(scores: Scores, titles: Mapping[str, str]) -> dict[str, str]:
    drawn = {}
    for key, title in (
        ("mce", "mCE"),
        ("mce_held_out", "mCE on held-out corruptions"),
        ("clean_error", "Clean error, %"),
    ):
        found = {titles[name]: one["summary"].get(key) for name, one in scores["models"].items()}
        if all(found.values()):
            lines = {name: Interval(line["value"], line["low"], line["high"]) for name, line in found.items()}
            mark = 100.0 if key != "clean_error" else 0.0
            drawn[title] = figures.forest(lines, mark=mark, label=f"{title} with 95 % intervals")
    return drawn


def _heat_maps(scores: Scores) -> dict[str, str]:
    rows = list(scores["data_sets"])
    grids = {
        model: [
            [100 * float(np.mean(found["data_sets"][d]["corruptions"][c]["errors"])) for c in scores["corruptions"]]
            for d in rows
        ]
        for model, found in scores["models"].items()
    }
    top = svg.nice_ceiling(max(value for grid in grids.values() for row in grid for value in row))
    columns = [c.replace("_", " ") for c in scores["corruptions"]]
    return {m: figures.heat_map(rows, columns, g, top=top, label=f"Error of {m}, percent") for m, g in grids.items()}


def _curves(scores: Scores, titles: Mapping[str, str]) -> str:
    panels: dict[str, dict[str, list[float]]] = {}
    for corruption in scores["corruptions"]:
        note = " (held out)" if corruption in scores["held_out"] else ""
        lines = {}
        for model, found in scores["models"].items():
            sets = found["data_sets"].values()
            by_severity = np.mean([one["corruptions"][corruption]["errors"] for one in sets], axis=0)
            lines[titles[model]] = [100 * float(np.mean([one["clean"]["error"] for one in sets])), *(100 * by_severity)]
        panels[corruption.replace("_", " ") + note] = lines
    top = svg.nice_ceiling(
        max(e for lines in panels.values() for line in lines.values() for e in line), steps=(1, 2, 4, 6, 8, 10)
    )
    return figures.curves(panels, top=top, label="Error by severity, mean over data sets")


def _radars(scores: Scores, titles: Mapping[str, str]) -> dict[str, str]:
    sets, names = list(scores["data_sets"]), scores["corruptions"]

    def accuracy(found: Mapping[str, Any], chosen: Sequence[str], corruptions: Sequence[str]) -> float:
        errors = [found["data_sets"][d]["corruptions"][c]["errors"] for d in chosen for c in corruptions]
        return 100 * (1 - float(np.mean(errors)))

    by_set = {titles[m]: [accuracy(f, [d], names) for d in sets] for m, f in scores["models"].items()}
    by_name = {titles[m]: [accuracy(f, sets, [c]) for c in names] for m, f in scores["models"].items()}
    words = [c.replace("_", " ") for c in names]
    return {
        "Corrupted accuracy by data set, %": figures.radar(sets, by_set, label="Accuracy by data set"),
        "Corrupted accuracy by corruption, %": figures.radar(words, by_name, label="Accuracy by corruption"),
    }


def _calibration(scores: Scores) -> dict[str, str]:
    """One reliability diagram a model, all data sets together."""
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
        drawn[model] = figures.reliability(kinds, label=f"Calibration of {model}")
    return drawn


def _details(scores: Scores, titles: Mapping[str, str]) -> list[dict[str, Any]]:
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
        title = cards.card(name).title if name in cards.DATASETS else name
        bars = figures.recall_bars(classes, recall, label=f"Recall by class, {name}")
        made.append({"dataset": name, "title": title, "facts": facts, "recall": bars, "confusion": matrices})
    return made


def _audit(scores: Scores) -> list[dict[str, Any]]:
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


def _main_rows(scores: Scores, columns: Sequence[tables.Column], *, bold: bool) -> list[list[str]]:
    rows = []
    for name, found in tables.cells(scores["models"], columns).items():
        words = []
        for cell in found:
            value = f"**{cell.value}**" if bold and cell.best else cell.value
            words.append(f"{value} ({cell.interval})" if cell.interval else value)
        rows.append([scores["models"][name]["record"]["model"].get("title", name), *words])
    return rows


def _main_table(scores: Scores, write: Any) -> str:
    header = ["Model", *(f"{column.title} ({column.unit})" for column in tables.MAIN)]
    made: str = write(header, _main_rows(scores, tables.MAIN, bold=write is not tables.comma_separated))
    return made


def text(scores: Scores) -> str:
    """Return the tables as Markdown."""
    more = tables.present(scores["models"], tables.MORE)
    names = [c.replace("_", " ") for c in scores["corruptions"]]
    by_corruption = []
    for model, found in scores["models"].items():
        means = [
            metrics.named_mean({d: _number(one["corruptions"][c]["ce"]) for d, one in found["data_sets"].items()}).value
            for c in scores["corruptions"]
        ]
        by_corruption.append([model, *("–" if np.isnan(mean) else f"{mean:.1f}" for mean in means)])
    comparisons = [
        [
            line["first"],
            line["second"],
            line["images"],
            f"{line['difference']:+.1f}",
            f"{line['p']:.4f}",
            f"{line['p_holm']:.4f}",
        ]
        for line in scores["comparisons"]
    ]
    parts = [
        "# Scores\n",
        f"Split {scores['split']}, baseline {scores['baseline']}, build {scores['build'][:12]};"
        f" 95 % intervals by paired bootstrap over images ({scores['intervals']['samples']} samples).\n",
        _main_table(scores, tables.markdown),
        tables.markdown(["Model", *(f"{c.title} ({c.unit})" for c in more)], _main_rows(scores, more, bold=True)),
        "## CE by corruption, mean over data sets\n",
        tables.markdown(["Model", *names], by_corruption),
        "## Paired comparisons\n",
        "Accuracy of the first minus the second model, points; p by random sign flips, corrected by Holm.\n",
        tables.markdown(["First", "Second", "Images", "Difference", "p", "p (Holm)"], comparisons),
    ]
    parts += [
        f"Left out of {title} for want of a baseline error: {', '.join(n)}.\n" for title, n in _left_out(scores).items()
    ]
    return "\n".join(parts)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def latex(scores: Scores) -> str:
    """Return the main table in LaTeX, with booktabs."""
    caption = (
        f"Scores on the {scores['split']} split; mCE in percent of {scores['baseline']}; in parentheses 95 % intervals"
        " by paired bootstrap over images."
    )
    header = ["Model", *(column.title for column in tables.MAIN)]
    return tables.latex(header, _main_rows(scores, tables.MAIN, bold=True), caption=caption, label="tab:medimeta-c")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = stage.parser(__doc__).parse_args(argv)
    return stage.run(lambda: print(f"wrote {report(given.root)} and the same in Markdown, LaTeX and CSV"))


if __name__ == "__main__":
    sys.exit(main())
