"""Open regular files only: whoever reads a pipe, a socket or a device may wait for good."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: Path) -> None:
    """Check that `path` is a regular file, or a link to one.

    Raises:
        FileNotFoundError: nothing has this name.
        UserError: it is something else, or a link that leads to nothing or back to itself.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            raise UserError(f"{path} is a link to {path.readlink()}, which is not there") from None
        raise
    except OSError as failure:
        if failure.errno == errno.ELOOP:
            raise UserError(f"{path} is a link that leads back to itself") from None
        raise
    if kind != stat.S_IFREG:
        raise UserError(f"{path} is {_KINDS.get(kind, 'something else')}, where a file is needed")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; see `check_regular` for what it raises."""
    check_regular(path)
    return path.open("rb")
