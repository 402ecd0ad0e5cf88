from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cell import Cell
from pipeline.config import read_config
from pipeline.errors import UserError
from pipeline.paths import Workspace
from tests.pipeline.conftest import REPOSITORY, write_params


def test_the_projects_own_params_are_valid() -> None:
    assert read_config(Workspace(REPOSITORY)).source == "phantom"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "internet"}, "source is 'internet'; have phantom, medimeta, medmnist, imagefolder"),
        ({"profile": "strong"}, "profile is 'strong'; have imagenet-c, modality"),
        ({"channels": 3}, "channels is 3; have rgb, native"),
        ({"compression": "zstd"}, "compression is 'zstd'; have stored, deflated"),
        ({"datasets": []}, "datasets must be a list of names"),
        ({"datasets": "pbc"}, "datasets must be a list of names"),
        ({"datasets": ["../x"]}, "only letters, digits and _"),
        ({"datasets": ["a-b"]}, "only letters, digits and _"),
        ({"datasets": ["pbc", "PBC"]}, "names one twice"),
        ({"splits": {"test": "test"}}, "where each of val, test is taken from"),
        ({"splits": {"val": "dev", "test": "test"}}, "splits takes 'dev'"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"columns": {"mine": []}}, r"columns gives 'mine' to \[\]"),
        ({"columns": ["fundus"]}, "columns must be a mapping"),
        ({"columns": {"mine": "mri"}}, "columns gives 'mine' to 'mri'; have aml, pbc"),
        ({"datasets": ["mine"], "profile": "modality"}, "no column for mine"),
        ({"counts": {"train": 1}}, "counts must give a whole number for each"),
        ({"limit": 0}, "limit must be a whole number from 1, or null"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_choices(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    write_params(tmp_path, **changes)
    with pytest.raises(UserError, match=sentence) as caught:
        read_config(Workspace(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a: [", "is not YAML"), ("- a", "must hold names and values"), ("source: phantom", "lacks datasets")],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_config(Workspace(tmp_path))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--root"):
        read_config(Workspace(tmp_path))


def test_an_own_data_set_takes_a_column(tmp_path: Path) -> None:
    write_params(tmp_path, datasets=["mine"], columns={"mine": "fundus"}, profile="modality")
    chosen = read_config(Workspace(tmp_path))
    assert chosen.column("mine") == "fundus"
    assert chosen.column("pbc") == "pbc"


def test_counts_are_the_phantoms_and_the_limit_is_everyones(tmp_path: Path) -> None:
    write_params(tmp_path, limit=4)
    assert (read_config(Workspace(tmp_path)).count("train"), read_config(Workspace(tmp_path)).count("val")) == (4, 3)
    write_params(tmp_path, source="medimeta")
    assert read_config(Workspace(tmp_path)).count("test") is None
    write_params(tmp_path, source="medimeta", limit=7)
    assert read_config(Workspace(tmp_path)).count("test") == 7


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "a b", "_x"])
def test_no_path_leaves_the_workspace(tmp_path: Path, name: str) -> None:
    layout = Workspace(tmp_path)
    for path in (
        lambda: layout.npz(Cell(name, "val")),
        lambda: layout.npz(Cell(name, "train")),
        lambda: layout.npz(Cell(name, "val", "contrast", 1)),
        lambda: layout.manifest(name, "clean"),
        lambda: layout.rows(name),
    ):
        with pytest.raises(UserError):
            path()
