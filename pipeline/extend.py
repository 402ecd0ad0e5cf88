"""Bring data/MediMeta-C-extended to what corruption_set of params.yaml adds to the seven corruptions.

A corruption of a data set is made anew only if what its bytes depend on has changed, as the keys in manifests/
MediMeta-C-extended/built.json say, or if a file of it is not what its manifest says. What is no longer chosen is
removed. Runs here or on a dask cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.config.params import read_config
from pipeline.generation import options
from pipeline.generation.tasks import extend
from pipeline.run import command_line
from pipeline.workspace.paths import Workspace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    options.add(parser)
    args = parser.parse_args(argv)

    def run() -> None:
        workspace = Workspace(args.root.resolve())
        execution = options.execution(parser, args)
        extend(workspace, read_config(workspace), execution, scheduler=args.scheduler)

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())
