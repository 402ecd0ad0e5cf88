"""The embedded source: images drawn by formulas, labelled by how they were drawn, the same bytes everywhere.

Seven data sets that look like their modality, in two acquisition domains: `pretrain` and `pretest` come from the
first scanner, `train`, `val` and `test` from the second. See docs/phantom.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.sources import Clean, SourceFile
from pipeline.sources.phantom import blood, chest, fundus, mammography, oct
from pipeline.sources.phantom.camera import Camera, expose
from pipeline.sources.phantom.plane import Field
from pipeline.sources.phantom.random_state import RandomState, balanced_labels, key
from pipeline.workspace.cell import SIZE
from pipeline.workspace.datasets import card

FIRST = ("pretrain", "pretest")
"""Splits of the first acquisition domain."""

SECOND = ("train", "val", "test")
"""Splits of the second acquisition domain."""

Draw = Callable[[RandomState, int], Field]

DRAWINGS: dict[str, tuple[Draw, tuple[Camera, Camera]]] = {
    "aml": (blood.aml, blood.CAMERAS["aml"]),
    "fundus": (fundus.fundus, fundus.CAMERAS),
    "mammo_calc": (mammography.calcifications, mammography.CAMERAS),
    "mammo_mass": (mammography.mass, mammography.CAMERAS),
    "oct": (oct.tomogram, oct.CAMERAS),
    "pbc": (blood.pbc, blood.CAMERAS["pbc"]),
    "pneumonia": (chest.radiograph, chest.CAMERAS),
}
"""For each data set what draws it, and its two cameras."""

DATASETS = tuple(DRAWINGS)
SPLITS = FIRST + SECOND


def load(dataset: str, split: str, *, root: Path = Path(), count: int | None = None, seed: int = 0) -> Clean:
    """Return the first `count` images of a split; nothing is drawn before `Clean.read` is called.

    Args:
        dataset: one of `DATASETS`.
        split: one of `SPLITS`.
        root: not used: nothing is read from disk.
        count: how many images; the source has no end, so it must be given.
        seed: of all random numbers.

    Raises:
        UserError: no count.
    """
    if count is None or count < 0:
        raise UserError(f"the phantom has no end: say how many images of {dataset} {split} you want, not {count}")
    described = card(dataset)
    draw, cameras = DRAWINGS[dataset]
    camera = cameras[split in SECOND]
    labels = balanced_labels(key(seed, dataset, split, "labels"), count, len(described.classes))
    stream, noise = key(seed, dataset, split), key(seed, dataset, split, "noise")
    channels = 1 if described.grey else 3

    def read(positions: Sequence[int]) -> NDArray[np.uint8]:
        images = np.empty((len(positions), SIZE, SIZE, channels), np.uint8)
        for n, position in enumerate(positions):
            random = RandomState(stream, int(position))
            image = draw(random, int(labels[position]))
            images[n] = expose(image, camera, random, noise, int(position))
        return images

    return Clean(
        labels=labels,
        class_names=tuple(described.classes),
        image_ids=[f"phantom/{seed}/{dataset}/{split}/{n}" for n in range(count)],
        channels=channels,
        read=read,
    )


def fetch(folder: Path, datasets: Sequence[str], base_url: str) -> dict[str, SourceFile]:
    """Do nothing: images are drawn, not brought; see `Source.fetch`."""
    return {}
