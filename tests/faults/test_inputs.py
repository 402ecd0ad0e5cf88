"""Damaged, hostile and odd inputs of the stages; each reader's own tests have the details."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import corrupt, verify
from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.hub import build
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import CLEAN, RELEASED, Cell
from pipeline.workspace.paths import Workspace
from tests.faults import workspace
from tests.faults.workspace import DATASET, contents, leftovers

ARGUMENTS = ["--dataset", DATASET, "--corruption", "contrast", "--workers", "1"]


def spoil(path: Path, kind: str) -> None:
    images, labels = np.zeros((6, 224, 224, 3), np.uint8), np.arange(6)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-200_000])
    elif kind == "unreadable":
        path.write_bytes(b"PK\3\4 is how it begins")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "one bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif kind == "pickled":
        np.savez(path, images=np.array([{}] * 6, dtype=object), labels=labels)
    elif kind == "pickled labels":
        np.savez(path, images=images, labels=np.array(["a"] * 6, dtype=object))
    elif kind == "wrong dtype":
        np.savez(path, images=images.astype(np.int16), labels=labels)
    elif kind == "NaN":
        np.savez(path, images=np.full(images.shape, np.nan, np.float32), labels=labels)
    elif kind == "no image":
        np.savez(path, images=images[:0], labels=labels[:0])
    elif kind == "more images":
        np.savez(path, images=np.repeat(images, 2, 0), labels=np.repeat(labels, 2))
    elif kind == "other labels":
        opened = npz.read(path)
        np.savez(path, images=np.array(opened.images), labels=opened.labels + 7)
    elif kind == "deflate bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", npz.header_bytes((6, 224, 224, 3), "|u1") + bytes(10_000_000))
            archive.writestr("labels.npy", npz.header_bytes((6,), "<i8") + labels.tobytes())


KINDS = (
    *("truncated", "unreadable", "folder", "one bit", "pickled", "pickled labels", "wrong dtype", "NaN", "no image"),
    *("more images", "other labels", "deflate bomb"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    root = workspace.make(tmp_path)
    path = Workspace(root).npz(Cell(DATASET, "test"))
    spoil(path, kind)
    assert corrupt.main(["--root", str(root), *ARGUMENTS]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert str(path) in said
    assert not list(path.parent.glob("contrast*"))
    assert not (root / "manifests" / DATASET / "contrast.json").exists()
    assert not leftovers(root)


@pytest.mark.parametrize("kind", KINDS)
def test_verify_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    root = workspace.make(tmp_path)
    path = Workspace(root).npz(Cell(DATASET, "test"))
    spoil(path, kind)
    assert verify.main(["--root", str(root), "--workers", "2"]) == 1
    said = capsys.readouterr().err
    assert str(path) in said
    assert "Traceback" not in said


def test_labels_out_of_range_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = workspace.make(tmp_path)
    paths = Workspace(root)
    manifest.write(paths, manifest.read_clean(paths, DATASET).changed(class_names=("only",)))
    assert verify.main(["--root", str(root)]) == 1
    assert "labels 0..1 for 1 classes" in capsys.readouterr().err


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_one_image_a_split(tmp_path: Path, corruption: str) -> None:
    root = workspace.make(tmp_path, val=1, test=1)
    assert corrupt.main(["--root", str(root), "--dataset", DATASET, "--corruption", corruption, "--workers", "4"]) == 0
    for severity in SEVERITIES:
        assert npz.Npz(Workspace(root).npz(Cell(DATASET, "test", corruption, severity))).shape == (1, 224, 224, 3)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("compression", npz.COMPRESSIONS)
def test_no_image_at_all(tmp_path: Path, corruption: str, compression: str) -> None:
    """An empty split is refused by prepare; should one come otherwise, it stays empty."""
    root = workspace.make(tmp_path, val=0, test=1, compression=compression)
    assert corrupt.main(["--root", str(root), "--dataset", DATASET, "--corruption", corruption]) == 0
    assert npz.read(Workspace(root).npz(Cell(DATASET, "val", corruption, 3))).images.shape == (0, 224, 224, 3)


@pytest.mark.parametrize(
    "images",
    [
        np.full((2, 8, 8, 3), np.nan),
        np.full((2, 8, 8, 3), np.nan, np.float16),
        np.zeros((2, 8, 8, 3), np.int8),
        np.zeros((2, 8, 8, 3), bool),
        np.array([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], dtype=object),
        [[[0, 1], [2, 3]]],
        None,
    ],
    ids=["NaN", "half NaN", "int8", "bool", "mixed sizes", "list", "None"],
)
def test_corrupt_takes_uint8_and_nothing_else(images: object) -> None:
    for name in CORRUPTIONS:
        with pytest.raises(TypeError, match=r"images must be a uint8 array of shape \(N, H, W, C\), not a "):
            corruptions.corrupt(images, name, 1, dataset="x", split="val", seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "name both --dataset and --corruption, or only --all"),
        (["--dataset", "pbc"], "name both"),
        (["--all", "--dataset", "pbc"], "name both"),
        (["--all", "--scheduler", "tcp://x:1"], "go together"),
        (["--all", "--backend-parallel", "dask"], "go together"),
        ([*ARGUMENTS, "--backend-parallel", "dask", "--scheduler", "tcp://x:1"], "go together"),
        ([*ARGUMENTS[:4], "--workers", "-1"], "must be at least 1"),
        ([*ARGUMENTS[:4], "--workers", "two"], "invalid positive value"),
        ([*ARGUMENTS, "--batch", "0"], "must be at least 1"),
    ],
)
def test_bad_arguments_end_with_2(capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        corrupt.main(argv)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_all_does_what_single_tasks_do(tmp_path: Path) -> None:
    (tmp_path / "single").mkdir()
    (tmp_path / "all").mkdir()
    single, everything = workspace.make(tmp_path / "single", test=2), workspace.make(tmp_path / "all", test=2)
    for corruption in CORRUPTIONS:
        assert corrupt.main(["--root", str(single), "--dataset", DATASET, "--corruption", corruption]) == 0
    assert corrupt.main(["--root", str(everything), "--all"]) == 0
    assert contents(everything) == contents(single)


def complaint(root: Path) -> str:
    """Return what is wrong with params.yaml, or nothing; any other exception is a failure."""
    try:
        read_config(Workspace(root))
    except UserError as mistake:
        return str(mistake)
    return ""


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_params_file_is_settings_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    said = complaint(tmp_path)
    assert "params.yaml" in said
    assert "\n" not in said


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
_NAMES = sorted(Config.model_fields)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(_NAMES), value=_VALUES)
def test_any_value_in_params_is_settings_or_a_sentence(tmp_path: Path, name: str, value: object) -> None:
    workspace.write_params(tmp_path, **{name: value})
    assert "\n" not in complaint(tmp_path)


@pytest.mark.parametrize("text", ["a: 2020-99-99", "a: 0b_", "a: " + "[" * 3000, "counts: {1: 2, train: 3}"])
def test_what_yaml_itself_cannot_bear_is_a_sentence(tmp_path: Path, text: str) -> None:
    workspace.write_params(tmp_path)
    with (tmp_path / "params.yaml").open("a") as params:
        params.write(text)
    assert "params.yaml" in complaint(tmp_path)


def _changed(value: object, data: st.DataObject) -> object:
    """Return a manifest with one of its values, at any depth, replaced or left out."""
    if not isinstance(value, dict) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(st.sampled_from([None, [], {}, "x", 1.5, True]))
    key = data.draw(st.sampled_from(sorted(value)))
    if data.draw(st.integers(0, 3)) == 0:
        return {name: inner for name, inner in value.items() if name != key}
    return value | {key: _changed(value[key], data)}


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_any_manifest_is_read_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    """Of what stages look up, see pipeline.workspace.paths: names, counts and checksums."""
    paths = Workspace(tmp_path)
    if not (tmp_path / "params.yaml").exists():
        workspace.make(tmp_path)
    path = paths.manifest(DATASET, CLEAN)
    whole = path.read_text()
    path.write_text(json.dumps(_changed(json.loads(whole), data)))
    try:
        clean = manifest.read_clean(paths, DATASET)
        for entry in map(clean.split, RELEASED):
            fields = (entry.count, entry.images, entry.labels, clean.channels, clean.native_channels)
            assert all(isinstance(value, int | str) for value in fields)
        assert isinstance(clean.class_names, tuple)
    except UserError as mistake:
        said = str(mistake)
    else:
        said = str(path)
    finally:
        path.write_text(whole)
    assert str(path) in said or said.startswith(f"{DATASET} has no split ")


@pytest.mark.parametrize("text", ["null", "[]", '"x"', "[" * 100_000, "{", "{}"])
def test_a_manifest_that_is_none_is_a_finding_and_never_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    root = workspace.make(tmp_path)
    path = Workspace(root).manifest(DATASET, CLEAN)
    path.write_text(text)
    assert verify.main(["--root", str(root)]) == 1
    assert str(path) in capsys.readouterr().err
    assert corrupt.main(["--root", str(root), *ARGUMENTS]) == 1
    said = capsys.readouterr().err
    assert str(path) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"splits": {"val": None, "test": None}},
        {"splits": []},
        {"cells": {"val": {"1": None}}},
        {"class_names": ["one", None]},
        {"source": None},
        {"channels": "3"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_manifest_of_another_shape_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object]
) -> None:
    root = workspace.make(tmp_path)
    path = Workspace(root).manifest(DATASET, CLEAN)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert corrupt.main(["--root", str(root), *ARGUMENTS]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: ")
    assert next(iter(changed)) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0", b"split,image_id\nval," + bytes(200_000), b"split\nval\n", b"a\nb\n"]
)
def test_a_damaged_table_of_rows_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    paths = Workspace(tmp_path)
    path = paths.rows(DATASET)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.csv"):
        build.source_ids(paths, DATASET)
