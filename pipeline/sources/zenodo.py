"""Files of Zenodo records, or of a mirror with the same paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.io.atomic import MARK, remove_leftover
from pipeline.sources.download import Checksums, checksums, download, download_json, without_secrets


@dataclass(frozen=True)
class ZenodoFile:
    """One file of a record: its address, MD5 sum and, if the record says it, size in bytes."""

    url: str
    md5: str
    size: int | None = None

    def bring(self, path: Path) -> Checksums:
        """Download the file to `path` unless it is there; return its checksums.

        Raises:
            UserError: it cannot be had, or another file has this name.
        """
        if not os.path.lexists(path):
            return download(self.url, path, md5=self.md5, size=self.size)
        sums = checksums(path)
        if sums.md5 != self.md5:
            raise UserError(f"{path} is not the one on Zenodo; delete it and run again")
        return sums


def file_url(base_url: str, record: int, name: str) -> str:
    """Return the address of a file of a record."""
    return f"{base_url}/records/{record}/files/{name}"


def files_of(base_url: str, record: int) -> dict[str, ZenodoFile]:
    """Return the files of a record by name (developers.zenodo.org, REST API, records)."""
    url = f"{base_url}/api/records/{record}"
    answer = download_json(url)
    try:
        return {
            str(entry["key"]): ZenodoFile(
                url=file_url(base_url, record, str(entry["key"])),
                md5=str(entry["checksum"]).removeprefix("md5:"),
                size=int(entry["size"]),
            )
            for entry in answer["files"]
        }
    except (KeyError, TypeError, ValueError, OverflowError):  # JSON's Infinity is no whole number
        raise UserError(f"{without_secrets(url)} does not list files as Zenodo does") from None


def remove_remains(folder: Path, dataset: str) -> None:
    """Remove what a killed run left of a data set that has come since, by whatever way."""
    for path in folder.glob(f"{MARK}{dataset}*"):
        remove_leftover(path)
