"""Full, read-only and foreign disks: one sentence, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import resource
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from corruptions import CORRUPTIONS
from pipeline import corrupt, gallery, prepare, verify
from pipeline.cell import Cell
from pipeline.io import npz
from pipeline.paths import Workspace
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

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    check_sentence(run(corrupt_command(root), preexec_fn=limit), 1, "File too large", str(root))
    check_nothing_lost(root, before)


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


def check_nothing_lost(root: Path, before: dict[str, bytes]) -> None:
    """Assert that what was there still is, that what was added is whole, and that no temporary file is left."""
    after = contents(root)
    assert before.items() <= after.items()
    for added in after.keys() - before.keys():
        for _ in npz.Npz(root / added).chunks(1):
            pass
        assert zipfile.ZipFile(root / added).testzip() is None
    assert not leftovers(root)
