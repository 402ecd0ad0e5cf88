"""Find and open regular files only: whoever reads a pipe, a socket or a device may wait for good."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from pipeline.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


_LEFTOVERS = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information"),  # Windows
    *("__macosx", "icon\r", "network trash folder", "temporary items"),  # macOS
    *("@eadir", "@tmp", "@sharebin", "#recycle", "#snapshot", "~snapshot"),  # NAS
    *("@recycle", "@recently-snapshot", "@__thumb", "lost+found"),  # NAS and Linux
    "__pycache__",  # which .dvcignore hides from DVC
}


def is_leftover(name: str) -> bool:
    """Say whether a file or folder is hidden, or what operating systems and network disks leave in folders."""
    return name.startswith(".") or name.lower() in _LEFTOVERS


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


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; see `check_regular` for what it raises."""
    check_regular(path)
    return path.open("rb")


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; see `check_regular` for what it raises."""
    with open_regular(path) as file:
        return file.read()


def walk(folder: Path, *, inside: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """Yield every file below a folder by name, without what `is_leftover`; links to folders are followed.

    Args:
        folder: where to begin.
        inside: device and inode of the folders that it lies in, for the recursion.

    Raises:
        UserError: a link leads to a folder that it lies in.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in inside:
        raise UserError(f"{folder} is a link to a folder that it lies in")
    for path in sorted(path for path in folder.iterdir() if not is_leftover(path.name)):
        if path.is_dir():
            yield from walk(path, inside=(*inside, here))
        else:
            yield path
