"""Score all models of a workspace: from the files of logits to the cube and the record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from benchmark.prediction.records import PredictionRecord
from benchmark.scoring import metrics
from benchmark.scoring.aggregation import by_collection, summarise
from benchmark.scoring.comparisons import compare
from benchmark.scoring.cube import combine
from benchmark.scoring.cube import core as core_of
from benchmark.scoring.measure import Measurement, check_complete, measure, read_predictions
from benchmark.scoring.published import read_published
from benchmark.scoring.records import Grid, Intervals, ModelScores, ScoredDataset, ScoresRecord, settings_of
from corruptions.spec import EXTENDED
from pipeline.config.benchmark import Benchmark
from pipeline.config.params import Config, home, home_config, read_config, scored_corruptions
from pipeline.errors import UserError
from pipeline.run.progress import progress
from pipeline.workspace import datasets, manifest
from pipeline.workspace.manifest import CleanManifest
from pipeline.workspace.paths import Workspace

SEED = 0
"""Of the bootstrap samples and sign flips: the same logits give the same numbers."""

Measured = Mapping[str, Mapping[str, Measurement]]
"""By model and data set."""


def evaluate(workspace: Workspace) -> tuple[ScoresRecord, xr.Dataset]:
    """Score all models of a workspace; return what scores.json holds, and the cube with its bootstrap samples.

    Raises:
        UserError: a file is missing, not whole, or not what its manifest or record says.
    """
    config = read_config(workspace)
    plan = config.benchmark
    homes = {name: home(config, workspace, name) for name in config.scored_datasets}
    manifests = {name: manifest.read_clean(where, name) for name, where in homes.items()}
    for name, clean in manifests.items():
        if not clean.split(plan.split).count:
            raise UserError(f"{name} has no images in {plan.split}, so there is nothing to score; leave it out")
    corruptions = {name: scored_corruptions(config, workspace, clean) for name, clean in manifests.items()}
    _check_held_out(plan, corruptions)
    built_by = {name: home_config(config, workspace, clean) for name, clean in manifests.items()}
    extended = {name: built.extended(name) if built else () for name, built in built_by.items()}
    chosen = {name: built.chosen(name) if built else () for name, built in built_by.items()}
    published = None
    if plan.baseline not in plan.models:
        core = {name: tuple(c for c in corruptions[name] if c not in extended[name]) for name in manifests}
        published = read_published(workspace.root / plan.baseline, core, chosen)
    for model in plan.models:
        check_complete(workspace, model, corruptions, plan.split)
    records = {model: PredictionRecord.read(workspace, model) for model in plan.models}
    measured = _measure_all(workspace, plan, manifests, records, corruptions, extended)
    grid = Grid(
        baseline=plan.baseline,
        **({} if published is None else {"published": published}),
        settings=settings_of(plan),
        datasets={
            name: ScoredDataset.of(
                clean,
                plan.split,
                measured[plan.models[0]][name].per_class,
                corruptions=corruptions[name],
                extended=extended[name],
                chosen=chosen[name],
            )
            for name, clean in manifests.items()
        },
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
                collections={name: by_model[model] for name, by_model in collections.items()},
                datasets={name: one.details for name, one in measured[model].items()},
                label_order={name: one.label_order for name, one in measured[model].items() if model not in plan.tuned},
            )
            for model in plan.models
        },
        comparisons=compare(core_of(cube), right, seed=SEED),
        intervals=Intervals(kind="paired percentile bootstrap over images", level=0.95, samples=plan.bootstrap),
        build=_build(workspace, config, homes),
    )
    return scores, cube


def _check_held_out(plan: Benchmark, corruptions: Mapping[str, Sequence[str]]) -> None:
    """Raise UserError for a corruption of the extended set that is to count as held out and is nowhere scored."""
    for name in plan.held_out:
        if name in EXTENDED and not any(name in scored for scored in corruptions.values()):
            raise UserError(
                f"params.yaml: benchmark.held_out has {name}, which no data set that is scored has: corruption_set must"
                " add it to one, or held_out leave it out"
            )


def _measure_all(
    workspace: Workspace,
    plan: Benchmark,
    manifests: Mapping[str, CleanManifest],
    records: Mapping[str, PredictionRecord],
    corruptions: Mapping[str, Sequence[str]],
    extended: Mapping[str, Sequence[str]],
) -> Measured:
    """Measure every model on every data set; all models of a data set share its bootstrap samples."""
    measured: dict[str, dict[str, Measurement]] = {model: {} for model in plan.models}
    for number, (name, clean) in enumerate(progress(manifests.items(), desc="score", unit="data set")):
        counts = metrics.bootstrap_counts(clean.split(plan.split).count, plan.bootstrap, (SEED, number))
        card = datasets.card_from(name, clean.source)
        order = card.robustmedclip_order if card else ()
        for model in plan.models:
            weights = records[model].weights_sha256
            logits, labels = read_predictions(workspace, model, clean, corruptions[name], plan.split, weights=weights)
            measured[model][name] = measure(
                logits,
                labels,
                counts,
                corruptions[name],
                clean.class_names,
                extended=extended[name],
                columns=prompted.class_names if (prompted := records[model].prompts.get(name)) else None,
                other_order=order,
            )
    return measured


def _build(workspace: Workspace, config: Config, homes: Mapping[str, Workspace]) -> str:
    """Return the checksum of the manifests of this workspace's data sets, or of all that are scored together."""
    names: dict[Path, list[str]] = {}
    for name, where in homes.items():
        names.setdefault(where.root, []).append(name)
    builds = [
        manifest.build_checksum(Workspace(root), config.datasets if root == workspace.root else scored)
        for root, scored in names.items()
    ]
    return builds[0] if len(builds) == 1 else hashlib.sha256("".join(builds).encode()).hexdigest()
