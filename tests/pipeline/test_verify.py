"""Every defect that verify knows is planted once and must be named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corruptions import CORRUPTIONS
from pipeline import verify
from pipeline.config.params import read_config
from pipeline.generation import cells, check
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.faults.workspace import DATASET, make
from tests.pipeline.conftest import DATASETS, write_params


@pytest.fixture
def workspace(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy with one data set, and take the SSIM of one image a file: these tests read much."""
    monkeypatch.setattr(check, "SAMPLE", 1)
    for part in ("data/MediMeta-C/pbc", "manifests/pbc"):
        shutil.copytree(built / part, tmp_path / part)
    write_params(tmp_path, datasets=["pbc"])
    return tmp_path


def found(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = verify.main(["--root", str(root), "--workers", "2"])
    return code, capsys.readouterr().err


def rewrite(path: Path, change: Callable[[np.ndarray, np.ndarray], npz.Arrays]) -> None:
    read = npz.read(path)
    made = change(np.array(read.images), np.array(read.labels))
    np.savez(path, images=made.images, labels=made.labels)


def accept(root: Path, dataset: str, corruption: str, severity: int) -> None:
    """Write the checksums of a changed file into its manifest, to plant a defect that no checksum shows."""
    workspace = Workspace(root)
    recorded = manifest.read_corruption(workspace, dataset, corruption)
    read = npz.read(workspace.npz(Cell(dataset, "test", corruption, severity)))
    with npz.write(root / "again.npz", read.labels, read.images.shape[1:]) as writer:
        writer.append(np.asarray(read.images))
    changed = recorded.cells["test"][severity].changed(**writer.checksums._asdict())
    cells = recorded.cells | {"test": recorded.cells["test"] | {severity: changed}}
    manifest.write(workspace, recorded.changed(cells=cells))
    (root / "again.npz").unlink()


def test_a_whole_build_is_clean(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(workspace, capsys) == (0, "")
    metric = json.loads((workspace / "metrics" / "verify.json").read_text())
    assert metric == {
        "files": 2 * 36,
        "images": (3 + 5) * 36,
        "findings": 0,
        "manifests": manifest.build_checksum(Workspace(workspace), DATASETS),
    }


def cell(root: Path) -> Path:
    return Workspace(root).npz(Cell("pbc", "test", "contrast", 2))


def plant_missing(root: Path) -> None:
    cell(root).unlink()


def plant_truncated(root: Path) -> None:
    cell(root).write_bytes(cell(root).read_bytes()[:-1000])


def plant_shape(root: Path) -> None:
    rewrite(cell(root), lambda images, labels: npz.Arrays(images[:, :200], labels))


def plant_dtype(root: Path) -> None:
    rewrite(cell(root), lambda images, labels: npz.Arrays(images.astype(np.int16), labels))


def plant_count(root: Path) -> None:
    rewrite(cell(root), lambda images, labels: npz.Arrays(images[:4], labels[:4]))


def plant_labels(root: Path) -> None:
    rewrite(cell(root), lambda images, labels: npz.Arrays(images, labels[::-1]))


def plant_flipped_bit(root: Path) -> None:
    def flip(images: np.ndarray, labels: np.ndarray) -> npz.Arrays:
        images[3, 100, 100, 1] ^= 1
        return npz.Arrays(images, labels)

    rewrite(cell(root), flip)


def plant_constant(root: Path) -> None:
    def blank(images: np.ndarray, labels: np.ndarray) -> npz.Arrays:
        images[1:3] = 7
        return npz.Arrays(images, labels)

    rewrite(cell(root), blank)
    accept(root, "pbc", "contrast", 2)


def plant_clean(root: Path) -> None:
    shutil.copy(Workspace(root).npz(Cell("pbc", "test")), cell(root))
    accept(root, "pbc", "contrast", 2)


def plant_swapped_severities(root: Path) -> None:
    one, five = (Workspace(root).npz(Cell("pbc", "test", "contrast", k)) for k in (1, 5))
    kept = one.read_bytes()
    shutil.copy(five, one)
    five.write_bytes(kept)
    accept(root, "pbc", "contrast", 1)
    accept(root, "pbc", "contrast", 5)


def plant_label_out_of_range(root: Path) -> None:
    def shift(images: np.ndarray, labels: np.ndarray) -> npz.Arrays:
        labels[0] = 8
        return npz.Arrays(images, labels)

    rewrite(Workspace(root).npz(Cell("pbc", "test")), shift)


def plant_no_manifest(root: Path) -> None:
    Workspace(root).manifest("pbc", "contrast").unlink()


def plant_stranger(root: Path) -> None:
    (Workspace(root).release / "notes").mkdir()


def plant_stranger_file(root: Path) -> None:
    (Workspace(root).release / "pbc" / "test" / "fog_severity_1.npz").write_bytes(b"")


def plant_leftover(root: Path) -> None:
    (Workspace(root).release / "pbc" / "test" / ".tmp-clean.npz.01234567").write_bytes(b"")


def plant_other_seed(root: Path) -> None:
    write_params(root, datasets=["pbc"], seed=1)


@pytest.mark.parametrize(
    ("plant", "sentences"),
    [
        (plant_missing, ["no /", "pbc/test/contrast_severity_2.npz: run `dvc repro`"]),
        (plant_truncated, ["contrast_severity_2.npz is not a whole zip archive", "delete it and run `dvc repro`"]),
        (plant_shape, ["images have shape (5, 200, 224, 3)", "another checksum"]),
        (plant_dtype, ["images must be uint8 with 4 dimensions, not int16"]),
        (plant_count, ["images have shape (4, 224, 224, 3), the manifest says (5, 224, 224, 3)"]),
        (plant_labels, ["labels have another checksum", "labels are not those of clean.npz"]),
        (plant_flipped_bit, ["images have another checksum"]),
        (plant_constant, ["not what contrast makes of the clean images: image 1, image 2"]),
        (plant_clean, ["not what contrast makes of the clean images: image 0, image 1, image 2 and 2 more"]),
        (
            plant_swapped_severities,
            ["severity_1.npz: not what contrast makes", "severity_5.npz: not what contrast makes"],
        ),
        (plant_label_out_of_range, ["..8 for 8 classes"]),
        (plant_no_manifest, ["contrast.json: restore it with git or run `dvc repro`"]),
        (plant_stranger, ["notes: not part of the release"]),
        (plant_stranger_file, ["fog_severity_1.npz: not part of the release"]),
        (plant_leftover, ["left by an interrupted run"]),
        (plant_other_seed, ["seed is not that of params.yaml"]),
    ],
    ids=lambda value: value.__name__.removeprefix("plant_") if callable(value) else "",
)
def test_a_planted_defect_is_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], plant: Callable[[Path], None], sentences: list[str]
) -> None:
    plant(workspace)
    code, said = found(workspace, capsys)
    assert code == 1
    for sentence in sentences:
        assert sentence in said
    assert not (workspace / "metrics" / "verify.json").exists()


def test_one_run_lists_every_finding(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_missing(workspace)
    Workspace(workspace).npz(Cell("pbc", "val", "pixelate", 1)).write_bytes(b"")
    plant_stranger(workspace)
    _, said = found(workspace, capsys)
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("similarities", "wrong"),
    [
        ([0.834, 0.819, 0.834, 0.826, 0.831], False),  # zoom_blur of a retina: fewer copies are averaged at 3 and 5
        ([0.9, 0.8, 0.7, 0.6, 0.5], False),
        ([0.9, 0.8, 0.85, 0.6, 0.5], True),
        ([0.83, 0.825, 0.83, 0.831, 0.835], True),
        ([1.0, 1.0, 1.0, 1.0, 1.0], False),  # what it cannot change has no order
    ],
)
def test_a_small_rise_of_similarity_is_not_named(similarities: list[float], wrong: bool) -> None:
    assert check.is_out_of_order(np.array([[s, s] for s in similarities])) is wrong


def _black(rng: np.random.Generator) -> np.ndarray:
    return np.zeros((224, 224, 3), np.uint8)


def _white(rng: np.random.Generator) -> np.ndarray:
    return np.full((224, 224, 3), 255, np.uint8)


def _dark(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(3, 10, (224, 224, 3)).astype(np.uint8)


def _texture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2, (224, 224, 3)).astype(np.uint8) * 255


def _checkers(rng: np.random.Generator) -> np.ndarray:
    return (np.indices((224, 224)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)


def _one_colour(rng: np.random.Generator) -> np.ndarray:
    return np.full((224, 224, 3), rng.integers(0, 256, 3), np.uint8)


@pytest.mark.parametrize(
    "picture", [_black, _white, _dark, _texture, _checkers, _one_colour], ids=lambda picture: picture.__name__
)
def test_what_a_corruption_cannot_change_is_no_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Callable[[np.random.Generator], np.ndarray]
) -> None:
    pictures = np.stack([picture(np.random.default_rng(k)) for k in range(2)])
    make(tmp_path, val=1, test=2, pictures=pictures)
    workspace = Workspace(tmp_path)
    for corruption in CORRUPTIONS:
        cells.corrupt(workspace, DATASET, corruption, read_config(workspace))
    assert verify.main(["--root", str(tmp_path), "--workers", "2"]) == 0
    output = capsys.readouterr()
    assert "72 files, 108 images, 0 findings" in output.out
    assert all(line.startswith("warning: ") for line in output.err.splitlines())


def test_an_image_is_named_by_where_it_came_from(
    workspace: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "data" / "prepared").mkdir(parents=True)
    shutil.copytree(built / "data" / "prepared" / "pbc", workspace / "data" / "prepared" / "pbc")
    plant_constant(workspace)
    rows = Workspace(workspace).rows("pbc").read_text(encoding="utf-8").splitlines()
    image_id = next(row for row in rows if row.startswith("test,1,")).split(",", 3)[3]
    assert f"image 1 ({image_id}), image 2 (" in found(workspace, capsys)[1]


def test_a_data_set_of_earlier_parameters_is_a_warning(
    workspace: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = manifest.build_checksum(Workspace(workspace), ["pbc"])
    for part in ("data/MediMeta-C/oct", "manifests/oct"):
        shutil.copytree(built / part, workspace / part)
    code, said = found(workspace, capsys)
    assert json.loads((workspace / "metrics" / "verify.json").read_text())["manifests"] == name
    assert code == 0
    assert said.splitlines() == [
        f"warning: {workspace}/data/MediMeta-C/oct: not among params.yaml's data sets, and left alone; readers list it"
    ]
