"""One model on one data set: from its logits to errors, over bootstrap samples of the images.

Data sets may differ in their corruptions. An array whose first axis is "samples" has the point estimate in row 0 and
one bootstrap sample in each other row; all models of a data set share the samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring import metrics
from corruptions import SEVERITIES
from pipeline.cell import CLEAN, Cell, cells_of

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Outcome:
    """What is counted of one model on one data set; S samples, C corruptions, V severities, K classes, N images.

    Attributes:
        corruptions: their names, in the order of the axis C.
        clean: error (S,).                          errors: (S, C, V).
        balanced_clean: balanced error (S,).        balanced: (S, C, V).
        auroc_clean: (S,).                          auroc: (S, C, V).
        ece: by cell.                               reliability: ``clean`` and ``corrupted``.
        confusion: int64 (K, K), ``clean`` and ``corrupted`` (summed over cells).
        hits: whether each image is right, bool (1 + C * V, N), the clean cell first.
    """

    corruptions: tuple[str, ...]
    clean: Floats
    errors: Floats
    balanced_clean: Floats
    balanced: Floats
    auroc_clean: Floats
    auroc: Floats
    ece: Mapping[str, float]
    reliability: Mapping[str, metrics.Reliability]
    confusion: Mapping[str, NDArray[np.int64]]
    hits: NDArray[np.bool_]


def outcome(
    logits: Mapping[str, NDArray[np.float32]],
    corruptions: tuple[str, ...],
    labels: NDArray[np.int64],
    counts: NDArray[np.float32],
) -> Outcome:
    """Count one model's outcome on one data set.

    Args:
        logits: float32 (N, K) of every cell, by name.
        corruptions: those that the data set has.
        labels: int64 (N,).
        counts: how often each image counts in each sample, float32 (S, N), from `metrics.bootstrap_counts`.

    Raises:
        ValueError: the cells are not clean and every corruption at every severity.
    """
    names = [cell.name for cell in cells_of("", "", corruptions)]
    if set(names) != set(logits):
        raise ValueError(f"cells must be clean and {', '.join(corruptions)} at {SEVERITIES}, not {list(logits)}")
    classes = logits[CLEAN].shape[1]
    predictions = np.stack([logits[name].argmax(axis=1) for name in names])
    hits = predictions == labels
    errors = 1 - counts.astype(np.float64) @ hits.T / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    recalls = np.stack([_recall(counts[:, labels == k], hits[:, labels == k]) for k in np.unique(labels)])
    balanced = 1 - np.nanmean(recalls, axis=0)
    probabilities = {name: metrics.softmax(logits[name]) for name in names}
    areas = np.stack([metrics.auroc(probabilities[name], labels, counts) for name in names], axis=1)
    curves = {name: metrics.reliability(probabilities[name], labels, BINS) for name in names}
    matrices = np.stack([metrics.confusion(p, labels, classes) for p in predictions])
    grid = (len(counts), len(corruptions), len(SEVERITIES))
    return Outcome(
        corruptions=corruptions,
        clean=errors[:, 0],
        errors=errors[:, 1:].reshape(grid),
        balanced_clean=balanced[:, 0],
        balanced=balanced[:, 1:].reshape(grid),
        auroc_clean=areas[:, 0],
        auroc=areas[:, 1:].reshape(grid),
        ece={name: metrics.ece(curve) for name, curve in curves.items()},
        reliability={CLEAN: curves[CLEAN], "corrupted": metrics.pooled([curves[name] for name in names[1:]])},
        confusion={CLEAN: matrices[0], "corrupted": matrices[1:].sum(axis=0)},
        hits=hits,
    )


def _recall(counts: NDArray[np.float32], hits: NDArray[np.bool_]) -> Floats:
    images = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    right = counts.astype(np.float64) @ hits.T
    return np.asarray(np.divide(right, images, out=np.full(right.shape, np.nan), where=images > 0))


def ratios(own: Outcome, base: Outcome) -> dict[str, Floats]:
    """Return the percentages of the baseline's errors on the same data set: by corruption (S, C), clean (S,)."""
    one = [[1.0]]
    return {
        "ce": metrics.corruption_error(own.errors, base.errors),
        "relative_ce": metrics.relative_corruption_error(
            own.errors, own.clean[:, None], base.errors, base.clean[:, None]
        ),
        "be": metrics.corruption_error(own.balanced, base.balanced),
        "rbe": metrics.relative_corruption_error(
            own.balanced, own.balanced_clean[:, None], base.balanced, base.balanced_clean[:, None]
        ),
        "clean_ratio": metrics.corruption_error(own.clean[:, None] * one[0], base.clean[:, None] * one[0]),
    }


def data_set(own: Outcome, base: Outcome, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Return what scores.json holds of one model on one data set: point estimates, fractions and percentages."""
    ratio = ratios(own, base)
    clean_recall = metrics.recalls(own.confusion[CLEAN])
    corrupted_recall = metrics.recalls(own.confusion["corrupted"])
    return {
        "clean": {
            "error": own.clean[0],
            "balanced_error": own.balanced_clean[0],
            "auroc": own.auroc_clean[0],
            "ece": own.ece[CLEAN],
            "ratio": ratio["clean_ratio"][0],
        },
        "corruptions": {
            corruption: {
                "errors": own.errors[0, c],
                "balanced_errors": own.balanced[0, c],
                "auroc": own.auroc[0, c],
                "ece": [own.ece[Cell("", "", corruption, k).name] for k in SEVERITIES],
                **{name: ratio[name][0, c] for name in ("ce", "relative_ce", "be", "rbe")},
            }
            for c, corruption in enumerate(own.corruptions)
        },
        "recall": {
            name: {"clean": clean_recall[k], "corrupted": corrupted_recall[k]} for k, name in enumerate(class_names)
        },
        "confusion": dict(own.confusion),
        "reliability": {kind: curve._asdict() for kind, curve in own.reliability.items()},
    }
