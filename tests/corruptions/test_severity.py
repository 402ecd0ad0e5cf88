"""A higher severity is a worse image, on real photographs that scikit-image's wheel holds."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from corruptions import CORRUPTIONS, sweep
from corruptions.table import COLUMNS

COLUMN_OF = {column: dataset for dataset, column in COLUMNS.items()}
TABLES = ["imagenet-c", *COLUMN_OF]
PHOTOGRAPHS = ("retina", "immunohistochemistry", "microaneurysms")


@functools.cache
def photograph(name: str) -> NDArray[np.uint8]:
    """Return a small part or a small copy of a photograph; uint8 (1, H, W, C)."""
    if name == "retina":
        # The whole eye with its black surroundings, 6 x 6 pixels averaged into one.
        blocks = skimage.data.retina()[:1410, :1410].reshape(235, 6, 235, 6, 3)
        return np.ascontiguousarray(blocks.mean((1, 3)).round().astype(np.uint8)[None, 5:229, 5:229])
    if name == "immunohistochemistry":
        return np.ascontiguousarray(skimage.data.immunohistochemistry()[None, 100:324, 100:324])
    return np.ascontiguousarray(skimage.data.microaneurysms()[None, ..., None])


def _measures(clean: NDArray[np.uint8], name: str, table: str) -> tuple[list[float], list[float]]:
    """Return the similarity to the clean image and the root mean square distance from it, severities 1 to 5."""
    profile = "imagenet-c" if table == "imagenet-c" else "modality"
    made = sweep(clean, name, dataset="photographs", split="test", seed=1, profile=profile, column=COLUMN_OF.get(table))
    similar, distant = [], []
    for _severity, image in made:
        similar.append(float(structural_similarity(clean[0], image[0], channel_axis=2, data_range=255)))
        distant.append(float(np.sqrt(((image.astype(float) - clean) ** 2).mean())))
    return similar, distant


@pytest.mark.parametrize("picture", PHOTOGRAPHS)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "zoom_blur"])
def test_similarity_falls_as_severity_rises(name: str, table: str, picture: str) -> None:
    similar, _ = _measures(photograph(picture), name, table)
    assert (np.diff([1.0, *similar]) < 0).all(), similar


@pytest.mark.parametrize("picture", PHOTOGRAPHS)
@pytest.mark.parametrize(("milder", "worse"), [(1, 2), (3, 4), (1, 5)])
def test_zoom_blur_is_worse_where_its_steps_are_alike(milder: int, worse: int, picture: str) -> None:
    # ImageNet-C's own strengths: severities 3 and 5 zoom further than the one before but in fewer steps, so more of
    # the sharp image stays in the mean, and neither similarity nor distance orders all five.
    similar, distant = _measures(photograph(picture), "zoom_blur", "imagenet-c")
    assert similar[milder - 1] > similar[worse - 1], similar
    assert distant[milder - 1] < distant[worse - 1], distant
