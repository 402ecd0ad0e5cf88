from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import corrupt, gallery, prepare
from pipeline.config.params import read_config
from pipeline.generation import cells
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import PREPARED, RELEASED, Cell
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import COUNTS, DATASETS, build, write_params


def manifests(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() for p in sorted((root / "manifests").rglob("*.json"))}


def test_the_tree_holds_the_data_sets_and_nothing_else(built: Path) -> None:
    release = Workspace(built).release
    assert sorted(p.name for p in release.iterdir()) == DATASETS
    for dataset in DATASETS:
        assert sorted(p.name for p in (release / dataset).iterdir()) == sorted(RELEASED)
        for split in RELEASED:
            expected = {"clean.npz"} | {f"{c}_severity_{k}.npz" for c in CORRUPTIONS for k in SEVERITIES}
            assert {p.name for p in (release / dataset / split).iterdir()} == expected


def test_a_published_reader_sees_every_image(built: Path) -> None:
    """The loop of downstream code: list folders, load, convert."""
    seen = 0
    for folder in (built / "data" / "MediMeta-C").iterdir():
        for path in folder.rglob("*.npz"):
            loaded = np.load(path)
            images, labels = loaded["images"], loaded["labels"]
            assert labels.dtype == np.int64
            for i in range(len(images)):
                picture = Image.fromarray(images[i].astype(np.uint8), mode="RGB")
                assert picture.size == (224, 224)
                seen += 1
    assert seen == len(DATASETS) * (COUNTS["val"] + COUNTS["test"]) * (1 + len(CORRUPTIONS) * len(SEVERITIES))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_grey_images_are_corrupted_as_one_channel_then_replicated(built: Path, corruption: str) -> None:
    layout = Workspace(built)
    clean = npz.read(layout.npz(Cell("oct", "test")))
    made = npz.read(layout.npz(Cell("oct", "test", corruption, 4)))
    seed = read_config(Workspace(built)).seed
    expected = corruptions.corrupt(clean.images[..., :1], corruption, 4, dataset="oct", split="test", seed=seed)
    np.testing.assert_array_equal(made.images, np.repeat(expected, 3, axis=-1))
    np.testing.assert_array_equal(made.labels, clean.labels)


def test_workers_and_batches_change_nothing(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path)
    build(tmp_path, workers=4, batch=1)
    assert manifests(tmp_path) == manifests(built)
    one = Workspace(built).npz(Cell("pbc", "val", "motion_blur", 5))
    other = Workspace(tmp_path).npz(Cell("pbc", "val", "motion_blur", 5))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_gpu_backend_writes_the_same_manifest(workspace: Path, corruption: str) -> None:
    settings, before = read_config(Workspace(workspace)), manifests(workspace)
    execution = cells.Execution(backend="gpu", device="cpu", batch=2)
    cells.corrupt(Workspace(workspace), "oct", corruption, settings, execution)
    after = manifests(workspace)
    path = f"manifests/oct/{corruption}.json"
    assert '"backend": "gpu"' in after[path]
    assert after | {path: after[path].replace('"backend": "gpu"', '"backend": "cpu"')} == before


def test_fewer_images_keep_their_bytes(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path, limit=2, datasets=["pbc"])
    build(tmp_path, datasets=["pbc"])
    for corruption in ("gaussian_noise", "motion_blur"):
        few = npz.read(Workspace(tmp_path).npz(Cell("pbc", "test", corruption, 3))).images
        all_of_them = npz.read(Workspace(built).npz(Cell("pbc", "test", corruption, 3))).images
        np.testing.assert_array_equal(few, all_of_them[:2])


def test_native_channels_keep_grey_as_one(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path, channels="native", datasets=["oct"])
    build(tmp_path, datasets=["oct"])
    for name in ("clean", "gaussian_noise_severity_2"):
        native = npz.read(Workspace(tmp_path).release / "oct" / "test" / f"{name}.npz").images
        replicated = npz.read(Workspace(built).release / "oct" / "test" / f"{name}.npz").images
        assert native.shape[-1] == 1
        np.testing.assert_array_equal(np.repeat(native, 3, axis=-1), replicated)


def test_deflated_files_hold_the_same_arrays(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path, compression="deflated", datasets=["oct"])
    build(tmp_path, datasets=["oct"], batch=2)
    assert manifests(tmp_path).items() <= manifests(built).items()
    size = [Workspace(r).npz(Cell("oct", "test", "zoom_blur", 5)).stat().st_size for r in (tmp_path, built)]
    assert size[0] < size[1]


def test_mixed_files_are_stored_where_there_is_noise(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path, compression="mixed", datasets=["oct"])
    build(tmp_path, datasets=["oct"], batch=2)
    assert manifests(tmp_path).items() <= manifests(built).items()
    for name, is_stored in (("clean", False), ("gaussian_noise_severity_3", True), ("contrast_severity_3", False)):
        with zipfile.ZipFile(Workspace(tmp_path).release / "oct" / "test" / f"{name}.npz") as archive:
            assert (archive.getinfo("images.npy").compress_type == zipfile.ZIP_STORED) == is_stored


def test_released_splits_come_from_the_named_ones(built: Path, tmp_path: Path) -> None:
    write_params(tmp_path, datasets=["oct"], splits={"val": "test", "test": "val"})
    prepare.prepare(Workspace(tmp_path), "oct", read_config(Workspace(tmp_path)), workers=1)
    swapped = npz.read(Workspace(tmp_path).npz(Cell("oct", "test"))).images
    shared = min(COUNTS["val"], COUNTS["test"])
    np.testing.assert_array_equal(swapped[:shared], npz.read(Workspace(built).npz(Cell("oct", "val"))).images[:shared])


def test_rows_tell_where_every_image_came_from(built: Path) -> None:
    layout = Workspace(built)
    with layout.rows("pbc").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["split", "index", "label", "image_id"]
    for split in RELEASED + PREPARED:
        labels = [int(row["label"]) for row in rows if row["split"] == split]
        assert labels == npz.read(layout.npz(Cell("pbc", split))).labels.tolist()


def test_manifest_says_what_was_done(built: Path) -> None:
    layout = Workspace(built)
    clean = manifest.read_clean(layout, "pbc")
    assert clean.class_names[:2] == ("neutrophil", "eosinophil")
    assert sum(clean.split("test").per_class or ()) == clean.split("test").count == COUNTS["test"]
    corrupted = manifest.read_corruption(layout, "pbc", "motion_blur")
    assert corrupted.strengths[4] == manifest.StrengthEntry(
        severity=5, kernel="motion_blur", parameters={"radius": 20, "sigma": 15}, source="HD"
    )
    assert set(corrupted.cells["val"]) == {1, 2, 3, 4, 5}


def test_gallery_draws_every_cell(workspace: Path) -> None:
    gallery.gallery(Workspace(workspace), read_config(Workspace(workspace)))
    with Image.open(workspace / "data" / "gallery" / "pbc.png") as sheet:
        assert sheet.width > 6 * 112
        assert len(np.unique(np.asarray(sheet))) > 200
    with Image.open(workspace / "docs" / "gallery.png") as overview:
        assert overview.height > len(DATASETS) * 112


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["--dataset", "brain", "--corruption", "contrast"], 1, "params.yaml has no data set 'brain'; have oct, pbc"),
        (["--dataset", "pbc", "--corruption", "smear"], 2, "invalid choice: 'smear'"),
        (["--dataset", "pbc", "--corruption", "contrast", "--workers", "0"], 2, "at least 1"),
        (["--dataset", "../x", "--corruption", "contrast"], 1, "params.yaml has no data set '../x'"),
    ],
)
def test_a_users_mistake_is_a_sentence(
    workspace: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, sentence: str
) -> None:
    try:
        ended = corrupt.main(["--root", str(workspace), *argv])
    except SystemExit as stopped:  # argparse
        ended = int(str(stopped.code))
    said = capsys.readouterr().err
    assert ended == code
    assert sentence in said
    assert "Traceback" not in said


def test_corrupt_before_prepare_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(tmp_path)
    assert corrupt.main(["--root", str(tmp_path), "--dataset", "pbc", "--corruption", "contrast"]) == 1
    assert "restore it with git or run `dvc repro`" in capsys.readouterr().err


def test_every_stage_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in (prepare, corrupt, gallery):
        with pytest.raises(SystemExit) as stopped:
            stage.main(["--help"])
        assert stopped.value.code == 0
        assert stage.__doc__ is not None
        assert stage.__doc__.splitlines()[0] in capsys.readouterr().out
