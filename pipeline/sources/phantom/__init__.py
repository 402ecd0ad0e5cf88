"""The embedded source: images drawn by formulas, labelled by how they were drawn, the same bytes everywhere.

Seven data sets that look like their modality, in two acquisition domains: `pretrain` and `pretest` come from the
first scanner, `train`, `val` and `test` from the second. See docs/phantom.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cell import SIZE
from pipeline.datasets import card
from pipeline.sources import Clean, SourceError
from pipeline.sources.phantom import blood, chest, fundus, mammography, oct
from pipeline.sources.phantom.camera import Camera, expose
from pipeline.sources.phantom.chance import Chance, key, labels
from pipeline.sources.phantom.plane import Field

FIRST = ("pretrain", "pretest")
"""Splits of the first acquisition domain."""

SECOND = ("train", "val", "test")
"""Splits of the second acquisition domain."""

Draw = Callable[[Chance, int], Field]

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


def load(dataset: str, split: str, *, root: Path = Path(), count: int | None = None, seed: int = 0) -> Clean:
    """Return the first `count` images of `split` of `dataset`; nothing is drawn before `Clean.read` is called.

    Args:
        dataset: one of `DRAWINGS`.
        split: one of `FIRST` and `SECOND`.
        root: not used: nothing is read from disk.
        count: how many images; the source has no end, so it must be given.
        seed: of all chance.

    Raises:
        SourceError: no such data set or split, or no count.
    """
    if dataset not in DRAWINGS:
        raise SourceError(f"the phantom has no data set {dataset!r}; have {', '.join(DRAWINGS)}")
    if split not in FIRST + SECOND:
        raise SourceError(f"the phantom has no split {split!r}; have {', '.join(FIRST + SECOND)}")
    if count is None or count < 0:
        raise SourceError(f"the phantom has no end: say how many images of {dataset} {split} you want, not {count}")
    facts = card(dataset)
    draw, cameras = DRAWINGS[dataset]
    camera = cameras[split in SECOND]
    truth = labels(key(seed, dataset, split, "labels"), count, len(facts.classes))
    stream, noise = key(seed, dataset, split), key(seed, dataset, split, "noise")
    channels = 1 if facts.grey else 3

    def read(positions: Sequence[int]) -> NDArray[np.uint8]:
        images = np.empty((len(positions), SIZE, SIZE, channels), np.uint8)
        for n, position in enumerate(positions):
            chance = Chance(stream, int(position))
            image = draw(chance, int(truth[position]))
            images[n] = expose(image, camera, chance, noise, int(position))
        return images

    ids = [f"phantom/{seed}/{dataset}/{split}/{n}" for n in range(count)]
    return Clean(labels=truth, class_names=tuple(facts.classes), ids=ids, channels=channels, read=read)
