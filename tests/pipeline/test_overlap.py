"""The same image in two splits of a data set: refused when it is prepared, or counted in manifests and card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import export, prepare
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.workspace import manifest
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import write_params
from tests.pipeline.hub import tiny
from tests.pipeline.sources import medmnist_files

SPLITS = ("val", "test", "train")


def folder(root: Path, levels: Mapping[str, list[int]], **params: object) -> Workspace:
    """Write a folder of images, each of one grey level, and params.yaml."""
    write_params(
        root, **({"source": "imagefolder", "datasets": ["mine"], "columns": {"mine": "oct"}, "limit": None} | params)
    )
    workspace = Workspace(root)
    for split, of_split in levels.items():
        where = workspace.raw("imagefolder") / "mine" / split / "a"
        where.mkdir(parents=True)
        for k, level in enumerate(of_split):
            Image.fromarray(np.full((4, 4), level, np.uint8)).save(where / f"{split}{k}.png")
    return workspace


def run(workspace: Workspace, dataset: str = "mine") -> list[str]:
    """Prepare a data set; return the texts of its two manifests."""
    prepare.prepare(workspace, dataset, read_config(workspace), workers=1)
    return [workspace.manifest(dataset, name).read_text() for name in ("clean", "prepared")]


def test_one_file_in_train_and_test_is_an_error_or_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = folder(tmp_path, {"val": [0], "test": [1, 2], "train": [3, 4]})
    mine = workspace.raw("imagefolder") / "mine"
    shutil.copy(mine / "train/a/train1.png", mine / "test/a/zz.png")
    Image.open(mine / "test/a/test0.png").convert("RGB").save(mine / "val/a/zz.png")  # another file, the same pixels
    with pytest.raises(UserError) as caught:
        run(workspace)
    said = str(caught.value)
    assert (
        "mine: the same image stands in two splits: 1 in val and test (val 1 'a/zz.png' = test 0 'a/test0.png')" in said
    )
    assert (
        "; 1 in test and train (test 2 'a/zz.png' = train 1 'a/train1.png'). Take one of each out of the source" in said
    )
    assert "or set allow_overlap: true in params.yaml" in said
    assert not workspace.manifest("mine", "clean").exists()
    write_params(tmp_path, **yaml.safe_load(workspace.params.read_text()) | {"allow_overlap": True})
    run(workspace)
    assert "warning: mine: the same image stands in two splits: 1 in val" in capsys.readouterr().err
    counts = {"val and test": 1, "test and train": 1}
    assert manifest.read_clean(workspace, "mine").overlap == manifest.read_prepared(workspace, "mine").overlap == counts


levels = st.lists(st.integers(0, 5), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(of_split=st.fixed_dictionaries(dict.fromkeys(SPLITS, levels)))
def test_the_count_is_of_different_images_whatever_repeats_within_a_split(of_split: dict[str, list[int]]) -> None:
    pairs = (("val", "test"), ("val", "train"), ("test", "train"))
    counts = {f"{a} and {b}": len(set(of_split[a]) & set(of_split[b])) for a, b in pairs}
    counts = {splits: count for splits, count in counts.items() if count}
    with tempfile.TemporaryDirectory() as root:
        workspace = folder(Path(root), of_split, allow_overlap=True)
        texts = run(workspace)
        assert manifest.read_clean(workspace, "mine").overlap == counts
        write_params(Path(root), **yaml.safe_load(workspace.params.read_text()) | {"allow_overlap": False})
        if counts:
            with pytest.raises(UserError, match="; ".join(f"{n} in {splits} .*" for splits, n in counts.items())):
                run(workspace)
        else:
            assert run(workspace) == texts, "a build without an overlap says nothing of it"
            assert not any("overlap" in text for text in texts)


@pytest.mark.parametrize("val", ["train", "test"])
def test_splits_of_the_same_split_of_the_source_are_no_overlap(tmp_path: Path, val: str) -> None:
    workspace = folder(tmp_path, {"test": [1, 1], "train": [3, 4]}, splits={"val": val, "test": "test"}, benchmark={})
    assert not any("overlap" in text for text in run(workspace))


def test_duplicates_in_a_released_file_are_named_and_counted(tmp_path: Path) -> None:
    write_params(tmp_path, source="medmnist", datasets=["breastmnist"], limit=None)
    workspace = Workspace(tmp_path)
    workspace.raw("medmnist").mkdir(parents=True)
    train, test = medmnist_files.pixels(9), medmnist_files.pixels(5, seed=2)
    test[4] = test[3]
    medmnist_files.write(workspace.raw("medmnist"), "breastmnist", train_images=train, test_images=test)
    assert not any("overlap" in text for text in run(workspace, "breastmnist"))
    test[:] = train[2:7]
    medmnist_files.write(workspace.raw("medmnist"), "breastmnist", train_images=train, test_images=test)
    with pytest.raises(
        UserError, match=r"5 in test and train \(test 0 .* = train 2 .*, test 2 .* = train 4 .* and 2 more"
    ):
        run(workspace, "breastmnist")


def test_the_card_and_croissant_say_what_is_shared(tmp_path: Path) -> None:
    workspace = tiny.make(tmp_path, source="medmnist")
    shared = manifest.read_clean(workspace, "pbc").changed(overlap={"val and test": 2, "test and train": 31})
    manifest.write(workspace, shared)
    params = yaml.safe_load(workspace.params.read_text()) | {"allow_overlap": True}
    workspace.params.write_text(yaml.safe_dump(params))
    tiny.verified(workspace)
    tiny.commit(tmp_path)
    assert export.main(["--root", str(tmp_path)]) == 0
    card = (workspace.export / "README.md").read_text()
    said = "Images that two splits share: 31 in test and train; 2 in val and test."
    assert f"- pbc: {said}" in card
    assert card.count("splits share") == 1
    assert "allow_overlap: true" in card.split("## Rebuild")[1]
    assert f"pbc: {said}" in (workspace.export / "croissant.json").read_text()
