"""The second set of corruptions, from params.yaml to an export, beside a core that stays as it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import corruptions
from corruptions import CORRUPTIONS, EXTENDED, SEVERITIES, spec
from pipeline import corrupt, export, gallery, prepare, verify
from pipeline import extend as stage
from pipeline.config.params import read_config
from pipeline.generation import built as built_cells
from pipeline.generation.built import record
from pipeline.io import npz
from pipeline.sources import medmnist
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import ArraysEntry, CorruptionManifest
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import COUNTS, DATASETS, REPOSITORY, build, write_params
from tests.pipeline.sources import medmnist_files

CHOSEN = ["speckle_noise", "brightness_up"]


def checksums(*folders: Path) -> dict[str, str]:
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def extend(root: Path, *arguments: str) -> int:
    return (corrupt if arguments else stage).main(["--root", str(root), "--workers", "2", *arguments])


def made(said: str) -> str | None:
    """Return what a run says that it made."""
    return next((line.partition(": made ")[2] for line in said.splitlines() if ": made " in line), None)


@pytest.fixture(scope="module")
def chosen(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built workspace with two more corruptions; tests only read it."""
    root = shutil.copytree(built, tmp_path_factory.mktemp("chosen") / "workspace")
    write_params(root, corruption_set=CHOSEN)
    assert extend(root) == 0
    return root


@pytest.fixture
def root(chosen: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    return shutil.copytree(chosen, tmp_path / "workspace")


def test_the_core_stays_as_it_is(built: Path, chosen: Path) -> None:
    for part in ("data", *(f"manifests/{dataset}" for dataset in DATASETS)):
        before = {name.removeprefix(str(built)): value for name, value in checksums(built / part).items()}
        after = {name.removeprefix(str(chosen)): value for name, value in checksums(chosen / part).items()}
        assert {name: after[name] for name in before} == before
        assert all(name.startswith("/data/MediMeta-C-extended/") for name in after.keys() - before.keys())


def test_the_cells_are_what_the_corruptions_make(chosen: Path) -> None:
    workspace = Workspace(chosen)
    cells = sorted(path.relative_to(workspace.extended).as_posix() for path in workspace.extended.glob("*/*/*"))
    names = [Cell(d, s, c, k).path for d in DATASETS for s in ("val", "test") for c in CHOSEN for k in SEVERITIES]
    assert cells == sorted(names)
    for name in CHOSEN:
        clean = npz.read(workspace.npz(Cell("pbc", "test"))).images
        expected = corruptions.corrupt(clean, name, 3, dataset="pbc", split="test", seed=2025)
        np.testing.assert_array_equal(npz.read(workspace.npz(Cell("pbc", "test", name, 3))).images, expected)


def test_a_second_run_makes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = checksums(root)
    assert extend(root) == 0
    assert checksums(root) == before
    assert capsys.readouterr().out == "extend: 4 of 4 were there\n"


def test_a_changed_strength_makes_its_corruption_alone_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(root)
    kept = workspace.npz(Cell("oct", "test", "brightness_up", 2)).read_bytes()
    rows = spec._ROWS["imagenet-c"]
    monkeypatch.setitem(rows, "speckle_noise", rows["speckle_noise"] | {"std": [0.1, 0.2, 0.3, 0.4, 0.5]})
    assert extend(root) == 0
    assert made(capsys.readouterr().out) == "oct speckle_noise, pbc speckle_noise"
    assert workspace.npz(Cell("oct", "test", "brightness_up", 2)).read_bytes() == kept
    strengths = manifest.read_corruption(workspace, "oct", "speckle_noise").strengths
    assert [entry.parameters["std"] for entry in strengths] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_changed_code_makes_all_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.generation.built.code_checksum", lambda: "another")
    assert extend(root) == 0
    assert "extend: 0 of 4 were there" in capsys.readouterr().out


def test_the_key_has_the_code_that_dvc_depends_on() -> None:
    deps = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["extend"]["deps"]
    carriers = {f"pipeline/{name}.py" for name in ("extend", "generation/built", "generation/tasks")}
    assert set(deps) - set(built_cells._CODE) == {"data/MediMeta-C"} | carriers
    assert set(built_cells._CODE) <= set(deps)


@pytest.mark.parametrize("change", [{"compression": "deflated"}, {"seed": 7}])
def test_changed_parameters_make_all_anew(
    root: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(root, corruption_set=CHOSEN, **change)
    assert extend(root) == 0
    assert "extend: 0 of 4 were there" in capsys.readouterr().out


def test_changed_clean_images_make_their_data_set_anew(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(root, corruption_set=CHOSEN, counts=COUNTS | {"val": 2})
    build(root, datasets=["pbc"])
    assert extend(root) == 0
    assert made(capsys.readouterr().out) == "pbc speckle_noise, pbc brightness_up"


def test_what_is_lost_or_was_interrupted_comes_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(root)
    before = checksums(workspace.extended, workspace.manifests)
    workspace.npz(Cell("pbc", "val", "brightness_up", 4)).unlink()
    workspace.manifest("oct", "brightness_up").unlink()
    record(workspace, "oct", "speckle_noise", None)
    (workspace.extended / "oct" / "val" / ".tmp-0-x").write_bytes(b"half")
    assert extend(root) == 0
    assert made(capsys.readouterr().out) == "oct speckle_noise, oct brightness_up, pbc brightness_up"
    assert checksums(workspace.extended, workspace.manifests) == before


@pytest.mark.parametrize("damage", ["flipped", "cut", "exchanged", "labels", "manifest"])
def test_what_is_damaged_is_made_anew(root: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """DVC runs the stage when a file of its outputs has changed, and then takes what lies there for its result."""
    workspace = Workspace(root)
    before = checksums(workspace.extended, workspace.manifests)
    path = workspace.npz(Cell("pbc", "test", "brightness_up", 4))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-9:]
    elif damage == "exchanged":
        content = bytearray(workspace.npz(Cell("pbc", "test", "brightness_up", 3)).read_bytes())
    elif damage == "labels":
        whole = npz.read(path)
        with npz.write(path, whole.labels[::-1].copy(), whole.images.shape[1:]) as writer:
            writer.append(whole.images)
        content = bytearray(path.read_bytes())
    else:
        path = workspace.manifest("pbc", "brightness_up")
        content = bytearray(path.read_bytes().replace(b'"seed": 2025', b'"seed": 2024'))
    path.unlink()
    path.write_bytes(content)
    assert checksums(workspace.extended, workspace.manifests) != before
    assert extend(root) == 0
    assert made(capsys.readouterr().out) == "pbc brightness_up"
    assert checksums(workspace.extended, workspace.manifests) == before


def test_a_damaged_record_makes_all_anew(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Workspace(root).extended_record
    before = record.read_bytes()
    record.write_text("{")
    assert extend(root) == 0
    assert "extend: 0 of 4 were there" in capsys.readouterr().out
    assert record.read_bytes() == before


def test_what_is_no_longer_chosen_goes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace, released = Workspace(root), checksums(root / "data" / "MediMeta-C")
    write_params(root, corruption_set={"pbc": ["speckle_noise"]})
    assert extend(root) == 0
    said = capsys.readouterr().out
    assert said == (
        "extend: removed oct brightness_up, oct speckle_noise, pbc brightness_up\nextend: 1 of 1 were there\n"
    )
    assert [path.name for path in workspace.extended.iterdir() if path.is_dir()] == ["pbc"]
    write_params(root, corruption_set="core")
    assert extend(root) == 0
    left = [
        path.relative_to(root).as_posix()
        for tree in (workspace.extended, workspace.extended_manifests)
        for path in tree.rglob("*")
    ]
    assert left == ["data/MediMeta-C-extended/ABOUT.txt", "manifests/MediMeta-C-extended/built.json"]
    assert json.loads(workspace.extended_record.read_text()) == {"keys": {}}
    assert checksums(root / "data" / "MediMeta-C") == released


def test_the_name_of_a_build_depends_on_the_cells_and_not_on_the_keys(built: Path, root: Path) -> None:
    workspace = Workspace(root)
    name = manifest.build_checksum(workspace, DATASETS)
    assert name != manifest.build_checksum(Workspace(built), DATASETS)
    workspace.extended_record.write_text("another")
    assert manifest.build_checksum(workspace, DATASETS) == name
    write_params(root, corruption_set="core")
    assert extend(root) == 0
    assert manifest.build_checksum(workspace, DATASETS) == manifest.build_checksum(Workspace(built), DATASETS)


def test_one_cell_by_hand_is_kept_by_the_next_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(root)
    before = checksums(workspace.extended, workspace.manifests)
    shutil.rmtree(workspace.extended)
    shutil.rmtree(workspace.extended_manifests)
    assert extend(root, "--dataset", "pbc", "--corruption", "speckle_noise") == 0
    assert extend(root) == 0
    assert made(capsys.readouterr().out) == "oct speckle_noise, oct brightness_up, pbc brightness_up"
    assert checksums(workspace.extended, workspace.manifests) == before


def test_all_is_everything(built: Path, tmp_path: Path) -> None:
    root = shutil.copytree(built, tmp_path / "workspace")
    write_params(root, corruption_set={"oct": ["speckle_noise"]})
    assert extend(root, "--all") == 0
    assert Workspace(root).npz(Cell("oct", "val", "speckle_noise", 1)).is_file()
    assert verify.main(["--root", str(root)]) == 0


def test_what_is_not_chosen_is_refused(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = shutil.copytree(built, tmp_path / "workspace")
    assert extend(root, "--dataset", "pbc", "--corruption", "speckle_noise") == 1
    refused = capsys.readouterr().err
    assert "corruption_set of params.yaml does not add speckle_noise to pbc; have gaussian_noise" in refused


def test_verify_reads_both_trees(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(root)
    assert verify.main(["--root", str(root)]) == 0
    assert f"verify: {4 * (1 + 9 * 5)} files" in capsys.readouterr().out
    cell = workspace.npz(Cell("pbc", "test", "speckle_noise", 2))
    shutil.copy(workspace.npz(Cell("pbc", "test", "speckle_noise", 3)), cell)
    stray = workspace.extended / "pbc" / "test" / "motion_blur_severity_1.npz"
    stray.write_bytes(b"")
    assert verify.main(["--root", str(root)]) == 1
    findings = capsys.readouterr().err
    assert f"{cell}: images have another checksum than the manifest's" in findings
    assert f"{stray}: not part of the release" in findings
    write_params(root, corruption_set="core")
    assert verify.main(["--root", str(root)]) == 1
    assert f"{cell}: not part of the release" in capsys.readouterr().err


def test_a_set_that_is_chosen_and_not_built_is_missed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(Workspace(root).extended_manifests)
    assert verify.main(["--root", str(root)]) == 1
    assert "speckle_noise.json: restore it with git or run `dvc repro`" in capsys.readouterr().err
    assert export.main(["--root", str(root)]) == 1
    assert "speckle_noise.json: restore it with git or run `dvc repro`" in capsys.readouterr().err


def test_every_picture_has_all_that_its_data_set_has(chosen: Path, root: Path) -> None:
    write_params(root, corruption_set={"oct": CHOSEN})
    gallery.gallery(Workspace(root), read_config(Workspace(root)))
    heights = {}
    for dataset in DATASETS:
        with Image.open(root / "data" / "gallery" / f"{dataset}.png") as sheet:
            heights[dataset] = sheet.height
    assert heights["oct"] - heights["pbc"] == 2 * 228
    assert not (chosen / "docs" / "gallery.png").exists()


def test_titles_of_rows_are_whole() -> None:
    """A longer name than those of the seven moves the pictures to the right, and theirs stay where they are."""
    picture = Image.new("RGB", (8, 8))
    seven, longer = (
        gallery._sheet([[picture]], [title], [""], side=8) for title in ("gaussian noise", "uneven illumination")
    )
    assert seven.width == 118 + 12
    assert longer.width > seven.width
    edge = np.asarray(longer.crop((0, 24, 4, longer.height)))
    assert (edge == 255).all(), "nothing is cut off"


def test_the_export_has_the_cells_of_each_data_set(root: Path) -> None:
    write_params(root, corruption_set={"pbc": ["brightness_up"]})
    assert extend(root) == 0
    assert export.main(["--root", str(root), "--workers", "2"]) == 0
    files = json.loads((root / "metrics" / "export.json").read_text())["files"]
    assert {f"pbc/test/brightness_up_severity_{k}.npz" for k in SEVERITIES} <= files.keys()
    assert "manifests/MediMeta-C-extended/pbc/brightness_up.json" in files
    assert not [path for path in files if "speckle_noise" in path or ("oct" in path and "brightness_up" in path)]
    card = (root / "data" / "export" / "README.md").read_text()
    assert "config_name: pbc-brightness_up" in card
    assert "config_name: oct-brightness_up" not in card
    assert "under 8 corruptions (gaussian_noise, " in " ".join(card.split())
    assert "| brightness_up | `scale` | pbc |" in card
    assert "corruption_set:\n  pbc:\n  - brightness_up" in card
    described = json.loads((root / "data" / "export" / "croissant.json").read_text())
    assert "pixelate, brightness_up." in described["description"]


def test_adopted_cells_stay_beside_their_clean_ones(tmp_path: Path) -> None:
    """Also those whose corruption has the name of one of the extended set."""
    workspace, cell = Workspace(tmp_path), Cell("bloodmnist", "test", "speckle_noise", 1)
    assert workspace.npz(cell) == workspace.extended / cell.path
    entry = ArraysEntry(count=1, images="0" * 64, labels="0" * 64)
    adopted = CorruptionManifest(
        dataset="bloodmnist",
        source="medmnist-c",
        seed=None,
        corruption="speckle_noise",
        cells={"test": dict.fromkeys(SEVERITIES, entry)},
    )
    manifest.write(workspace, adopted)
    assert workspace.npz(cell) == workspace.release / cell.path
    assert manifest.read_corruption(workspace, "bloodmnist", "speckle_noise") == adopted


def test_medmnist_c_is_made_anew_of_medmnist(tmp_path: Path) -> None:
    """Its own list for a data set, half of which is of the seven."""
    names = medmnist.CORRUPTED["breastmnist"]
    columns = {"breastmnist": "mammo_mass"}
    write_params(
        tmp_path,
        source="medmnist",
        datasets=["breastmnist"],
        columns=columns,
        profile="modality",
        corruption_set={"breastmnist": list(names)},
    )
    workspace = Workspace(tmp_path)
    workspace.raw("medmnist").mkdir(parents=True)
    medmnist_files.write(workspace.raw("medmnist"), "breastmnist")
    config = read_config(workspace)
    prepare.prepare(workspace, "breastmnist", config, workers=1)
    assert extend(tmp_path, "--all") == 0
    assert set(config.chosen("breastmnist")) == set(names)
    assert all(workspace.npz(Cell("breastmnist", "test", name, 5)).is_file() for name in names)
    assert verify.main(["--root", str(tmp_path), "--workers", "2"]) == 0


def test_the_word_extended_is_every_corruption_of_the_table(tmp_path: Path) -> None:
    write_params(tmp_path, datasets=["pbc"], counts=COUNTS | {"val": 1, "test": 1}, corruption_set="extended")
    build(tmp_path, datasets=["pbc"])
    assert extend(tmp_path) == 0
    recorded = sorted(path.stem for path in (Workspace(tmp_path).extended_manifests / "pbc").iterdir())
    assert recorded == sorted(EXTENDED)
    assert read_config(Workspace(tmp_path)).corruptions("pbc") == (*CORRUPTIONS, *EXTENDED)
    assert verify.main(["--root", str(tmp_path), "--workers", "2"]) == 0
