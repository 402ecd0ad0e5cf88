"""Score every model of params.yaml from its logits: no GPU, no image, seconds.

Writes reports/scores.json, scores.parquet and scores.csv (one row a model, data set, corruption, severity and metric),
metrics.json (the main table, for ``dvc metrics diff``) and plots/ (for ``dvc plots diff``). A missing or foreign file
of logits is an error that names it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pipeline import datasets, manifest
from pipeline.config import home, read_config
from pipeline.errors import UserError
from pipeline.paths import Workspace
from pipeline.run import command_line

if TYPE_CHECKING:
    import xarray as xr

    from benchmark.scoring.measure import Measurement
    from benchmark.scoring.records import LabelOrder, ScoreName, ScoresRecord

SEED = 0
"""Of the bootstrap samples and sign flips: the same logits give the same numbers."""

PRINTED: tuple[ScoreName, ...] = ("clean_error", "mce", "relative_mce", "gap")


def score(workspace: Workspace) -> tuple[ScoresRecord, xr.Dataset]:
    """Score all models of a workspace; return what scores.json holds, and the cube with its bootstrap samples.

    Raises:
        UserError: a file is missing, not whole, or not what its manifest or record says.
    """
    # xarray and pandas take a second to import, for which --help need not wait.
    from benchmark.prediction.records import PredictionRecord
    from benchmark.scoring import metrics, predictions
    from benchmark.scoring.aggregation import by_collection, summarise
    from benchmark.scoring.comparisons import compare
    from benchmark.scoring.cube import combine
    from benchmark.scoring.measure import label_order, measure
    from benchmark.scoring.records import Grid, Intervals, ModelScores, ScoredDataset, ScoresRecord, settings_of

    config = read_config(workspace)
    plan = config.benchmark
    homes = {name: home(config, workspace, name) for name in config.scored_datasets}
    manifests = {name: manifest.read_clean(where, name) for name, where in homes.items()}
    for name, clean in manifests.items():
        if not clean.split(plan.split).count:
            raise UserError(f"{name} has no images in {plan.split}, so there is nothing to score; leave it out")
    for model in plan.models:
        predictions.check_complete(workspace, model, manifests, plan.split)
    records = {model: PredictionRecord.read(workspace, model) for model in plan.models}
    measured: dict[str, dict[str, Measurement]] = {model: {} for model in plan.models}
    orders: dict[str, dict[str, LabelOrder]] = {model: {} for model in plan.models}
    scored: dict[str, ScoredDataset] = {}
    for number, (name, clean) in enumerate(command_line.progress(manifests.items(), desc="score", unit="data set")):
        counts = metrics.bootstrap_counts(clean.split(plan.split).count, plan.bootstrap, (SEED, number))
        order = datasets.card(name).robustmedclip_order if name in datasets.DATASETS else ()
        for model in plan.models:
            weights = records[model].weights_sha256
            logits, labels = predictions.read_predictions(workspace, model, clean, plan.split, weights=weights)
            measured[model][name] = measure(logits, labels, counts, clean.corruption_names, clean.class_names)
            if model not in plan.tuned:
                orders[model][name] = label_order(logits, labels, clean.class_names, order)
        scored[name] = ScoredDataset.of(clean, plan.split, labels, modality=datasets.modality(name))
    grid = Grid(
        baseline=plan.baseline,
        settings=settings_of(plan),
        datasets=scored,
        collections=dict(config.collections),
        trained=plan.trained,
        held_out=plan.held_out,
        split=plan.split,
    )
    cube = combine({model: {n: m.scores for n, m in by_name.items()} for model, by_name in measured.items()}, grid)
    right = {model: {name: one.right for name, one in by_name.items()} for model, by_name in measured.items()}
    summaries, collections = summarise(cube, plan.baseline), by_collection(cube, plan.baseline)
    scores = ScoresRecord(
        **dict(grid),
        models={
            model: ModelScores(
                prediction=records[model],
                summary=summaries[model],
                collections={name: of_models[model] for name, of_models in collections.items()},
                datasets={name: one.details for name, one in measured[model].items()},
                label_order=orders[model],
            )
            for model in plan.models
        },
        comparisons=compare(cube, right, seed=SEED),
        intervals=Intervals(kind="paired percentile bootstrap over images", level=0.95, samples=plan.bootstrap),
        build=_build(homes.values()),
    )
    return scores, cube


def _build(homes: Iterable[Workspace]) -> str:
    """Return the checksum of the manifests of this workspace, or of all that are scored together."""
    builds = [manifest.build_checksum(home) for home in {home.root: home for home in homes}.values()]
    return builds[0] if len(builds) == 1 else hashlib.sha256("".join(builds).encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = command_line.parser(__doc__).parse_args(argv)

    def work() -> None:
        from benchmark.scoring import files

        workspace = Workspace(args.root)
        scores, cube = score(workspace)
        files.write(workspace, scores, cube)
        for model, found in scores.models.items():
            values = {name: found.summary[name].value for name in PRINTED}
            print(
                f"{model:24}" + "  ".join(f"{name} {'-' if v is None else f'{v:6.1f}'}" for name, v in values.items())
            )

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
