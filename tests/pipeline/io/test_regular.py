"""Only regular files are opened, whatever the reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmark.models.components import files
from benchmark.prediction import logits
from pipeline import sources
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.hub import build
from pipeline.io import npz
from pipeline.io.checksums import file_checksum
from pipeline.io.records import read_record
from pipeline.io.regular import open_regular, walk
from pipeline.sources import medimeta, medmnist
from pipeline.sources.unpack import Receipt, unpack
from pipeline.workspace import datasets
from pipeline.workspace.manifest import build_checksum
from pipeline.workspace.paths import Workspace
from tests.pipeline.sources import medmnist_files
from tests.pipeline.sources.release import write_release

KINDS: dict[str, Callable[[Path], object]] = {
    "is a pipe": lambda path: os.mkfifo(path),
    "is a device": lambda path: path.symlink_to("/dev/zero"),
    "is a link that leads back to itself": lambda path: path.symlink_to(path.name),
    "which is not there": lambda path: path.symlink_to("nothing"),
    "is a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("says", KINDS)
def test_what_is_no_regular_file_is_named(tmp_path: Path, says: str) -> None:
    path = tmp_path / "x.npz"
    KINDS[says](path)
    for read in (
        open_regular,
        npz.Npz,
        lambda path: npz.Array(path, remedy="fetch it anew"),
        file_checksum,
        lambda path: read_record(path, Receipt, remedy="run again"),
        logits.read_logits,
        files.read_json,
        lambda path: unpack(path, tmp_path / "new", wanted=bool, needed="info.yaml"),
    ):
        with pytest.raises(UserError, match=f"x.npz {says}|x.npz is a link to nothing, {says}"):
            read(path)


@pytest.mark.parametrize("says", KINDS)
def test_every_file_of_a_workspace_is_checked(tmp_path: Path, says: str) -> None:
    workspace = Workspace(tmp_path)
    for path, read in {
        workspace.params: lambda: read_config(workspace),
        tmp_path / "cards" / "own.yaml": lambda: datasets.own_card(workspace, "mine"),
        workspace.rows("mine"): lambda: build.source_ids(workspace, "mine"),
        workspace.manifests / "mine" / "clean.json": lambda: build_checksum(workspace, ["mine"]),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        KINDS[says](path)
        with pytest.raises(UserError, match=f"{path.name} is a .*{says.removeprefix('is a ')}"):
            read()


@pytest.mark.parametrize("says", KINDS)
@pytest.mark.parametrize("name", ["info.yaml", "images.hdf5", "splits/test.txt", "task_labels/cell class.npy"])
def test_every_file_of_medimeta_is_checked(tmp_path: Path, name: str, says: str) -> None:
    path = write_release(tmp_path, "pbc") / name
    path.unlink()
    KINDS[says](path)
    with pytest.raises(UserError, match=f"{path.name} is a .*{says.removeprefix('is a ')}"):
        sources.load("medimeta", "pbc", "test", root=tmp_path)
    if says != "is a folder":
        with pytest.raises(UserError, match=f"{path.name} is a "):
            medimeta.fetch(tmp_path, ["pbc"], "unused")


@pytest.mark.parametrize("says", KINDS)
def test_every_file_of_medmnist_is_checked(tmp_path: Path, says: str) -> None:
    path = medmnist_files.write(tmp_path, "breastmnist")
    path.unlink()
    KINDS[says](path)
    for read in (
        lambda: sources.load("medmnist", "breastmnist", "test", root=tmp_path),
        lambda: medmnist.fetch(tmp_path, ["breastmnist"], "unused"),
    ):
        with pytest.raises(UserError, match=r"breastmnist_224\.npz is a "):
            read()


def test_a_locked_or_unreadable_hdf5_says_the_librarys_own_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_release(tmp_path, "pbc") / "images.hdf5"

    def says() -> str:
        with pytest.raises(UserError) as caught:
            sources.load("medimeta", "pbc", "test", root=tmp_path)
        return str(caught.value)

    with monkeypatch.context() as patch:  # as the library says it while another program writes; it locks by process
        locked = BlockingIOError(11, "Unable to synchronously open file (unable to lock file, errno = 11)")
        patch.setattr(h5py, "File", lambda *_: (_ for _ in ()).throw(locked))
        assert "unable to lock file" in says()
        assert "close the program that has it open" in says()
        denied = PermissionError(
            13, f"Unable to synchronously open file (unable to open file, {'x' * 300}, errno = 13)"
        )
        patch.setattr(h5py, "File", lambda *_: (_ for _ in ()).throw(denied))
        assert f"cannot be read ({denied})" in says()
        assert "anew" not in says()
        broken = OSError("Can't synchronously read data (file read failed: errno = 5, error message = 'I/O error')")
        patch.setattr(h5py, "File", lambda *_: (_ for _ in ()).throw(broken))
        assert f"cannot be read ({broken})" in says()
    whole = path.read_bytes()
    unknown = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    unknown.set_chunk((12, 224, 224, 3))
    unknown.set_filter(32001, h5py.h5z.FLAG_OPTIONAL)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((12, 224, 224, 3))
        h5py.h5d.create(file.id, b"images", h5py.h5t.STD_U8LE, space, unknown).write_direct_chunk((0, 0, 0, 0), b"x")
    assert "is packed with a filter that is not there (" in says()
    path.write_bytes(whole[:5000])
    assert "is damaged (" in says()
    assert says().endswith("; fetch it anew")


def test_a_tree_is_walked_once_through_links(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "1").touch()
    (tmp_path / "link").symlink_to("real")
    assert [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)] == ["link/deep/1", "real/deep/1"]
    (tmp_path / "real" / "deep" / "loop").symlink_to(tmp_path)
    with pytest.raises(UserError, match="a folder that it lies in"):
        list(walk(tmp_path))


def test_a_cut_npy_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(5))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"x\.npy is damaged: its length does not fit its header"):
        npz.Array(path, remedy="fetch it anew")
