"""Bring what the source needs to data/raw/<source>/, and list it in manifests/source.json.

medimeta: the data sets' archives from Zenodo, unpacked. medmnist: the 224-pixel npz files from Zenodo. imagefolder and
phantom: nothing is brought. What is there already is checked and kept; a download that stopped goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import read_config
from pipeline.datasets import DATASETS
from pipeline.errors import UserError
from pipeline.io.atomic import MARK, remove_leftover
from pipeline.io.checksums import file_checksum
from pipeline.io.records import write_json
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.progress import progress
from pipeline.sources.download import Sums, answer, checksums, download
from pipeline.sources.imagefolder import image_files
from pipeline.sources.medmnist import CLASSES
from pipeline.sources.unpack import unpack

BASE_URL = "https://zenodo.org"

MEDIMETA_RECORD = 7884735
"""Zenodo record of MedIMeta; its checksums are those that Zenodo itself lists."""

MEDMNIST_RECORD = 10519652
"""Zenodo record of MedMNIST+."""

MEDMNIST_MD5 = {
    "bloodmnist": "b718ff6835fcbdb22ba9eacccd7b2601",
    "breastmnist": "b56378a6eefa9fed602bb16d192d4c8b",
    "octmnist": "abc493b6d529d5de7569faaef2773ba3",
    "pneumoniamnist": "d6a3c71de1b945ea11211b03746c1fe1",
    "retinamnist": "eae7e3b6f3fcbda4ae613ebdcbe35348",
}
"""``MD5_224`` of INFO in medmnist 3.0.2."""

RECEIPT = "receipt.json"
"""In an unpacked folder: what was unpacked."""

Entries = dict[str, dict[str, int | str]]
"""Size and SHA-256 of files, by their paths under the source's folder."""


def fetch(workspace: Workspace, source: str, datasets: Sequence[str], *, base_url: str = BASE_URL) -> None:
    """Bring what `datasets` of `source` need, whole or absent, and write manifests/source.json.

    Raises:
        UserError: something cannot be had, or what is there is not what it should be.
    """
    folder = workspace.raw(source)
    folder.mkdir(parents=True, exist_ok=True)
    work: dict[str, Callable[[Path, Sequence[str], str], Entries]] = {
        "phantom": lambda *_: {},
        "medimeta": _medimeta,
        "medmnist": _medmnist,
        "imagefolder": _imagefolder,
    }
    with _alone(folder):
        files = work[source](folder, datasets, base_url.rstrip("/"))
    write_json(workspace.manifests / "source.json", {"source": source, "files": files})


def _medimeta(folder: Path, datasets: Sequence[str], base_url: str) -> Entries:
    _check_known("medimeta", datasets, DATASETS)
    listed: dict[str, Any] | None = None
    files: Entries = {}
    for dataset in datasets:
        if not (folder / dataset).exists():
            listed = _listed(base_url, MEDIMETA_RECORD) if listed is None else listed
            _bring_archive(folder, dataset, base_url, listed)
        files |= _unpacked(folder, dataset)
        if (folder / dataset / RECEIPT).exists():
            (folder / f"{dataset}.zip").unlink(missing_ok=True)
        _remove_remains(folder, dataset)
    return files


def _bring_archive(folder: Path, dataset: str, base_url: str, listed: dict[str, Any]) -> None:
    archive = folder / f"{dataset}.zip"
    if archive.name not in listed:
        raise UserError(f"Zenodo record {MEDIMETA_RECORD} has no {archive.name}; it has {', '.join(sorted(listed))}")
    size, md5 = listed[archive.name]
    if not archive.exists():
        download(f"{base_url}/records/{MEDIMETA_RECORD}/files/{archive.name}", archive, md5=md5, size=size)
    elif checksums(archive).md5 != md5:
        raise UserError(f"{archive} is not the one on Zenodo; delete it and run again")
    unpack(
        archive,
        folder / dataset,
        wanted=lambda name: not name.startswith("images/") and name != RECEIPT,  # images.hdf5 has all of images/
        needed="info.yaml",
        receipt=RECEIPT,
    )


def _unpacked(folder: Path, dataset: str) -> Entries:
    """Return what a data set's folder holds, after comparing it with its receipt if it was unpacked here."""
    here = folder / dataset
    found: Entries = {}
    for path in sorted(here.rglob("*")):
        name = path.relative_to(here).as_posix()
        if path.is_file() and not name.startswith("images/") and name != RECEIPT:
            found[name] = _entry(checksums(path))
    if (here / RECEIPT).exists():
        try:
            unpacked = dict(json.loads((here / RECEIPT).read_text())["files"])
        except (ValueError, KeyError, TypeError, RecursionError):
            unpacked = {}
        changed = sorted(name for name in {*unpacked, *found} if unpacked.get(name) != found.get(name))
        if changed:
            raise UserError(f"{here / changed[0]} is not as it was fetched; delete {here} and run again")
    return {f"{dataset}/{name}": entry for name, entry in found.items()}


def _medmnist(folder: Path, datasets: Sequence[str], base_url: str) -> Entries:
    _check_known("medmnist", datasets, tuple(CLASSES))
    files: Entries = {}
    for dataset in datasets:
        path = folder / f"{dataset}_224.npz"
        if path.exists():
            sums = checksums(path)
            if sums.md5 != MEDMNIST_MD5[dataset]:
                raise UserError(f"{path} is not the one on Zenodo; delete it and run again")
        else:
            url = f"{base_url}/records/{MEDMNIST_RECORD}/files/{path.name}"
            sums = download(url, path, md5=MEDMNIST_MD5[dataset])
        files[path.name] = _entry(sums)
        _remove_remains(folder, dataset)
    return files


def _imagefolder(folder: Path, datasets: Sequence[str], _: str) -> Entries:
    files: Entries = {}
    for dataset in datasets:
        if not (folder / dataset).is_dir():
            raise UserError(f"no folder {folder / dataset}; put images into it as <split>/<class>/*.png")
        for path in progress(list(image_files(folder / dataset)), desc=f"check {dataset}", unit="img"):
            files[path.relative_to(folder).as_posix()] = {
                "size": path.stat().st_size,
                "sha256": file_checksum(path),
            }
    return files


def _remove_remains(folder: Path, dataset: str) -> None:
    """Remove what a killed run left of a data set that has come since, by whatever way."""
    for path in folder.glob(f"{MARK}{dataset}*"):
        remove_leftover(path)


def _listed(base_url: str, record: int) -> dict[str, tuple[int, str]]:
    """Return size and MD5 of a Zenodo record's files by name (developers.zenodo.org, REST API, records)."""
    url = f"{base_url}/api/records/{record}"
    said = answer(url)
    try:
        listed = {
            str(one["key"]): (int(one["size"]), str(one["checksum"]).removeprefix("md5:")) for one in said["files"]
        }
    except (KeyError, TypeError, ValueError, OverflowError):  # JSON's Infinity is no whole number
        raise UserError(f"{url} does not list files as Zenodo does") from None
    return listed


def _entry(sums: Sums) -> dict[str, int | str]:
    return {"size": sums.size, "sha256": sums.sha256}


def _check_known(source: str, datasets: Sequence[str], known: Sequence[str]) -> None:
    for dataset in datasets:
        if dataset not in known:
            raise UserError(f"params.yaml: {source} has no data set {dataset!r}; have {', '.join(known)}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, so that two runs never write the same files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is fetching into {folder}; wait for it to end") from None
        yield
    finally:
        os.close(descriptor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--base-url", default=BASE_URL, help=f"a mirror of Zenodo's files (default: {BASE_URL})")
    given = parser.parse_args(argv)

    def work() -> None:
        chosen = read_config(Workspace(given.root))
        fetch(Workspace(given.root), chosen.source, chosen.datasets, base_url=given.base_url)

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
