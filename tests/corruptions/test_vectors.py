"""Every cell against the check vectors of the definitions, and against this project's own golden checksums."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from corruptions import CORRUPTIONS, PROFILES, sweep
from corruptions.table import BYTES_VERSION, COLUMNS
from tests.corruptions import remake_goldens
from tests.corruptions.pictures import digest, waves

VECTORS = json.loads(pathlib.Path(__file__).with_name("check_vectors.json").read_text())
CELLS = VECTORS["sha256 of the result's bytes (first 16 hex digits), severities 1..5"]
MORE = VECTORS["more sha256 of the result's bytes (first 16 hex digits), severities 1..5"]


def test_the_check_vectors_are_all_there() -> None:
    assert len(CELLS) == 2 * len(CORRUPTIONS) * (1 + len(COLUMNS))
    assert len(MORE) == 5 * 2 * len(CORRUPTIONS) + 4


@pytest.mark.parametrize("cell", CELLS)
def test_check_vector(cell: str) -> None:
    channels, profile, dataset, name = cell.split()
    images = waves(2, 37, 53, int(channels[2:]))
    made = sweep(images, name, dataset=dataset, split="test", indices=[5, 12345], seed=1, profile=profile)
    assert " ".join(digest(result) for _, result in made) == CELLS[cell]


@pytest.mark.parametrize("cell", MORE)
def test_check_vector_at_other_sizes(cell: str) -> None:
    height, width, channels, profile, name = cell.split()
    images = waves(1, int(height[2:]), int(width[2:]), int(channels[2:]))
    h, w = np.ogrid[: images.shape[1], : images.shape[2]]
    images[:, (h + w) % 5 == 0] = 0
    made = sweep(images, name, dataset="oct", split="test", indices=[9], seed=1, profile=profile)
    assert " ".join(digest(result) for _, result in made) == MORE[cell]


def test_goldens_are_of_this_version_and_complete() -> None:
    goldens = json.loads(remake_goldens.PATH.read_text())
    assert goldens["bytes_version"] == BYTES_VERSION
    assert goldens["images"] == remake_goldens.IMAGES
    pictures = len(remake_goldens.IMAGES) * 2
    assert len(goldens["digests"]) == len(PROFILES) * len(COLUMNS) * pictures * len(CORRUPTIONS)


def test_goldens() -> None:
    goldens = json.loads(remake_goldens.PATH.read_text())["digests"]
    changed = [name for name, digests in remake_goldens.rows() if goldens.get(name) != digests]
    assert not changed, (
        f"the bytes changed: see tests/corruptions/remake_goldens.py; {len(changed)} rows: {changed[:9]}"
    )


def test_goldens_are_not_remade_without_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    before = remake_goldens.PATH.read_bytes()
    monkeypatch.setattr("sys.argv", ["remake_goldens"])
    with pytest.raises(SystemExit):
        remake_goldens.main()
    assert remake_goldens.PATH.read_bytes() == before
