"""Example images for the report: one a data set, clean and corrupted, beside what each model took it for."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.cells import open_cell
from benchmark.data.pool import rgb
from pipeline import manifest
from pipeline.cell import CLEAN, Cell
from pipeline.config import home, read_config
from pipeline.io import npz
from pipeline.paths import Workspace

SEVERITY = 3
PIXELS = 112
"""Width and height of an example in the report; the models saw 224."""


def examples(
    root: Path | str, models: Sequence[str], split: str, datasets: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return for each data set its name, the true class, and a tile a corruption: picture and each model's answer.

    It is the first image of the split whose class is not the first one, not a chosen one. `datasets` has the
    corruptions of each; cells that are not on the disk are made anew, with the same bytes.
    """
    workspace = Workspace(root)
    config = read_config(workspace)
    made = []
    for name, corruptions in datasets.items():
        source = home(config, workspace, name)
        class_names = manifest.read_clean(source, name).class_names
        labels = npz.Npz(source.npz(Cell(name, split))).labels
        others = np.flatnonzero(labels != 0)
        place = int(others[0]) if len(others) else 0
        truth = int(labels[place])
        tiles = []
        for corruption in (None, *corruptions):
            cell = Cell(name, split) if corruption is None else Cell(name, split, corruption, SEVERITY)
            picture = _picture(_image(source, cell, place))
            answers = _answers(workspace, models, cell, place, class_names, truth)
            tiles.append({"corruption": corruption or CLEAN, "picture": picture, "answers": answers})
        made.append({"dataset": name, "truth": class_names[truth], "index": place, "tiles": tiles})
    return made


def _image(source: Workspace, cell: Cell, place: int) -> Any:
    if source.npz(cell).is_file():
        images = open_cell(source, cell)
    else:
        config = read_config(source)
        column = config.column(cell.dataset)
        images = open_cell(source, cell, backend="cpu", seed=config.seed, profile=config.profile, column=column)
    return rgb(images[place][0].numpy())


def _answers(
    workspace: Workspace,
    models: Sequence[str],
    cell: Cell,
    place: int,
    class_names: Sequence[str],
    truth: int,
) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for model in models:
        with np.load(workspace.logits(model, cell), allow_pickle=False) as archive:
            guess = int(archive["logits"][place].argmax())
        found.append({"model": model, "answer": class_names[guess], "right": guess == truth})
    return found


def _picture(image: Any) -> str:
    """Return an image as a JPEG data address."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).resize((PIXELS, PIXELS), Image.Resampling.BOX).save(
        out, "JPEG", quality=88
    )
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
