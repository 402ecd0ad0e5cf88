"""Read a model's logits on a data set, every cell checked before anything is counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.prediction.logits import read_logits
from benchmark.scoring.measure import Logits
from pipeline.cell import cells_of
from pipeline.errors import UserError
from pipeline.io.checksums import labels_checksum
from pipeline.manifest import CleanManifest
from pipeline.paths import Workspace


def check_complete(workspace: Workspace, model: str, manifests: Mapping[str, CleanManifest], split: str) -> None:
    """Raise UserError naming the cells of which `model` has no logits: a hole is never averaged over."""
    holes = [
        f"{cell.dataset}/{cell.name}"
        for dataset, manifest in manifests.items()
        for cell in cells_of(dataset, split, manifest.corruption_names)
        if not workspace.logits(model, cell).is_file()
    ]
    if holes:
        more = f" and {len(holes) - 5} more" if len(holes) > 5 else ""
        raise UserError(
            f"{model} has no logits for {', '.join(holes[:5])}{more} ({split}); run"
            f" `python -m benchmark.predict --model {model}`"
        )


def read_predictions(
    workspace: Workspace, model: str, manifest: CleanManifest, split: str, *, weights: str
) -> tuple[Logits, NDArray[np.int64]]:
    """Read the logits of all cells of a data set, and its labels, int64 (N,).

    Args:
        workspace: that of the predictions.
        model: its name in params.yaml.
        manifest: of the data set's clean images.
        split: the one that is scored.
        weights: checksum that the model's record names, so that no model is scored on a mixture of several.

    Raises:
        UserError: a file is not whole, or of other weights, images or labels, or has logits that are no numbers.
    """
    remedy = f"run `python -m benchmark.predict --model {model}`"
    expected = manifest.split(split)
    shape = (expected.count, len(manifest.class_names))
    logits = []
    for cell in cells_of(manifest.dataset, split, manifest.corruption_names):
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
