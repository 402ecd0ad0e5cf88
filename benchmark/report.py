"""Turn the scores into a report: one HTML page that needs no network, Markdown, LaTeX and CSV, and figures as PDF."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.paths import Workspace
from pipeline.run import command_line


def report(workspace: Workspace) -> Path:
    """Write the report of a workspace that is scored, and return the page's path."""
    from benchmark.reporting import documents, tables  # drawing takes a while to import, and `--help` needs none
    from benchmark.reporting.content import Content
    from benchmark.reporting.examples import examples
    from benchmark.scoring import files
    from pipeline.io.atomic import atomic_write

    scores = files.read_scores(workspace)
    content = Content(scores, files.read_cube(workspace, scores), examples(workspace, scores))
    written = {f"figures/{drawing.name}.pdf": drawing.pdf for drawing in content.drawings}
    written["report.md"] = documents.markdown(content).encode()
    written["report.tex"] = documents.latex(content).encode()
    written["index.html"] = documents.html(content).encode()
    for name, value in written.items():
        with atomic_write(workspace.reports / name) as handle:
            handle.write(value)
    files.write_csv(workspace.reports / "report.csv", tables.frame(scores))
    return workspace.reports / "index.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = command_line.parser(__doc__).parse_args(argv)
    return command_line.run(
        lambda: print(
            f"wrote {report(Workspace(args.root))}, the same in Markdown, LaTeX and CSV, and its figures as PDF"
        )
    )


if __name__ == "__main__":
    sys.exit(main())
