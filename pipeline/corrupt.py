"""Corrupt one data set's released splits with one corruption: ten npz files and their manifest.

Reads data/MediMeta-C/<dataset>/<val|test>/clean.npz and writes <corruption>_severity_<1..5>.npz beside each. The
bytes depend on nothing but the clean images, the severity table and params.yaml: not on workers, batch or machine.
`dvc repro` runs this for every data set and corruption; --all does so without DVC, here or on a dask cluster, and then
what `pipeline.extend` does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from corruptions.spec import CORRUPTIONS, EVERY
from pipeline.config.params import read_config
from pipeline.generation import options
from pipeline.generation.cells import corrupt
from pipeline.generation.tasks import corrupt_all, extend
from pipeline.run import command_line
from pipeline.workspace.paths import Workspace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--dataset", help="one of params.yaml's data sets")
    parser.add_argument("--corruption", choices=EVERY, metavar="NAME", help="of the table")
    parser.add_argument("--all", action="store_true", help="every data set under every corruption")
    options.add(parser)
    args = parser.parse_args(argv)
    if (bool(args.dataset), bool(args.corruption)) != (not args.all,) * 2:
        parser.error("name both --dataset and --corruption, or only --all")

    def run() -> None:
        workspace = Workspace(args.root.resolve())
        execution = options.execution(parser, args, is_many=args.all)
        config = read_config(workspace)
        if not args.all:
            corrupt(workspace, args.dataset, args.corruption, config, execution)
            return
        seven = [(dataset, corruption) for dataset in config.datasets for corruption in CORRUPTIONS]
        corrupt_all(workspace, config, seven, execution, scheduler=args.scheduler)
        if any(map(config.extended, config.datasets)) or workspace.extended.exists():
            extend(workspace, config, execution, scheduler=args.scheduler)

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())
