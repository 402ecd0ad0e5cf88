"""Corrupt some of the images that a model is tuned on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.data.pool import Images, Ints, Pool
from corruptions.api import corrupt
from corruptions.spec import CORRUPTIONS, strength

SHARE = 0.5
"""Part of the images that corruption augmentation corrupts; the others stay clean."""


class RandomCorruption:
    """Draws a corruption and a severity for each image, from those that may be trained on.

    Args:
        names: the corruptions.
        strength: severities are 1 to this.
        profile: one of `corruptions.PROFILES`.
        columns: by data set, the one whose column of the profile ``modality`` it takes, if not its own.
        share: part of the images that are corrupted.

    Raises:
        ValueError: there is no such corruption.
    """

    def __init__(
        self, names: Sequence[str], *, strength: int, profile: str, columns: Mapping[str, str], share: float = SHARE
    ) -> None:
        unknown = [name for name in names if name not in CORRUPTIONS]
        if unknown:
            raise ValueError(f"no corruption {unknown[0]!r}; have {', '.join(CORRUPTIONS)}")
        self.names = tuple(names)
        self.strength = strength
        self.profile = profile
        self.columns = dict(columns)
        self.share = share

    def strengths(self, datasets: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        """Return the kernel and the parameters of all that images of `datasets` may be corrupted with."""
        return [
            strength(name, severity, profile=self.profile, column=self.columns.get(dataset, dataset))[:2]
            for dataset in datasets
            for name in self.names
            for severity in range(1, self.strength + 1)
        ]

    def __call__(self, pool: Pool, positions: Ints, seed: tuple[int, ...]) -> Images:
        """Return the images at `positions`, uint8 (n, 224, 224, 3); grey ones are corrupted as one channel.

        The draws are keyed by `seed` and by the split that is tuned on, so they are never those of a scored cell.
        """
        rng = np.random.default_rng(seed)
        corrupted = rng.random(len(positions)) < self.share
        names = rng.integers(0, len(self.names), len(positions))
        severities = rng.integers(1, self.strength + 1, len(positions))
        images = pool.read(positions)
        groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for row in np.flatnonzero(corrupted):
            groups[int(pool.dataset_ids[positions[row]]), int(names[row]), int(severities[row])].append(int(row))
        for (dataset_id, name, severity), rows in groups.items():
            dataset = pool.datasets[dataset_id]
            # "train" keeps the key apart from both released splits, also when the shots come from val.
            images[rows] = corrupt(
                np.stack([pool.native(positions[row]) for row in rows]),
                self.names[name],
                severity,
                dataset=dataset,
                split="train",
                indices=[int(pool.indices[positions[row]]) for row in rows],
                seed=int(rng.integers(2**31)),
                profile=self.profile,
                column=self.columns.get(dataset, dataset),
            )
        return images
