"""Score every model of params.yaml from its logits: no GPU, no image, seconds.

Writes reports/scores.json (all numbers), scores.csv (one line a model and cell), metrics.json (the main table, for
``dvc metrics diff``) and plots/ (for ``dvc plots diff``). A missing or foreign logit file is an error that names it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring import metrics
from benchmark.scoring.aggregation import Collections, Groups, Outcomes, comparisons, summary
from benchmark.scoring.counts import Outcome, data_set, outcome
from corruptions import SEVERITIES
from pipeline import datasets, manifest
from pipeline.cell import CLEAN, cells_of
from pipeline.config import Benchmark, home, read_config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.checksums import labels_checksum
from pipeline.io.records import write_json
from pipeline.manifest import CleanManifest
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.progress import progress

SEED = 0
"""Of the bootstrap samples and sign flips: the same logits give the same numbers."""

FLIPS = 2000
IN_METRICS = (
    "clean_error",
    "corrupted_error",
    "gap",
    "mce",
    "mce_pooled",
    "relative_mce",
    "auroc_clean",
    "auroc_corrupted",
)
"""Lines of the main table that go into metrics.json."""


def score(root: Path | str = ".") -> dict[str, Any]:
    """Score all models of the workspace `root` and return what scores.json holds; UserError names what is wrong."""
    workspace = Workspace(root)
    config = read_config(workspace)
    chosen, collections = config.benchmark, config.collections
    names = [name for group in collections.values() for name in group]
    homes = {name: home(config, workspace, name) for name in names}
    facts = {name: manifest.read_clean(homes[name], name) for name in names}
    for name in names:
        facts[name].split(chosen.split)
    _check_grid(
        workspace, chosen, {n: [c.name for c in cells_of(n, chosen.split, facts[n].corruption_names)] for n in names}
    )
    records = {model: _record(workspace, model) for model in chosen.models}
    outcomes: dict[str, dict[str, Outcome]] = {model: {} for model in chosen.models}
    audit: dict[str, dict[str, Any]] = {model: {} for model in chosen.models if model not in chosen.tuned}
    for place, name in enumerate(progress(names, desc="score", unit="data set")):
        count = facts[name].split(chosen.split).count
        counts = metrics.bootstrap_counts(count, chosen.bootstrap, (SEED, place))
        for model in chosen.models:
            logits, labels = _read(workspace, model, name, chosen.split, facts[name], records[model])
            outcomes[model][name] = outcome(logits, facts[name].corruption_names, labels, counts)
            if model in audit:
                audit[model][name] = label_order(logits, labels, name, tuple(facts[name].class_names))
    base = outcomes[chosen.baseline]
    groups = {"trained": chosen.trained, "held_out": chosen.held_out}
    return {
        "baseline": chosen.baseline,
        "collections": {key: list(value) for key, value in collections.items()},
        "comparisons": comparisons(outcomes, collections, samples=FLIPS, seed=SEED),
        "corruptions": list(dict.fromkeys(c for name in names for c in facts[name].corruption_names)),
        "data_sets": {name: _facts(facts[name], chosen.split) for name in names},
        "held_out": list(chosen.held_out),
        "intervals": {"kind": "paired percentile bootstrap over images", "level": 0.95, "samples": chosen.bootstrap},
        "label_order": audit,
        "models": {
            model: {
                "record": records[model],
                "summary": _lines(outcomes[model], base, collections, groups),
                "collections": _apart(outcomes[model], base, collections, groups),
                "data_sets": {
                    name: data_set(outcomes[model][name], base[name], tuple(facts[name].class_names)) for name in names
                },
            }
            for model in chosen.models
        },
        "severities": list(SEVERITIES),
        "split": chosen.split,
        "build": _build(homes.values()),
    }


def _lines(own: Outcomes, base: Outcomes, collections: Collections, groups: Groups) -> dict[str, Any]:
    """Return the main table's lines, those of `groups` of corruptions apart if there are some of each."""
    there = {c for names in collections.values() for name in names for c in own[name].corruptions}
    return summary(own, base, collections, groups if all(there & set(g) for g in groups.values()) else {})


def _apart(own: Outcomes, base: Outcomes, collections: Collections, groups: Groups) -> dict[str, Any]:
    """Return the main table's lines of each collection alone, if there are several."""
    if len(collections) == 1:
        return {}
    made = {}
    for collection, names in collections.items():
        mine, theirs = ({name: every[name] for name in names} for every in (own, base))
        made[collection] = _lines(mine, theirs, {collection: names}, groups)
    return made


def _build(homes: Iterable[Workspace]) -> str:
    """Return the checksum of the manifests of this workspace, or of all that are scored together."""
    builds = [manifest.build_checksum(home) for home in {home.root: home for home in homes}.values()]
    return builds[0] if len(builds) == 1 else hashlib.sha256("".join(builds).encode()).hexdigest()


def _check_grid(workspace: Workspace, chosen: Benchmark, needed: Mapping[str, Sequence[str]]) -> None:
    """Raise UserError naming the cells without logits: a hole is never averaged over."""
    for model in chosen.models:
        found = {
            name: [c for c in cells if (workspace.predictions(model) / name / chosen.split / f"{c}.npz").is_file()]
            for name, cells in needed.items()
        }
        holes = metrics.missing_cells(found, needed)
        if holes:
            more = f" and {len(holes) - 5} more" if len(holes) > 5 else ""
            raise UserError(
                f"{model} has no logits for {', '.join(holes[:5])}{more} ({chosen.split}); run"
                f" `python -m benchmark.predict --model {model}`"
            )


def _read(
    workspace: Workspace, model: str, name: str, split: str, facts: CleanManifest, record: Mapping[str, Any]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Read all cells' logits of a data set, each checked against its clean images' manifest and the model's record.

    The record names one set of weights, so no model is scored on a mixture of several.
    """
    expected = facts.split(split)
    logits = {}
    for cell in cells_of(name, split, facts.corruption_names):
        path = workspace.logits(model, cell)
        try:
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
                values, labels, indices = archive["logits"], archive["labels"], archive["indices"]
                weights = str(archive["weights"])
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as broken:
            raise UserError(f"{path} is not a whole file of logits ({broken}); delete it and predict again") from None
        if weights != record.get("weights_sha256"):
            raise UserError(
                f"{path} was predicted with other weights than {workspace.prediction_record(model)} names; run"
                f" `python -m benchmark.predict --model {model}`, which predicts anew what has other weights"
            )
        shape = (expected.count, len(facts.class_names))
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise UserError(f"{path}: logits must be finite float32 {shape}, not {values.dtype} {values.shape}")
        if not np.array_equal(indices, np.arange(shape[0])):
            raise UserError(f"{path}: indices must be 0 to {shape[0] - 1} in order")
        if labels_checksum(labels) != expected.labels:
            raise UserError(f"{path}: labels are not those of manifests/{name}/clean.json; predict again")
        logits[cell.name] = values
    return logits, labels


def label_order(
    logits: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], name: str, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return the accuracy of zero-shot logits with the right class order, and with RobustMedCLIP's (cards/*.yaml).

    ``theirs`` is None where the class names are not MedIMeta's own.
    """

    def accuracies(order: Sequence[int]) -> dict[str, float]:
        by_cell = {c: metrics.accuracy(values[:, order].argmax(axis=1), labels) for c, values in logits.items()}
        return {"clean": by_cell[CLEAN], "corrupted": float(np.mean([by_cell[c] for c in by_cell if c != CLEAN]))}

    own = accuracies(range(len(class_names)))
    order = datasets.card(name).robustmedclip_order if name in datasets.DATASETS else ()
    if sorted(order) != sorted(class_names):
        return {"own": own, "theirs": None, "order": None}
    return {"own": own, "theirs": accuracies([class_names.index(n) for n in order]), "order": list(order)}


def _record(workspace: Workspace, model: str) -> dict[str, Any]:
    path = workspace.prediction_record(model)
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"no {path}: run `python -m benchmark.predict --model {model}`") from None
    except ValueError as broken:
        raise UserError(f"{path} is not JSON ({broken}); predict again") from None
    return record


def _facts(facts: CleanManifest, split: str) -> dict[str, Any]:
    kept = facts.model_dump(mode="json", include={"source", "seed", "class_names", "native_channels"})
    return {**kept, **facts.split(split).model_dump(mode="json", exclude_unset=True)}


def plain(value: Any) -> Any:
    """Return `value` as JSON knows it: arrays as lists, NaN as null, fractions to nine digits."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, 9) if np.isfinite(value) else None
    return value


def write(workspace: Workspace, scores: Mapping[str, Any]) -> None:
    """Write the files that hold `scores`, scores.json last."""
    rows = list(_rows(scores))
    _write_csv(workspace.reports / "scores.csv", rows)
    plots = workspace.reports / "plots"
    _write_csv(plots / "severity.csv", _severity_rows(scores))
    _write_csv(plots / "mce.csv", _mce_rows(scores))
    main = {
        model: _main(found["summary"]) | {name: _main(lines) for name, lines in found["collections"].items()}
        for model, found in scores["models"].items()
    }
    write_json(workspace.reports / "metrics.json", main)
    write_json(workspace.scores, plain(scores))


def _main(lines: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(lines[name]["value"]) for name in IN_METRICS}


def _rows(scores: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """One line a model, data set and cell."""
    for model, found in scores["models"].items():
        for name, one in found["data_sets"].items():
            clean = one["clean"]
            yield _row(model, name, CLEAN, 0, clean["error"], clean["balanced_error"], clean["auroc"], clean["ece"])
            for corruption, cells in one["corruptions"].items():
                columns = zip(cells["errors"], cells["balanced_errors"], cells["auroc"], cells["ece"], strict=True)
                for severity, values in zip(SEVERITIES, columns, strict=True):
                    yield _row(model, name, corruption, severity, *values)


def _row(model: str, name: str, corruption: str, severity: int, *values: float) -> dict[str, Any]:
    numbers = dict(zip(("error", "balanced_error", "auroc", "ece"), (f"{v:.6f}" for v in values), strict=True))
    return {"model": model, "dataset": name, "corruption": corruption, "severity": severity, **numbers}


def _severity_rows(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean error, percent, over corruptions, data sets, then collections: a row a severity, and a column a model."""
    rows: list[dict[str, Any]] = [{"severity": severity} for severity in (0, *SEVERITIES)]
    for model, found in scores["models"].items():
        curves = {
            name: [one["clean"]["error"], *np.mean([c["errors"] for c in one["corruptions"].values()], axis=0)]
            for name, one in found["data_sets"].items()
        }
        mean = np.mean(
            [np.mean([curves[n] for n in names], axis=0) for names in scores["collections"].values()], axis=0
        )
        for row, error in zip(rows, mean, strict=True):
            row[model] = f"{100 * error:.4f}"
    return rows


def _mce_rows(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean CE over the data sets that have a corruption: one bar a model and corruption."""
    rows = []
    for model, found in scores["models"].items():
        for c in scores["corruptions"]:
            sets = {name: one["corruptions"] for name, one in found["data_sets"].items() if c in one["corruptions"]}
            mean = metrics.named_mean({name: of[c]["ce"] for name, of in sets.items()})
            rows.append({"model": model, "corruption": c, "ce": f"{mean.value:.4f}"})
    return rows


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as handle:
        handle.write(text.getvalue().encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = command_line.parser(__doc__).parse_args(argv)

    def work() -> None:
        scores = score(given.root)
        write(Workspace(given.root), scores)
        for model, found in scores["models"].items():
            line = {name: found["summary"][name]["value"] for name in ("clean_error", "mce", "relative_mce", "gap")}
            print(f"{model:24}" + "  ".join(f"{name} {value:6.1f}" for name, value in line.items()))

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
