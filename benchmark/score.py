"""Score every model of params.yaml from its logits: no GPU, no image, seconds.

Writes reports/scores.json, scores.parquet and scores.csv (one row a model, data set, corruption, severity and metric),
metrics.json (the main table, for ``dvc metrics diff``) and plots/ (for ``dvc plots diff``). A missing or foreign file
of logits is an error that names it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.run import command_line
from pipeline.text import printable
from pipeline.workspace.paths import Workspace

if TYPE_CHECKING:
    from benchmark.scoring.records import ScoreName, ScoresRecord

PRINTED: tuple[ScoreName, ...] = ("clean_error", "mce", "relative_mce", "gap")


def score(workspace: Workspace) -> ScoresRecord:
    """Score all models of a workspace and write the files of reports/; UserError names what is wrong."""
    from benchmark.scoring import evaluation, files  # xarray and pandas are slow to import, and --help is not

    scores, cube = evaluation.evaluate(workspace)
    files.write(workspace, scores, cube)
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = command_line.parser(__doc__).parse_args(argv)

    def work() -> None:
        scores = score(Workspace(args.root))
        width = 2 + max(22, *map(len, scores.models))
        for model, model_scores in scores.models.items():
            printed = ((name, model_scores.summary[name].value) for name in PRINTED)
            print(f"{model:{width}}" + "  ".join(f"{name} {'-' if v is None else f'{v:6.1f}'}" for name, v in printed))
        for name, dataset in scores.datasets.items():
            for metric, reason in dataset.undefined.items():
                print(f"{name} has no {metric}: {printable(reason)}")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
