"""Numbers in, numbers out: the metrics of one cell, and the bootstrap over its images; pure NumPy.

Labels and predictions are int (N,), probabilities float (N, K), and results are fractions 0 to 1. What is undefined
comes out as NaN. docs/scores.md has the formulas.

Sources: [MM] Di Salvo et al., 2024 (MedMNIST-C), section 2. [HT] Hand & Till, Machine Learning 2001. [G] Guo et al.,
ICML 2017, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def softmax(logits: ArrayLike) -> Floats:
    """Return the softmax over the last axis, float64; the logit scale is already in `logits`."""
    x = np.asarray(logits, np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Return the fraction of images whose prediction is their label (top-1)."""
    return float(np.mean(np.asarray(predictions) == np.asarray(labels)))


def confusion(predictions: ArrayLike, labels: ArrayLike, classes: int) -> Ints:
    """Count images by (label, prediction); int64 (classes, classes)."""
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def recalls(matrix: ArrayLike) -> Floats:
    """Return the recall of each class from a `confusion` matrix (..., K, K); NaN where a class has no image."""
    counts = np.asarray(matrix, np.float64)
    return _quotient(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def errors(hits: ArrayLike, counts: ArrayLike) -> Floats:
    """Return the error of cells in bootstrap samples, (C, S).

    Args:
        hits: whether each image of each cell is classified right, bool (C, N).
        counts: how often each image counts in each sample, (S, N).
    """
    weights = np.asarray(counts, np.float64)
    return np.asarray(1 - np.asarray(hits) @ weights.T / weights.sum(axis=1))


def balanced_errors(hits: ArrayLike, labels: ArrayLike, counts: ArrayLike) -> Floats:
    """Return one minus the mean recall over the classes that have an image in a sample, (C, S): BE of [MM].

    `hits` and `counts` as in `errors`.
    """
    h, y, weights = np.asarray(hits), np.asarray(labels), np.asarray(counts, np.float64)
    of_class = [(h[:, y == k] @ weights[:, y == k].T, weights[:, y == k].sum(axis=1)) for k in np.unique(y)]
    return np.asarray(1 - np.nanmean([_quotient(right, images) for right, images in of_class], axis=0))


def auroc_binary(scores: ArrayLike, positive: ArrayLike, counts: ArrayLike) -> Floats:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Args:
        scores: float (N,).
        positive: bool (N,).
        counts: how often each image counts in each sample, whole numbers (S, N).

    Returns:
        float (S,); NaN where a sample lacks positives or negatives.
    """
    s, p = np.asarray(scores, np.float64), np.asarray(positive, bool)
    weights = np.asfortranarray(counts, np.float32).T  # (N, S); whole numbers, so sums below 2**24 are exact
    negatives = np.sort(s[~p])
    lowest = np.zeros((len(negatives) + 1, weights.shape[1]), np.float32)  # row i: how often the i lowest count
    np.cumsum(weights[~p][np.argsort(s[~p], kind="stable")], axis=0, out=lowest[1:])
    below, up_to = (lowest[np.searchsorted(negatives, s[p], side)] for side in ("left", "right"))
    won = np.einsum("ns,ns->s", weights[p], below + up_to, dtype=np.float64) / 2
    return _quotient(won, weights[p].sum(axis=0, dtype=np.float64) * lowest[-1])


def auroc(probabilities: ArrayLike, labels: ArrayLike, counts: ArrayLike) -> Floats:
    """Return the AUROC: of class 1 for two classes, else the mean of one-against-the-rest over the classes [HT].

    A class without an image, or that every image has, has no curve and does not count. `counts` and the result are
    those of `auroc_binary`; NaN if no class has a curve (`undefined` says so beforehand).
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    if len(np.unique(y)) < 2:
        return np.full(len(np.asarray(counts)), np.nan)
    classes = [1] if p.shape[1] == 2 else np.unique(y).tolist()
    by_sample = np.asfortranarray(counts, np.float32)
    areas = np.stack([auroc_binary(p[:, k], y == k, by_sample) for k in classes])
    has_curve = ~np.isnan(areas)
    return _quotient(np.where(has_curve, areas, 0).sum(axis=0), has_curve.sum(axis=0))


def undefined(class_names: Sequence[str], per_class: Sequence[int]) -> dict[str, str]:
    """Return which metrics say nothing about a split, and why, from its number of images of each class.

    It needs no predictions, so that a user can be told before any work.
    """
    there = [f"{name!r}" for name, images in zip(class_names, per_class, strict=True) if images]
    if len(there) > 1:
        return {}
    reason = f"every image is of class {there[0]}" if there else "it has no images"
    return {"auroc": f"{reason}, and AUROC needs images of at least two classes"}


class Reliability(NamedTuple):
    """Equal-width bins of the top probability: their mean confidence, accuracy (NaN if empty) and image count."""

    confidence: Floats
    accuracy: Floats
    images: Ints


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Reliability:
    """Sort images into `bins` by the probability of their predicted class [G]."""
    p = np.asarray(probabilities)
    top = p.max(axis=1)
    hit = p.argmax(axis=1) == np.asarray(labels)
    bin_of_image = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    images = np.bincount(bin_of_image, minlength=bins)
    return Reliability(
        _quotient(np.bincount(bin_of_image, top, bins), images),
        _quotient(np.bincount(bin_of_image, hit, bins), images),
        images,
    )


def pooled(curves: Sequence[Reliability]) -> Reliability:
    """Return the curve of all images of `curves` together."""
    images = np.sum([curve.images for curve in curves], axis=0)
    confidence = np.sum([np.nan_to_num(curve.confidence) * curve.images for curve in curves], axis=0)
    right = np.sum([np.nan_to_num(curve.accuracy) * curve.images for curve in curves], axis=0)
    return Reliability(_quotient(confidence, images), _quotient(right, images), images)


def ece(curve: Reliability) -> float:
    """Return the expected calibration error of a `reliability` curve, a fraction [G]."""
    gaps = np.abs(np.nan_to_num(curve.confidence) - np.nan_to_num(curve.accuracy))
    return float((gaps * curve.images).sum() / curve.images.sum())


def bootstrap_counts(images: int, samples: int, seed: Sequence[int]) -> NDArray[np.float32]:
    """Draw how often each image counts in each bootstrap sample; float32 (samples + 1, images).

    Row 0 counts every image once: the point estimate. All models and cells of a data set take the same rows, which
    is what makes the intervals and differences paired (Efron & Tibshirani 1993, chapter 6).
    """
    draws = np.random.default_rng(seed).integers(0, images, (samples, images))
    offsets = draws + images * np.arange(samples)[:, None]
    counts = np.bincount(offsets.ravel(), minlength=samples * images).reshape(samples, images)
    return np.concatenate([np.ones((1, images)), counts]).astype(np.float32)


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Return (estimate, low, high): element 0, and the percentile interval of the other elements."""
    v = np.asarray(values, np.float64)
    tail = (1 - level) / 2
    samples = v[1:][~np.isnan(v[1:])]
    if not len(samples) or np.isnan(v[0]):
        return float(v[0]), float("nan"), float("nan")
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(v[0]), float(low), float(high)


def _quotient(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Divide; NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
