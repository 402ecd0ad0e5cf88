"""Turn the scores into a report: one HTML page that needs no network, Markdown, LaTeX and CSV, and figures as PDF."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.run import command_line
from pipeline.workspace.paths import Workspace


def report(workspace: Workspace) -> Path:
    """Write the report of a workspace that is scored, and return the page's path."""
    from benchmark.reporting import documents, tables  # drawing takes a while to import, and `--help` needs none
    from benchmark.reporting.content import Content
    from benchmark.reporting.distances import distances, frame
    from benchmark.reporting.examples import examples
    from benchmark.scoring import files
    from pipeline.io.atomic import atomic_folder, atomic_write

    scores = files.read_scores(workspace)
    apart = distances(workspace, scores)
    content = Content(scores, files.read_cube(workspace, scores), examples(workspace, scores), apart)
    with atomic_folder(workspace.reports / "figures") as folder:
        for drawing in content.drawings:
            (folder / f"{drawing.name}.pdf").write_bytes(drawing.pdf)
    forms = {"report.md": documents.markdown, "report.tex": documents.latex, "index.html": documents.html}
    for name, document in forms.items():
        with atomic_write(workspace.reports / name) as handle:
            handle.write(document(content).encode())
    files.write_csv(workspace.reports / "report.csv", tables.frame(scores))
    files.write_csv(workspace.reports / "distances.csv", frame(apart))
    return workspace.reports / "index.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = command_line.parser(__doc__).parse_args(argv)
    said = "wrote {}, the same in Markdown, LaTeX and CSV, and its figures as PDF"
    return command_line.run(lambda: print(said.format(report(Workspace(args.root)))))


if __name__ == "__main__":
    sys.exit(main())
