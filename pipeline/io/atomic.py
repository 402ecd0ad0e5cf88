"""A file under its final name is whole: written beside it, synced, then renamed over it."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.run.interrupts import MAKING, unfinished

MARK = ".tmp-"
"""How the names begin of files and folders that are still being made; git and `verify` know them by it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all.

    The data goes to a `temporary` file. It takes the final name after an fsync, replacing a folder's entry and never
    another file's bytes: `path` may be a hard link into a cache.
    """
    try:
        with temporary(path) as (beside, handle):
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            os.replace(beside, path)
    except OSError as failure:
        if failure.errno in _FULL and failure.filename is None:
            failure.filename = str(path.parent)  # a failed write does not say where
        raise
    _sync_folder(path.parent)


@contextmanager
def temporary(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a hidden file in the folder of `path`, locked while its writer lives; remove it at the end.

    What killed writers for the same path left behind is removed too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        beside = path.with_name(f"{MARK}{path.name}.{secrets.token_hex(4)}")
        with unfinished(beside):
            with MAKING:
                handle = beside.open("x+b")
            with handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if os.fstat(handle.fileno()).st_nlink:
                    yield beside, handle
                    break
                # Another writer for the same path took it for a leftover, before it was locked.
    for leftover in path.parent.glob(f"{MARK}{path.name}.????????"):
        remove_leftover(leftover)


def is_temporary(path: Path) -> bool:
    """Say whether `path` is a file that `atomic_write` is writing, or that a killed process left."""
    return path.name.startswith(MARK)


def remove_leftover(path: Path) -> None:
    """Remove a temporary file unless its writer lives, has just ended, or is another user."""
    # NFS locks only what is open for writing.
    with suppress(BlockingIOError, FileNotFoundError, PermissionError), path.open("r+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
