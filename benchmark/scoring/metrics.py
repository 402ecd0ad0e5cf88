"""Numbers in, numbers out: every score of the benchmark, pure NumPy, no file and no hole.

Labels and predictions are int (N,), probabilities float (N, K), errors are fractions 0 to 1, and everything named
``ce`` or ``mce`` is in percent of the baseline. What is undefined comes out as NaN, and `named_mean` is the one
place that leaves a NaN out of a mean; it hands back its name. docs/scores.md has the formulas and the averaging.

Sources: [HD] Hendrycks & Dietterich, ICLR 2019, section 4.2. [MM] Di Salvo et al., 2024 (MedMNIST-C), section 2.
[HT] Hand & Till, Machine Learning 2001. [G] Guo et al., ICML 2017, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    images = counts.sum(axis=-1)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.asarray(np.divide(hits, images, out=np.full(images.shape, np.nan), where=images > 0))


def balanced_accuracy(matrix: ArrayLike) -> float:
    """Return the mean recall over the classes that have an image; one minus it is the balanced error BE of [MM]."""
    return float(np.nanmean(recalls(matrix)))


def auroc_binary(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        scores: float (N,).
        positive: bool (N,).
        weights: how often each image counts, (B, N), for `B` bootstrap samples; once each if not given.

    Returns:
        float (B,), or a scalar array without `weights`. NaN where a sample lacks positives or negatives.
    """
    s = np.asarray(scores, np.float64)
    p = np.asarray(positive, bool)
    w = np.ones((1, len(s)), np.float32) if weights is None else np.asarray(weights, np.float32)
    above, below = s[p][:, None], s[~p][None, :]
    wins = (above > below) + np.float32(0.5) * (above == below)
    pairs = w[:, p].sum(axis=1, dtype=np.float64) * w[:, ~p].sum(axis=1, dtype=np.float64)
    won = np.einsum("bn,bn->b", w[:, p] @ wins.astype(np.float32), w[:, ~p], dtype=np.float64)
    area = np.divide(won, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
    return np.asarray(area if weights is not None else area[0])


def auroc(probabilities: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return the AUROC: of class 1 for two classes, else the mean of one-against-the-rest over the classes [HT].

    A class without an image, or that every image has, has no curve and does not count. `weights` as in `auroc_binary`.
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    classes = [1] if p.shape[1] == 2 else [k for k in range(p.shape[1]) if 0 < np.count_nonzero(y == k) < len(y)]
    if not classes or not 0 < np.count_nonzero(y == classes[0]) < len(y):
        raise ValueError("AUROC needs images of at least two classes")
    areas = np.stack([auroc_binary(p[:, k], y == k, weights) for k in classes])
    return np.asarray(np.nanmean(areas, axis=0)) if weights is not None else np.asarray(areas.mean(axis=0))


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
    place = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    empty = np.full(bins, np.nan)
    confidence = np.divide(np.bincount(place, top, bins), count, out=empty.copy(), where=count > 0)
    right = np.divide(np.bincount(place, hit, bins), count, out=empty.copy(), where=count > 0)
    return Reliability(confidence, right, count)


def pooled(curves: Sequence[Reliability]) -> Reliability:
    """Return the curve of all images of `curves` together."""
    images = np.sum([curve.images for curve in curves], axis=0)
    empty = np.full(len(images), np.nan)

    def mean(name: str) -> Floats:
        total = np.sum([np.nan_to_num(getattr(curve, name)) * curve.images for curve in curves], axis=0)
        return np.asarray(np.divide(total, images, out=empty.copy(), where=images > 0))

    return Reliability(mean("confidence"), mean("accuracy"), images)


def ece(curve: Reliability) -> float:
    """Return the expected calibration error of a `reliability` curve, a fraction [G]."""
    gaps = np.abs(np.nan_to_num(curve.confidence) - np.nan_to_num(curve.accuracy))
    return float((gaps * curve.images).sum() / curve.images.sum())


def corruption_error(errors: ArrayLike, baseline: ArrayLike) -> Floats:
    """Return CE_c = 100 sum_s E_{s,c} / sum_s E^baseline_{s,c} [HD]; with balanced errors it is BE_c of [MM].

    Severities are the last axis of both. NaN where the baseline makes no error at all.
    """
    return _ratio(np.sum(errors, axis=-1), np.sum(baseline, axis=-1))


def relative_corruption_error(
    errors: ArrayLike, clean: ArrayLike, baseline: ArrayLike, baseline_clean: ArrayLike
) -> Floats:
    """Return 100 sum_s (E_{s,c} - E_clean) / sum_s (E^base_{s,c} - E^base_clean) [HD]; of balanced errors, rBE_c [MM].

    Severities are the last axis of `errors` and `baseline`, which the clean errors lack. NaN where the baseline does
    not get worse by the corruption: the ratio then says nothing.
    """
    worse = np.asarray(errors) - np.asarray(clean)[..., None]
    baseline_worse = np.asarray(baseline) - np.asarray(baseline_clean)[..., None]
    return _ratio(worse.sum(axis=-1), baseline_worse.sum(axis=-1))


def _ratio(top: ArrayLike, bottom: ArrayLike) -> Floats:
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    # A sum of a few error rates that differs from 0 by less than this is rounding, not an image.
    return np.asarray(100 * np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 1e-12))


class Mean(NamedTuple):
    """A mean, and the names of what was undefined and therefore not in it."""

    value: Any
    left_out: tuple[str, ...]


def named_mean(values: Mapping[str, Any]) -> Mean:
    """Average `values` by name, leaving out and naming those that are NaN.

    Values may be arrays over bootstrap samples, whose element 0 is the point estimate and says what is left out; a
    later sample in which another value is NaN leaves that one out too. NaN if nothing is left.
    """
    left_out = tuple(name for name, value in values.items() if np.isnan(np.ravel(value)[0]))
    kept = [np.asarray(value, np.float64) for name, value in values.items() if name not in left_out]
    if not kept:
        shape = np.shape(next(iter(values.values()), np.nan))
        return Mean(np.full(shape, np.nan) if shape else float("nan"), left_out)
    stacked = np.stack(kept)
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return Mean(mean if mean.ndim else float(mean), left_out)


def missing_cells(found: Mapping[str, Sequence[str]], needed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return "data set/cell" for every needed cell that is not found."""
    return [
        f"{name}/{cell}" for name, cells in needed.items() for cell in cells if cell not in set(found.get(name, ()))
    ]


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
    others = v[1:][~np.isnan(v[1:])]
    if not len(others) or np.isnan(v[0]):
        return float(v[0]), float("nan"), float("nan")
    low, high = np.quantile(others, [tail, 1 - tail])
    return float(v[0]), float(low), float(high)


def sign_flip_p(differences: Sequence[ArrayLike], samples: int, seed: int, weights: Sequence[float]) -> float:
    """Return the two-sided p-value that paired differences are symmetric around 0, by random sign flips.

    Args:
        differences: of each data set float (N_d,), one model's score minus the other's by image.
        samples: number of random flips; the smallest possible p-value is 1 / (samples + 1).
        seed: of the flips.
        weights: of each data set's mean.

    Source: Fisher's randomisation test as in Good, Permutation Tests, 2000, chapter 3.
    """
    rng = np.random.default_rng(seed)
    observed = 0.0
    flipped = np.zeros(samples)
    for difference, weight in zip(differences, weights, strict=True):
        d = weight * np.asarray(difference, np.float64)
        observed += d.mean()
        signs = rng.integers(0, 2, (samples, len(d)), np.int8) * 2 - 1
        flipped += signs @ d / len(d)
    return float((1 + np.count_nonzero(np.abs(flipped) >= abs(observed) - 1e-12)) / (samples + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, step-down (Holm, Scandinavian Journal of Statistics 1979)."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate([p_values[i] * (len(p_values) - rank) for rank, i in enumerate(order)])
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1)
    return [float(p) for p in corrected]
