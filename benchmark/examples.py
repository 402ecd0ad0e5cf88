"""Example images for the report: one a data set, clean and corrupted, beside what each model took it for."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmark.places import CLEAN, Places, cell_name
from benchmark.pool import rgb
from corruptions import CORRUPTIONS, corrupt
from pipeline import manifest, npz
from pipeline.layout import Layout
from pipeline.settings import Settings

SEVERITY = 3
PIXELS = 112
"""Width and height of an example in the report; the models saw 224."""


def examples(
    layout: Layout, places: Places, given: Settings, models: Sequence[str], split: str, datasets: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each data set its name, the true class, and a tile a corruption: picture and each model's answer.

    It is the first image of the split whose class is not the first one, not a chosen one; corrupted anew, with the
    same bytes as the cells.
    """
    made = []
    for name in datasets:
        facts = manifest.read(layout, name, manifest.CLEAN)
        images, labels = npz.read(layout.clean(name, split))
        others = np.flatnonzero(labels != 0)
        place = int(others[0]) if len(others) else 0
        truth = int(labels[place])
        image = np.array(images[place : place + 1])
        grey = facts["native_channels"] == 1
        tiles = []
        for corruption in (CLEAN, *CORRUPTIONS):
            shown = image if corruption == CLEAN else _corrupted(image, corruption, place, given, name, split, grey)
            cell = CLEAN if corruption == CLEAN else cell_name(corruption, SEVERITY)
            answers = _answers(places, models, name, split, cell, place, facts["class_names"], truth)
            tiles.append({"corruption": corruption, "picture": _picture(rgb(shown[0])), "answers": answers})
        made.append({"dataset": name, "truth": facts["class_names"][truth], "index": place, "tiles": tiles})
    return made


def _corrupted(image: Any, corruption: str, place: int, given: Settings, name: str, split: str, grey: bool) -> Any:
    return corrupt(
        image[..., :1] if grey else image,
        corruption,
        SEVERITY,
        dataset=name,
        split=split,
        indices=[place],
        seed=given.seed,
        profile=given.profile,
        column=given.column(name),
    )


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
