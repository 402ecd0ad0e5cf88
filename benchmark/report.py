"""Turn reports/scores.json into a report: one HTML page that needs no network, Markdown, LaTeX and CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.reporting import documents, provenance, sections, svg, tables
from benchmark.reporting.examples import SEVERITY, examples
from benchmark.reporting.sections import Scores
from pipeline import datasets
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.paths import Workspace
from pipeline.run import command_line

TEMPLATES = Path(__file__).parent / "reporting" / "templates"


def report(root: Path | str) -> Path:
    """Write the report of a workspace that is scored, and return the page's path."""
    workspace = Workspace(root)
    try:
        scores = json.loads(workspace.scores.read_text())
    except FileNotFoundError:
        raise UserError(f"no {workspace.scores}: run `python -m benchmark.score` first") from None
    tiles = examples(root, list(scores["models"]), scores["split"], sections.own_corruptions(scores))
    columns = (*tables.MAIN, *tables.present(scores["models"], tables.MORE))
    files = {
        "index.html": page(scores, tiles),
        "report.md": documents.text(scores),
        "report.tex": documents.latex(scores),
        "report.csv": tables.comma_separated(sections.summaries(scores), columns),
    }
    for name, content in files.items():
        with atomic_write(workspace.reports / name) as handle:
            handle.write(content.encode())
    return workspace.reports / "index.html"


def page(scores: Scores, shown: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML page; everything that it shows is in it."""
    models = scores["models"]
    columns = [*tables.MAIN, *tables.present(models, tables.MORE)]
    titles = {name: found["record"]["model"].get("title", name) for name, found in models.items()}
    groups = [
        (f"{title}{f', {collection}' if collection else ''}", columns, tables.cells(found, columns))
        for collection, found in sections.summaries(scores).items()
        for title, columns in (("Scores", tables.MAIN), ("More scores", tables.present(found, tables.MORE)))
    ]
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
        groups=groups,
        columns=columns,
        left_out=documents.left_out(scores),
        phantom=any(facts["source"] == "phantom" for facts in scores["data_sets"].values()),
        images=sum(facts["count"] for facts in scores["data_sets"].values()),
        forest=sections.forest(scores, titles),
        grids=[
            (
                grid.title,
                sections.heat_maps(scores, grid),
                sections.curves(scores, titles, grid),
                sections.radars(scores, titles, grid),
            )
            for grid in sections.grids(scores)
        ],
        error_top=f"{sections.error_top(scores):g}",
        calibration=sections.calibration(scores),
        details=sections.details(scores, titles),
        examples=shown,
        severity=SEVERITY,
        audit=sections.audit(scores),
        order_source=datasets.card(datasets.DATASETS[0]).robustmedclip_source,
        provenance={name: provenance.model(found["record"]) for name, found in models.items()},
        prompts=provenance.prompts(models[scores["baseline"]]["record"]),
        number=tables.number,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = command_line.parser(__doc__).parse_args(argv)
    return command_line.run(lambda: print(f"wrote {report(given.root)} and the same in Markdown, LaTeX and CSV"))


if __name__ == "__main__":
    sys.exit(main())
