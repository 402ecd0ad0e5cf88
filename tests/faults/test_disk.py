"""Full, read-only and foreign disks: one sentence, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from corruptions import CORRUPTIONS
from pipeline import corrupt, gallery, prepare, verify
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.faults import workspace
from tests.faults.workspace import check_sentence, contents, corrupt_command, leftovers, run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a mounted disk of 6 MB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    options = ["-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mounted)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True) if os.geteuid() == 0 else None
    if done is None or done.returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    workspace.make(small_disk)
    before = contents(small_disk)
    check_sentence(run(corrupt_command(small_disk)), 1, "No space left on device", str(small_disk))
    check_nothing_lost(small_disk, before)


def test_a_disk_that_can_be_read_only(small_disk: Path) -> None:
    workspace.make(small_disk)
    before = contents(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    check_sentence(run(corrupt_command(small_disk)), 1, "Read-only file system", str(small_disk))
    assert contents(small_disk) == before


def test_a_folder_without_permission(tmp_path: Path) -> None:
    """As another user where the tests run as root, to whom permissions do not apply."""
    root = workspace.make(tmp_path)
    folder = Workspace(root).npz(Cell(workspace.DATASET, "val")).parent
    folder.chmod(0o555)
    command = corrupt_command(root)
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]
    ended = run(command)
    folder.chmod(0o755)
    check_sentence(ended, 1, "Permission denied", str(folder))
    assert not leftovers(root)


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    root = workspace.make(tmp_path)
    before = contents(root)

    check_sentence(run(corrupt_command(root), preexec_fn=limit_files), 1, "File too large", str(root))
    check_nothing_lost(root, before)


SAVE = """
import pathlib, sys, torch
from safetensors.torch import save_file
from pipeline.io.atomic import atomic_folder, atomic_write
from pipeline.run.command_line import run
path, weights = pathlib.Path(sys.argv[2]), {"large": torch.zeros(3_000_000), "small": torch.zeros(3)}
def with_torch():
    with atomic_write(path) as handle:
        torch.save(weights, handle)
def with_safetensors():
    with atomic_folder(path) as folder:
        save_file(weights, folder / "adapter_model.safetensors")
sys.exit(run({"torch": with_torch, "safetensors": with_safetensors}[sys.argv[1]]))
"""


@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_weights_that_find_no_room(small_disk: Path, library: str) -> None:
    """Neither library raises OSError."""
    ended = run([sys.executable, "-c", SAVE, library, str(small_disk / "x")])
    check_sentence(ended, 1, f"error: {small_disk}: No space left on device")
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_weights_above_the_limit_on_the_size_of_files(tmp_path: Path, library: str) -> None:
    ended = run([sys.executable, "-c", SAVE, library, str(tmp_path / "x")], preexec_fn=limit_files)
    check_sentence(ended, 1, f"error: {tmp_path}: File too large")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["No space left on device", "File too large"])
def test_export_from_several_threads(tmp_path: Path, request: pytest.FixtureRequest, fault: str) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    workspace.write_params(root, counts={"train": 1, "val": 1, "test": 4, "pretrain": 1, "pretest": 1})
    assert prepare.main(["--root", str(root), "--dataset", workspace.DATASET]) == 0
    assert corrupt.main(["--root", str(root), "--all"]) == 0
    export = [sys.executable, "-W", "error", "-m", "pipeline.export", "--root", str(root), "--workers", "3"]
    if fault == "File too large":
        ended = run(export, preexec_fn=limit_files)
    else:
        Workspace(root).export.symlink_to(request.getfixturevalue("small_disk"))
        ended = run(export)
    check_sentence(ended, 1, fault, str(Workspace(root).export))
    assert not [path for path in Workspace(root).export.rglob("*") if is_temporary(path)]


def test_the_disk_fills_in_a_later_run_and_the_earlier_files_stay(small_disk: Path) -> None:
    """What a run cannot replace, it leaves as it was."""
    workspace.make(small_disk, val=1, test=2)
    assert run(corrupt_command(small_disk)).returncode == 0
    before = contents(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_800_000))
    check_sentence(run(corrupt_command(small_disk)), 1, "No space left on device")
    filler.unlink()
    assert contents(small_disk) == before
    assert not leftovers(small_disk)


def test_nothing_is_written_outside_the_workspace(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = outside / "workspace"
    root.mkdir(parents=True)
    workspace.make(root)
    assert run(corrupt_command(root, corruption=CORRUPTIONS[-1])).returncode == 0
    assert [p.name for p in outside.iterdir()] == ["workspace"]
    assert {p.name for p in root.iterdir()} == {"params.yaml", "data", "manifests"}


@pytest.mark.parametrize(
    ("stage", "arguments", "listed"),
    [
        (prepare, ["--dataset", "../x"], "pbc"),
        (prepare, ["--dataset", "../x"], "../x"),
        (corrupt, ["--dataset", "../x", "--corruption", "contrast"], "pbc"),
        (corrupt, ["--dataset", "../x", "--corruption", "contrast"], "../x"),
        (corrupt, ["--all"], "../x"),
        (verify, [], "../x"),
        (gallery, [], "../x"),
    ],
)
def test_a_data_set_outside_the_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: ModuleType, arguments: list[str], listed: str
) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    workspace.write_params(root, datasets=[listed])
    assert stage.main(["--root", str(root), *arguments]) == 1
    said = capsys.readouterr().err
    assert "'../x'" in said
    assert len(said.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["workspace"]
    assert [p.name for p in root.iterdir()] == ["params.yaml"]


def limit_files() -> None:
    """Let this process write no file of more than 400 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


def check_nothing_lost(root: Path, before: dict[str, bytes]) -> None:
    """Assert that what was there still is, that what was added is whole, and that no temporary file is left."""
    after = contents(root)
    assert before.items() <= after.items()
    for added in after.keys() - before.keys():
        for _ in npz.Npz(root / added).chunks(1):
            pass
        assert zipfile.ZipFile(root / added).testzip() is None
    assert not leftovers(root)
