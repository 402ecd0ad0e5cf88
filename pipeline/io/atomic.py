"""A file or folder under its final name is whole: made beside it, synced, then renamed."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.run import interrupts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MARK = ".tmp-"
"""How the names begin of files and folders that are still being made; git and `verify` know them by it."""

_RUST = re.compile(r"\(os error ([0-9]+)\)")  # how the display of Rust's std::io::Error ends
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all.

    The data goes to a temporary file beside it. That takes the final name after an fsync, replacing a folder's entry
    and never another file's bytes: `path` may be a hard link into a cache.
    """
    with _temporary(path) as (beside, handle):
        yield handle
        handle.flush()
        os.fsync(handle.fileno())
        os.replace(beside, path)
    _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a folder that takes the name `path` at the end, in place of a folder that may be there.

    A kill leaves the old folder, the new one, or neither, and never a part of one.
    """
    with _temporary(path) as (lock, _):
        beside = _folder_of(lock)
        try:
            new = beside / "new"
            new.mkdir(parents=True)
            yield new
            with suppress(FileNotFoundError):
                path.rename(beside / "old")
            new.rename(path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    _sync_folder(path.parent)


def is_temporary(path: Path) -> bool:
    """Say whether `path` is a file or folder that is being made, or that a killed process left."""
    return path.name.startswith(MARK)


def remove_leftover(path: Path) -> None:
    """Delete an orphaned temporary file and its folder; skip it if its writer holds the lock or is another user."""
    # NFS locks only what is open for writing.
    with suppress(BlockingIOError, FileNotFoundError, PermissionError, IsADirectoryError), path.open("r+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(_folder_of(path), ignore_errors=True)
        path.unlink()


class _File(io.FileIO):
    """A new file that remembers why a write failed: a library may raise something else."""

    failure: OSError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+b")

    def write(self, data: ReadableBuffer, /) -> int:
        if interrupts.has_come() and threading.current_thread() is not threading.main_thread():
            raise KeyboardInterrupt  # the main thread waits for this one to end
        try:
            return super().write(data)
        except OSError as failure:
            self.failure = failure
            raise


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a hidden file in the folder of `path`, locked while its writer lives; remove it at the end.

    What killed writers for the same path left behind is removed too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        beside = path.with_name(f"{MARK}{path.name}.{secrets.token_hex(4)}")
        try:
            with _File(beside) as file, _explained(file, path.parent), io.BufferedRandom(file) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if os.fstat(handle.fileno()).st_nlink:
                    yield beside, handle
                    break
                # Another writer for the same path took it for a leftover, before it was locked.
        finally:
            with suppress(OSError):  # such as a disk that can no longer be written: a later run removes it
                beside.unlink(missing_ok=True)
    for leftover in path.parent.glob(f"{MARK}{path.name}.????????"):
        remove_leftover(leftover)


@contextmanager
def _explained(file: _File, folder: Path) -> Iterator[None]:
    """Raise the OSError of a failed write, whatever a library made of it, and let a full disk name the folder."""
    try:
        yield
    except Exception as error:
        rust = _RUST.search(str(error))  # safetensors writes by itself
        failure = OSError(int(rust[1]), os.strerror(int(rust[1]))) if rust else file.failure or error
        if not isinstance(failure, OSError):
            raise
        if failure.errno in _FULL:
            failure.filename = failure.filename or str(folder)
        raise failure from None


def _folder_of(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.d")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
