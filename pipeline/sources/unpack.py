"""Unpack a zip archive that comes from elsewhere: into one folder, whole or absent, and never beside it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.io.atomic import atomic_folder
from pipeline.io.records import Record, write_record
from pipeline.io.regular import open_regular
from pipeline.io.zip import check_packing, damage_refused
from pipeline.run.progress import progress
from pipeline.sources import SourceFile

RECEIPT = "receipt.json"
"""In an unpacked folder: what was unpacked."""

BYTES = 64 * 2**30
"""Most that an archive may unpack to, bytes; MedIMeta's largest has 5.5 GB of pixels, twice."""

RATIO = 100
"""Most that it may unpack to, in its own packed sizes; medical images take 1 to 3."""

ENTRIES = 1_000_000

_BLOCK = 1 << 20


class Receipt(Record):
    """What was unpacked: the archive's name, and the files by their paths in the folder."""

    archive: str
    files: dict[str, SourceFile]


def unpack(archive: Path, folder: Path, *, wanted: Callable[[str], bool], needed: str) -> None:
    """Unpack what is `wanted` of `archive` into `folder`, which must not be there yet, and add the `Receipt`.

    A folder of the same name at the top of the archive is left out.

    Raises:
        UserError: the archive is damaged, lacks the file `needed`, or is a trap: absolute names, ``..``, links,
            repeated names, or more bytes than a real one could hold; or the disk is full.
    """
    try:
        with (
            damage_refused(archive),
            atomic_folder(folder) as beside,
            open_regular(archive) as file,
            zipfile.ZipFile(file) as opened,
        ):
            members = _members(opened, archive, folder.name)
            if needed not in members:
                raise UserError(f"{archive} has no {needed}; it is not what it should be")
            members = {name: member for name, member in members.items() if name != RECEIPT and wanted(name)}
            total = sum(member.file_size for member in members.values())
            if total > shutil.disk_usage(folder.parent).free:
                raise UserError(f"{folder.parent} has no room for the {total / 1e9:.1f} GB that {archive} unpacks to")
            files = {}
            with progress(total=total, desc=f"unpack {archive.name}", unit="B", unit_scale=True) as bar:
                for name, member in members.items():
                    files[name] = _extract(opened, member, beside / name, bar.update)
            write_record(beside / RECEIPT, Receipt(archive=archive.name, files=files))
    except OSError as failure:
        if failure.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full at {folder.parent}; free some space and run again") from None
        raise


def _members(opened: zipfile.ZipFile, archive: Path, top: str) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by their checked names."""
    entries = opened.infolist()
    unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if len(entries) > ENTRIES or unpacked > BYTES or unpacked > RATIO * packed + _BLOCK:
        raise UserError(f"{archive} would unpack to {len(entries):,} entries of {unpacked:,} bytes, so it is not used")
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        parts = name.removesuffix("/").split("/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if any(part in ("", ".", "..") for part in parts) or any(sign in name for sign in "\\:\0"):
            raise UserError(f"{archive} has an entry named {name[:80]!r}, which leads elsewhere, so it is not used")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{archive} has an entry {name[:80]!r} that is a link or device, so it is not used")
        check_packing(entry, f"{archive}: {name[:80]!r}")
        if not entry.is_dir():
            members[name] = entry
    if all(name.startswith(f"{top}/") for name in members):
        members = {name.removeprefix(f"{top}/"): entry for name, entry in members.items()}
    names = [name.lower() for name in members]  # some disks take upper and lower case for the same
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    if len(set(names)) < sum(not entry.is_dir() for entry in entries) or folders & set(names):
        raise UserError(f"{archive} has two entries of one name, so it is not used")
    return members


def _extract(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, advance: Callable[[int], object]
) -> SourceFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with opened.open(member) as source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > member.file_size:
                raise zipfile.BadZipFile("an entry is longer than it says")
            digest.update(block)
            target.write(block)
            advance(len(block))
        target.flush()
        os.fsync(target.fileno())
    if size != member.file_size:
        raise zipfile.BadZipFile("an entry is shorter than it says")
    return SourceFile(size=size, sha256=digest.hexdigest())
