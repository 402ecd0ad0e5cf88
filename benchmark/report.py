"""Turn reports/scores.json into a report: one HTML page that needs no network, Markdown, LaTeX and CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark import panels, provenance, svg, tables, written
from benchmark.examples import SEVERITY, examples
from benchmark.panels import Scores
from benchmark.places import Places
from pipeline import UserError, cards, stage
from pipeline.whole import whole

TEMPLATES = Path(__file__).parent / "templates"


def report(root: Path | str) -> Path:
    """Write the report of a workspace that is scored, and return the page's path."""
    places = Places(root)
    try:
        scores = json.loads(places.scores.read_text())
    except FileNotFoundError:
        raise UserError(f"no {places.scores}: run `python -m benchmark.score` first") from None
    tiles = examples(root, list(scores["models"]), scores["split"], panels.own_corruptions(scores))
    columns = (*tables.MAIN, *tables.present(scores["models"], tables.MORE))
    files = {
        "index.html": page(scores, tiles),
        "report.md": written.text(scores),
        "report.tex": written.latex(scores),
        "report.csv": tables.comma_separated(panels.summaries(scores), columns),
    }
    for name, content in files.items():
        with whole(places.reports / name) as handle:
            handle.write(content.encode())
    return places.reports / "index.html"


def page(scores: Scores, shown: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML page; everything that it shows is in it."""
    models = scores["models"]
    columns = [*tables.MAIN, *tables.present(models, tables.MORE)]
    titles = {name: found["record"]["model"].get("title", name) for name, found in models.items()}
    groups = [
        (f"{title}{f', {collection}' if collection else ''}", columns, tables.cells(found, columns))
        for collection, found in panels.summaries(scores).items()
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
        left_out=written.left_out(scores),
        phantom=any(facts["source"] == "phantom" for facts in scores["data_sets"].values()),
        images=sum(facts["count"] for facts in scores["data_sets"].values()),
        forest=panels.forest(scores, titles),
        grids=[
            (
                grid.title,
                panels.heat_maps(scores, grid),
                panels.curves(scores, titles, grid),
                panels.radars(scores, titles, grid),
            )
            for grid in panels.grids(scores)
        ],
        error_top=f"{panels.error_top(scores):g}",
        calibration=panels.calibration(scores),
        details=panels.details(scores, titles),
        examples=shown,
        severity=SEVERITY,
        audit=panels.audit(scores),
        order_source=cards.card(cards.DATASETS[0]).robustmedclip_source,
        provenance={name: provenance.model(found["record"]) for name, found in models.items()},
        prompts=provenance.prompts(models[scores["baseline"]]["record"]),
        number=tables.number,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = stage.parser(__doc__).parse_args(argv)
    return stage.run(lambda: print(f"wrote {report(given.root)} and the same in Markdown, LaTeX and CSV"))


if __name__ == "__main__":
    sys.exit(main())
