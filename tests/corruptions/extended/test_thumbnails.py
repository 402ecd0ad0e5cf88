"""The pictures of docs/corruptions.md show what the kernels give now, one for each corruption of the set."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from corruptions import EXTENDED
from tests.corruptions.extended.thumbnails import CLEAN, FOLDER, encoded

LARGEST = 400_000  # bytes of all together: they are part of the repository


def test_there_is_one_for_each_and_they_are_small() -> None:
    files = list(FOLDER.iterdir())
    assert sorted(file.name for file in files) == sorted(f"{name}.jpg" for name in (CLEAN, *EXTENDED))
    assert sum(file.stat().st_size for file in files) < LARGEST


@pytest.mark.parametrize("name", [CLEAN, *EXTENDED])
def test_it_shows_what_the_kernel_gives(name: str) -> None:
    stored = np.asarray(Image.open(FOLDER / f"{name}.jpg"), np.int16)
    drawn = np.asarray(Image.open(io.BytesIO(encoded(name))), np.int16)
    # Another version of Pillow may decode a level apart.
    assert np.abs(stored - drawn).mean() < 1, f"run: python -m tests.corruptions.extended.thumbnails {name}"
