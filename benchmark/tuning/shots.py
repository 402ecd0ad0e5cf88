"""Which images a model is tuned on, and which choose the epoch that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.overlap import overlaps
from benchmark.data.pool import Ints, Pool, Subset, open_subset
from pipeline.config.benchmark import TuningSettings
from pipeline.config.params import Config, home
from pipeline.errors import UserError
from pipeline.workspace import manifest
from pipeline.workspace.cell import PREPARED, Cell
from pipeline.workspace.paths import Workspace

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


@dataclass(frozen=True)
class TuningImages:
    """What a model is tuned on, and what chooses the epoch that is kept.

    Attributes:
        shots: images that are tuned on.
        held: images that choose; None where none are left, so that the last epoch is kept.
    """

    shots: Pool
    held: Pool | None

    @property
    def chosen_on(self) -> str | None:
        """What `held` is, in words."""
        if self.held is None:
            return None
        tuned = {subset.split for subset in self.shots.subsets}
        splits = dict.fromkeys(subset.split for subset in self.held.subsets if len(subset.indices))
        return ", and ".join(f"rest of {split}" if split in tuned else split for split in splits)

    def entries(self, workspace: Workspace) -> list[tuple[str, str, dict[str, Any], list[int]]]:
        """Return what tells the images apart from others: of each subset its manifest's entry and its indices."""
        subsets = (*self.shots.subsets, *(self.held.subsets if self.held else ()))
        return [(s.dataset, s.split, split_entry(workspace, s), s.indices.tolist()) for s in subsets]


def choose_images(workspace: Workspace, config: Config, settings: TuningSettings) -> TuningImages:
    """Draw the shots of every data set, and hold images that are neither tuned on nor scored.

    Those are some of the rest of the tuning split and, unless it is tuned on or scored, all of val; of a data set that
    is tuned on all of val they are some of train. Splits are told apart by what they are taken from in the source.
    """
    used = {config.source_split(split) for split in (settings.split, config.benchmark.split)}
    shots: list[Subset] = []
    held: list[Subset] = []
    for k, dataset in enumerate(config.datasets):
        split = open_subset(workspace, dataset, settings.split)
        drawn = draw_shots(split.labels, count=settings.shots, percent=settings.percent, seed=(settings.seed, k))
        shots.append(replace(split, indices=drawn))
        held.append(_some(split, np.setdiff1d(split.indices, drawn), seed=(settings.seed, k, 1)))
        if config.source_split("val") not in used:
            held.append(open_subset(workspace, dataset, "val"))
        is_left = any(len(subset.indices) for subset in held if subset.dataset == dataset)
        if not is_left and "train" not in used and workspace.npz(Cell(dataset, "train")).is_file():
            train = open_subset(workspace, dataset, "train")
            held.append(_some(train, train.indices, seed=(settings.seed, k, 1)))
    pool = Pool(held)
    is_whole = set(pool.dataset_ids) == set(range(len(config.datasets)))
    return TuningImages(Pool(shots), pool if is_whole else None)


def count_overlap(workspace: Workspace, config: Config, images: TuningImages, *, allowed: bool) -> dict[str, int]:
    """Return the number of pairs of equal images that are tuned on, chosen on and scored, by two of these.

    Raises:
        UserError: there are some, and that is not `allowed`, nor in all of params.yaml.
    """
    parts = {
        "tuned on": images.shots.subsets,
        "chosen on": images.held.subsets if images.held else (),
        "scored": tuple(
            open_subset(home(config, workspace, dataset), dataset, config.benchmark.split)
            for dataset in config.scored_datasets
        ),
    }
    pairs = {f"{use} and {other}": equal for (use, other), equal in overlaps(parts).items()}
    if pairs and not (allowed or config.allow_overlap):
        words = []
        for uses, equal in pairs.items():
            more = f" and {len(equal) - 3} more pairs" if len(equal) > 3 else ""
            words.append(f"{', '.join(f'{image} = {other}' for image, other in equal[:3])}{more} are {uses}")
        raise UserError(
            f"the same image has two uses: {'; '.join(words)}. Take one of each out of the source, or set"
            " allow_overlap: true in params.yaml, which counts them in tune.json"
        )
    return {uses: len(equal) for uses, equal in pairs.items()}


def split_entry(workspace: Workspace, subset: Subset) -> dict[str, Any]:
    """Return the entry of a subset's whole split, its count and checksums, in the manifest that has it."""
    read = manifest.read_prepared if subset.split in PREPARED else manifest.read_clean
    entry = read(workspace, subset.dataset).split(subset.split)
    return entry.model_dump(mode="json", exclude_unset=True)


def _some(subset: Subset, indices: Ints, *, seed: Sequence[int]) -> Subset:
    """Return `HELD` images of a subset's split, drawn from `indices`."""
    drawn = np.random.default_rng(seed).permutation(indices)[:HELD]
    return replace(subset, indices=np.sort(drawn))


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
