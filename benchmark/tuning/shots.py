"""Which images a model is tuned on, and which choose the epoch that is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.data.pool import Ints, Pool, Subset, open_subset
from benchmark.tuning.records import TuningSettings
from pipeline.errors import UserError
from pipeline.paths import Workspace

HELD = 64
"""Images a data set from the rest of the tuning split that the best epoch is chosen on, beside all of val."""


def draw_shots(labels: Ints, *, count: int, percent: float, seed: Sequence[int]) -> Ints:
    """Draw the same number of images of every class, or the same percentage and at least one.

    Args:
        labels: int64 (N,).
        count: images a class, all of a class that has fewer; 0 to go by `percent`.
        percent: of each class's images, rounded half up.
        seed: of the draw.

    Returns:
        Indices, int64, ascending.
    """
    rng = np.random.default_rng(seed)
    shots = []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        shots.append(own[: count if count else max(1, int(len(own) * percent / 100 + 0.5))])
    return np.sort(np.concatenate(shots))


def choose_images(
    workspace: Workspace, datasets: Sequence[str], settings: TuningSettings, *, scored: str
) -> tuple[Pool, Pool]:
    """Return the shots, and the held images that the best epoch is chosen on: neither tuned on nor of split `scored`.

    Raises:
        UserError: a data set has no image left to hold.
    """
    shots: list[Subset] = []
    held: list[Subset] = []
    for k, dataset in enumerate(datasets):
        split = open_subset(workspace, dataset, settings.split)
        drawn = draw_shots(split.labels, count=settings.shots, percent=settings.percent, seed=(settings.seed, k))
        rest = np.setdiff1d(split.indices, drawn)
        rest = np.random.default_rng((settings.seed, k, 1)).permutation(rest)[:HELD]
        shots.append(open_subset(workspace, dataset, settings.split, drawn))
        held.append(open_subset(workspace, dataset, settings.split, rest))
        if "val" not in (settings.split, scored):
            held.append(open_subset(workspace, dataset, "val"))
    pool = Pool(held)
    if set(pool.dataset_ids) != set(range(len(datasets))):
        raise UserError(f"no image of {settings.split} is left to choose the best epoch on; use fewer shots")
    return Pool(shots), pool


def balanced_order(dataset_ids: NDArray[np.int64], rng: np.random.Generator) -> Ints:
    """Draw as many positions as there are images, every data set's alike, none again before all of its others.

    With k shots a class a data set of 15 classes would otherwise be seen seven times as often as one of two.
    """
    datasets = np.unique(dataset_ids)
    shares = np.full(len(datasets), len(dataset_ids) // len(datasets))
    shares[: len(dataset_ids) % len(datasets)] += 1
    drawn = []
    for dataset, count in zip(rng.permutation(datasets), shares, strict=True):
        own = np.flatnonzero(dataset_ids == dataset)
        rounds = [rng.permutation(own) for _ in range(-(-int(count) // len(own)))]
        drawn.append(np.concatenate(rounds)[:count])
    return rng.permutation(np.concatenate(drawn))
