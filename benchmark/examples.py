"""Example images for the report: one a data set, clean and corrupted, beside what each model took it for."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark import data
from benchmark.places import CLEAN, Places, cell_name
from benchmark.plan import plan
from benchmark.pool import rgb
from pipeline import manifest, npz
from pipeline.layout import Layout
from pipeline.settings import settings

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
    places, chosen = Places(root), plan(root)
    made = []
    for name, corruptions in datasets.items():
        home = chosen.home(root, name)
        class_names = manifest.read(home, name, manifest.CLEAN)["class_names"]
        labels = npz.Npz(home.clean(name, split)).labels
        others = np.flatnonzero(labels != 0)
        place = int(others[0]) if len(others) else 0
        truth = int(labels[place])
        tiles = []
        for corruption in (None, *corruptions):
            picture = _picture(_image(home, name, split, corruption, place))
            cell = CLEAN if corruption is None else cell_name(corruption, SEVERITY)
            answers = _answers(places, models, name, split, cell, place, class_names, truth)
            tiles.append({"corruption": corruption or CLEAN, "picture": picture, "answers": answers})
        made.append({"dataset": name, "truth": class_names[truth], "index": place, "tiles": tiles})
    return made


def _image(home: Layout, name: str, split: str, corruption: str | None, place: int) -> Any:
    if corruption is None:
        cell = data.cell(home, name, split)
    elif home.cell(name, split, corruption, SEVERITY).is_file():
        cell = data.cell(home, name, split, corruption, SEVERITY)
    else:
        given = settings(home.root)
        seed, profile, column = given.seed, given.profile, given.column(name)
        cell = data.cell(home, name, split, corruption, SEVERITY, made="cpu", seed=seed, profile=profile, column=column)
    return rgb(cell[place][0].numpy())


def _answers(
    places: Places,
    models: Sequence[str],
    name: str,
    split: str,
    cell: str,
    place: int,
    class_names: Sequence[str],
    truth: int,
) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for model in models:
        with np.load(places.logits(model, name, split, cell), allow_pickle=False) as archive:
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
