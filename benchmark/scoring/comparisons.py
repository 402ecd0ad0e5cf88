"""Every two models on the same images: how far they are apart, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from benchmark.scoring.aggregation import over_datasets
from benchmark.scoring.metrics import Floats, interval
from benchmark.scoring.records import Comparison, Images

FLIPS = 2000
"""Random sign flips; the smallest possible p-value is 1 / (FLIPS + 1)."""

Right = Mapping[str, Mapping[str, Mapping[Images, Floats]]]
"""`Measurement.right` by model and data set."""


def compare(cube: xr.Dataset, right: Right, *, seed: int, flips: int = FLIPS) -> tuple[Comparison, ...]:
    """Compare every two models, clean and corrupted, by random sign flips, corrected by Holm.

    The score of an image is whether it is right, or the fraction of the corrupted cells in which it is; the difference
    is the first model's accuracy minus the second's, averaged over images, data sets, then collections, in points, with
    its interval by paired bootstrap.
    """
    datasets, collections = cube.dataset.values.tolist(), cube.collection.values.tolist()
    weights = [1 / collections.count(collection) for collection in collections]
    errors = {"clean": cube.clean_error, "corrupted": cube.error.mean(("corruption", "severity"))}
    lines = []
    for first, second in combinations(cube.model.values.tolist(), 2):
        for images in get_args(Images):
            error = 100 * errors[images]
            estimate = interval(over_datasets(error.sel(model=second, drop=True) - error.sel(model=first, drop=True)))
            by_image = [right[first][name][images] - right[second][name][images] for name in datasets]
            lines.append((first, second, images, estimate, sign_flip_p(by_image, flips, seed, weights)))
    corrected = holm([p for *_, p in lines])
    return tuple(
        Comparison(first=first, second=second, images=images, difference=value, low=low, high=high, p=p, p_holm=p_holm)
        for (first, second, images, (value, low, high), p), p_holm in zip(lines, corrected, strict=True)
    )


def sign_flip_p(differences: Sequence[ArrayLike], flips: int, seed: int, weights: Sequence[float]) -> float:
    """Return the two-sided p-value that paired differences are symmetric around 0, by random sign flips.

    Args:
        differences: of each data set float (N_d,), one model's score minus the other's by image.
        flips: their number; the smallest possible p-value is 1 / (flips + 1).
        seed: of the flips.
        weights: of each data set's mean.

    Source: Fisher's randomisation test as in Good, Permutation Tests, 2000, chapter 3.
    """
    rng = np.random.default_rng(seed)
    observed = 0.0
    flipped = np.zeros(flips)
    for difference, weight in zip(differences, weights, strict=True):
        d = weight * np.asarray(difference, np.float64)
        observed += d.mean()
        signs = rng.integers(0, 2, (flips, len(d)), np.int8) * 2 - 1
        flipped += signs @ d / len(d)
    return float((1 + np.count_nonzero(np.abs(flipped) >= abs(observed) - 1e-12)) / (flips + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, step-down (Holm, Scandinavian Journal of Statistics 1979)."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate([p_values[i] * (len(p_values) - rank) for rank, i in enumerate(order)])
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1)
    return [float(p) for p in corrected]
