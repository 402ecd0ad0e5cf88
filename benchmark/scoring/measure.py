"""One model on one data set: from its files of logits to the metrics of every cell, in every bootstrap sample."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmark.prediction.logits import read_logits
from benchmark.scoring import metrics
from benchmark.scoring.metrics import Floats
from benchmark.scoring.records import Accuracies, DatasetScores, Images, LabelOrder, Recall, ReliabilityRecord
from corruptions.spec import SEVERITIES
from pipeline.errors import UserError
from pipeline.io.checksums import labels_checksum
from pipeline.workspace.cell import cells_of
from pipeline.workspace.manifest import CleanManifest
from pipeline.workspace.paths import Workspace

METRICS = ("error", "balanced_error", "auroc", "ece")
"""Of every cell, fractions; the same of the clean cell are called ``clean_error`` and so on."""

CellLogits = NDArray[np.float32]
"""Logits of all cells of a data set, (1 + C * V, N, K): clean, then by corruption and severity."""


@dataclass(frozen=True)
class Measurement:
    """What is known of one model on one data set.

    Attributes:
        scores: `METRICS` over (corruption, severity, sample), and the clean cell's over (sample,); ECE has no samples.
        right: float (N,), by image whether it is right, or in which fraction of the corrupted cells it is.
        details: what is kept beyond the metrics of the cells.
        label_order: what the class order of RobustMedCLIP's code would have given.
        per_class: number of images of each class.
    """

    scores: xr.Dataset
    right: dict[Images, Floats]
    details: DatasetScores
    label_order: LabelOrder
    per_class: tuple[int, ...]


def check_complete(workspace: Workspace, model: str, corruptions: Mapping[str, Sequence[str]], split: str) -> None:
    """Raise UserError naming the cells of which `model` has no logits: a hole is never averaged over.

    `corruptions` are those of each data set.
    """
    holes = [
        f"{cell.dataset}/{cell.name}"
        for dataset, names in corruptions.items()
        for cell in cells_of(dataset, split, names)
        if not workspace.logits(model, cell).is_file()
    ]
    if holes:
        more = f" and {len(holes) - 5} more" if len(holes) > 5 else ""
        raise UserError(
            f"{model} has no logits for {', '.join(holes[:5])}{more} ({split}); run"
            f" `python -m benchmark.predict --model {model}`"
        )


def read_predictions(
    workspace: Workspace, model: str, manifest: CleanManifest, corruptions: Sequence[str], split: str, *, weights: str
) -> tuple[CellLogits, NDArray[np.int64]]:
    """Read the logits of all cells of a data set, and its labels, int64 (N,).

    Args:
        workspace: that of the predictions.
        model: its name in params.yaml.
        manifest: of the data set's clean images.
        corruptions: of the data set.
        split: the one that is scored.
        weights: checksum that the model's record names, so that no model is scored on a mixture of several.

    Raises:
        UserError: a file is not whole, or of other weights, images or labels, or has logits that are no numbers.
    """
    remedy = f"run `python -m benchmark.predict --model {model}`"
    expected = manifest.split(split)
    shape = (expected.count, len(manifest.class_names))
    logits = []
    for cell in cells_of(manifest.dataset, split, corruptions):
        path = workspace.logits(model, cell)
        predicted = read_logits(path)
        values = predicted.logits
        if predicted.weights != weights:
            raise UserError(
                f"{path} was predicted with other weights than {workspace.prediction_record(model)} names; {remedy},"
                " which predicts anew what has other weights"
            )
        if values.shape != shape or values.dtype != np.float32:
            raise UserError(f"{path}: logits must be float32 {shape}, not {values.dtype} {values.shape}; {remedy}")
        if broken := np.count_nonzero(~np.isfinite(values)):
            raise UserError(
                f"{path}: {broken} of {values.size} logits are NaN or infinite; {model} or its weights are broken:"
                f" mend it, then {remedy}"
            )
        if not np.array_equal(predicted.indices, np.arange(shape[0])):
            raise UserError(f"{path}: indices must be 0 to {shape[0] - 1} in order; delete it and {remedy}")
        labels = predicted.labels
        if labels.dtype.kind not in "iu" or labels_checksum(labels) != expected.labels:
            raise UserError(f"{path}: labels are not those of manifests/{manifest.dataset}/clean.json; {remedy}")
        logits.append(values)
    return np.stack(logits), labels.astype(np.int64)


def measure(
    logits: CellLogits,
    labels: NDArray[np.int64],
    counts: NDArray[np.float32],
    corruptions: Sequence[str],
    class_names: Sequence[str],
    *,
    extended: Collection[str] = (),
    columns: Sequence[str] | None = None,
    other_order: Sequence[str] = (),
) -> Measurement:
    """Measure one model on one data set.

    Args:
        logits: of all its cells.
        labels: int64 (N,).
        counts: how often each image counts in each sample, float32 (S, N), from `metrics.bootstrap_counts`.
        corruptions: of the data set, in the order of the cells.
        class_names: in label order.
        extended: corruptions that are measured by cell and are in nothing that is summed over cells.
        columns: names that the logits' columns were prompted with, if not `class_names`.
        other_order: the same names as RobustMedCLIP's code orders them; nothing if it does not know the data set.
    """
    predictions = logits.argmax(axis=2)
    hits = predictions == labels
    probabilities = [metrics.softmax(cell) for cell in logits]
    curves = [metrics.reliability(cell, labels) for cell in probabilities]
    matrices = np.stack([metrics.confusion(cell, labels, len(class_names)) for cell in predictions])
    arrays = {
        "error": metrics.errors(hits, counts),
        "balanced_error": metrics.balanced_errors(hits, labels, counts),
        "auroc": np.stack([metrics.auroc(cell, labels, counts) for cell in probabilities]),
        "ece": np.array([metrics.ece(curve) for curve in curves]),
    }
    grid = len(corruptions), len(SEVERITIES)
    dims = "corruption", "severity", "sample"
    variables = {
        name: (dims[: values.ndim + 1], values[1:].reshape(grid + values.shape[1:])) for name, values in arrays.items()
    }
    clean = {f"clean_{name}": (dims[2 : values.ndim + 1], values[0]) for name, values in arrays.items()}
    coordinates = {"corruption": list(corruptions), "severity": list(SEVERITIES), "sample": range(len(counts))}
    is_core = np.repeat([True, *(name not in extended for name in corruptions)], [1, *[len(SEVERITIES)] * grid[0]])
    summed = np.flatnonzero(is_core)[1:]
    confusion: dict[Images, metrics.Ints] = {"clean": matrices[0], "corrupted": matrices[summed].sum(axis=0)}
    recall = zip(class_names, *(metrics.recalls(matrix) for matrix in confusion.values()), strict=True)
    return Measurement(
        xr.Dataset(variables | clean, coordinates),
        {"clean": hits[0].astype(np.float64), "corrupted": hits[summed].mean(axis=0)},
        DatasetScores(
            recall={name: Recall(clean=of_clean, corrupted=of_corrupted) for name, of_clean, of_corrupted in recall},
            confusion={images: tuple(map(tuple, matrix.tolist())) for images, matrix in confusion.items()},
            reliability={
                "clean": ReliabilityRecord.of(curves[0]),
                "corrupted": ReliabilityRecord.of(metrics.pooled([curves[cell] for cell in summed])),
            },
        ),
        label_order(logits[is_core], labels, class_names, other_order, columns=columns),
        tuple(matrices[0].sum(axis=1).tolist()),
    )


def label_order(
    logits: CellLogits,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    order: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
) -> LabelOrder:
    """Return the accuracies of zero-shot logits in the right class order, and in RobustMedCLIP's, `order`.

    `columns` has the class of each column of the logits, if that is not `class_names`.
    """
    prompted = class_names if columns is None or sorted(columns) != sorted(class_names) else columns

    def accuracies(names: Sequence[str]) -> Accuracies:
        positions = [prompted.index(name) for name in names] if names != prompted else range(len(names))
        by_cell = [metrics.accuracy(cell[:, positions].argmax(axis=1), labels) for cell in logits]
        return Accuracies(clean=by_cell[0], corrupted=float(np.mean(by_cell[1:])))

    own = accuracies(class_names)
    if sorted(order) != sorted(class_names):
        return LabelOrder(own=own, theirs=None, order=None)
    return LabelOrder(own=own, theirs=accuracies(order), order=tuple(order))
