"""Files and folders that are whole under their names, whatever ends their writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.io.atomic import atomic_folder, atomic_write, is_temporary, remove_leftover

KILLED = """
import os, pathlib, sys
from pipeline.io.atomic import atomic_folder, atomic_write
path = pathlib.Path(sys.argv[1])
if sys.argv[2] == "file":
    with atomic_write(path) as handle:
        handle.write(b"half")
        handle.flush()
        os.kill(os.getpid(), 9)
with atomic_folder(path) as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), 9)
"""


def write(path: Path, kind: str, text: str) -> None:
    if kind == "file":
        with atomic_write(path) as handle:
            handle.write(text.encode())
    else:
        with atomic_folder(path) as folder:
            (folder / "inside").write_text(text)


def read(path: Path) -> str:
    return (path / "inside" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_is_replaced_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "deep" / "x"
    write(path, kind, "old")
    if kind == "folder":
        (path / "of the old one").touch()
    write(path, kind, "new")
    assert read(path) == "new"
    assert sum(1 for _ in tmp_path.rglob("*")) == (2 if kind == "file" else 3)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.EACCES, "no"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_one(tmp_path: Path, kind: str, error: BaseException) -> None:
    path = tmp_path / "x"
    write(path, kind, "old")
    with pytest.raises(type(error)), atomic_write(path) if kind == "file" else atomic_folder(path):
        raise error
    assert read(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    write(path, kind, "old")
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(path), kind], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert read(path) == "old"
    assert len(list(tmp_path.iterdir())) == (3 if kind == "file" else 5)
    assert all(map(is_temporary, set(tmp_path.iterdir()) - {path}))
    write(path, kind, "new")
    assert read(path) == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_living_writers_files_stay(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    with atomic_write(path) if kind == "file" else atomic_folder(path):
        before = set(tmp_path.rglob("*"))
        for temporary in tmp_path.iterdir():
            remove_leftover(temporary)
        write(path.with_name("y"), kind, "beside")
        assert before <= set(tmp_path.rglob("*"))


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    """The last to end wins, whole."""
    path = tmp_path / "x"
    with atomic_folder(path) as folder:
        (folder / "inside").write_text("first")
        write(path, "folder", "second")
        assert read(path) == "second"
    assert read(path) == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_a_library_explains_otherwise_is_an_oserror(tmp_path: Path) -> None:
    """Unless nothing failed to be written: then the library is right."""

    def fail(handle: Any = None) -> None:
        if handle is not None:
            handle.raw.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise RuntimeError("unexpected pos 64")

    with pytest.raises(RuntimeError, match="unexpected pos"), atomic_write(tmp_path / "x"):
        fail()
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(tmp_path / "x") as handle:
        fail(handle)
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="No space left"), atomic_folder(tmp_path / "x"):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert not list(tmp_path.iterdir())
