"""Example images for the report: one a data set, clean and corrupted, beside what each model took it for."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.prediction.logits import read_logits
from benchmark.scoring.records import ScoresRecord
from corruptions.api import corrupt
from pipeline.config.params import home, read_config
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import CLEAN, Cell
from pipeline.workspace.paths import Workspace

SEVERITY = 3
PIXELS = 112
"""Width and height of an example in the report; the models saw 224."""


@dataclass(frozen=True)
class Tile:
    """One picture, as a JPEG data address, and each model's answer: its class and whether that is right."""

    corruption: str
    picture: str
    answers: dict[str, tuple[str, bool]]


@dataclass(frozen=True)
class Example:
    """One image of a data set, by its index in the split, with its true class and a tile a corruption."""

    dataset: str
    truth: str
    index: int
    tiles: Sequence[Tile]


def examples(workspace: Workspace, scores: ScoresRecord) -> list[Example]:
    """Return an example of each data set: the first image whose class is not the first one, so that nobody chose it.

    Cells that are not on the disk are made anew, with the same bytes.
    """
    config = read_config(workspace)
    sources = {dataset: home(config, workspace, dataset) for dataset in scores.datasets}
    return [_example(workspace, source, dataset, scores) for dataset, source in sources.items()]


def _example(workspace: Workspace, source: Workspace, dataset: str, scores: ScoresRecord) -> Example:
    class_names = scores.datasets[dataset].class_names
    labels = npz.Npz(source.npz(Cell(dataset, scores.split))).labels
    index = int(np.argmax(labels != 0))
    truth = int(labels[index])
    tiles = []
    for corruption in (CLEAN, *scores.datasets[dataset].corruptions):
        cell = Cell(dataset, scores.split, corruption, 0 if corruption == CLEAN else SEVERITY)
        guesses = {m: int(read_logits(workspace.logits(m, cell)).logits[index].argmax()) for m in scores.models}
        answers = {model: (class_names[guess], guess == truth) for model, guess in guesses.items()}
        tiles.append(Tile(corruption, _picture(read_images(source, cell, [index])[0]), answers))
    return Example(dataset, class_names[truth], index, tiles)


def read_images(source: Workspace, cell: Cell, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Return images of a cell by their index, uint8 (N, 224, 224, C); `source` is where the data set lies.

    A cell that is not on the disk, as those of models that were scored on the fly, is made of the clean images.
    """
    if source.npz(cell).is_file():
        images: NDArray[np.uint8] = npz.read(source.npz(cell)).images[list(indices)]
        return images
    config = read_config(source)
    channels = manifest.read_clean(source, cell.dataset).native_channels
    clean = npz.read(source.npz(Cell(cell.dataset, cell.split))).images[list(indices)][..., :channels]
    return corrupt(
        clean,
        cell.corruption,
        cell.severity,
        dataset=cell.dataset,
        split=cell.split,
        indices=list(indices),
        seed=config.seed,
        profile=config.profile,
        column=config.column(cell.dataset),
    )


def _picture(image: NDArray[np.uint8]) -> str:
    channels = np.broadcast_to(image, (*image.shape[:-1], 3))
    out = io.BytesIO()
    small = Image.fromarray(np.ascontiguousarray(channels)).resize((PIXELS, PIXELS), Image.Resampling.BOX)
    small.save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
