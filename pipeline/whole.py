"""A file under its final name is whole: written beside it, synced, then renamed over it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

_MARK = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all.

    The data goes to a hidden file in the same folder, locked while its writer lives. It takes the final name after
    an fsync, replacing a folder's entry and never another file's bytes: `path` may be a hard link into a cache.
    What a killed writer of the same file left behind is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside, handle = None, None
    try:
        with _uninterrupted():
            beside, handle = _open_beside(path)
        yield handle
        handle.flush()
        os.fsync(handle.fileno())
        os.chmod(handle.fileno(), 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException as failure:
        if beside is not None:
            beside.unlink(missing_ok=True)
        if isinstance(failure, OSError) and failure.errno in _FULL and failure.filename is None:
            failure.filename = str(path.parent)  # a failed write does not say where
        raise
    finally:
        if handle is not None:
            handle.close()
    _sync_folder(path.parent)
    _remove_leftovers(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or absent."""
    with whole(path) as handle:
        handle.write((json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def is_temporary(path: Path) -> bool:
    """Say whether `path` is a file that `whole` is writing, or that a killed process left."""
    return path.name.startswith(_MARK)


def _open_beside(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        beside = path.with_name(f"{_MARK}{path.name}.{secrets.token_hex(4)}")
        handle = beside.open("x+b")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle.fileno()).st_nlink:
            return beside, handle
        handle.close()  # another writer of the same file took it for a leftover, before it was locked


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back for the moment in which a file exists and its name is not yet known to whoever cleans up."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # Ctrl-C is raised in the main thread alone, and there not while it is ignored
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        before(*held[0])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{_MARK}{path.name}.????????"):
        try:
            with leftover.open("r+b") as handle:  # NFS locks only what may be written
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
        except (BlockingIOError, FileNotFoundError, PermissionError):
            continue  # its writer lives, has just finished, or is another user
