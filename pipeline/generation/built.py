"""What was built of the extended set of corruptions, and with what, so that only what has changed is built again.

The set is one stage of dvc.yaml, whose parameters are not those of a single corruption. So each has a key here: the
checksum of all that its bytes depend on, and of its manifest. ``manifests/MediMeta-C-extended/built.json`` lists them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import corruptions
from corruptions.spec import EXTENDED, SEVERITIES, strength
from corruptions.table import BYTES_VERSION
from pipeline.config.params import Config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.atomic import atomic_write, is_temporary, remove_leftover
from pipeline.io.checksums import file_checksum, labels_checksum
from pipeline.io.records import Record, read_record, write_record
from pipeline.workspace import manifest
from pipeline.workspace.cell import RELEASED, cells_of
from pipeline.workspace.manifest import ArraysEntry, Sha256
from pipeline.workspace.paths import Workspace

ABOUT = "ABOUT.txt"
"""A file that says what the tree is for, so that it is never empty: DVC warns of empty folders at every command."""

_ABOUT = "The corruptions that corruption_set of params.yaml adds to the seven of data/MediMeta-C, laid out alike.\n"

_CODE = (
    "corruptions/api.py",
    "corruptions/cpu",
    "corruptions/draws.py",
    "corruptions/extended/cpu",
    "corruptions/extended/lookup",
    "corruptions/lookup.py",
    "corruptions/spec.py",
    "pipeline/generation/cells.py",
    "pipeline/io/npz.py",
)
"""Files and folders that can change a byte, as dvc.yaml has them; the backends agree, so the CPU's stands for all."""

_BATCH = 32
"""Images that are read at once."""


class Built(Record):
    """manifests/MediMeta-C-extended/built.json: the key of each corruption that lies there, by data set."""

    keys: dict[str, dict[str, Sha256]]


def key(workspace: Workspace, config: Config, dataset: str, corruption: str) -> str:
    """Return the checksum of all that the cells of a data set under a corruption depend on, and of their manifest.

    How they are compressed is in it too. Without a manifest the key is one that no build has.
    """
    path = workspace.manifest(dataset, corruption)
    clean = manifest.read_clean(workspace, dataset)
    column = config.column(dataset)
    parts = [
        [BYTES_VERSION, code_checksum(), dataset, corruption, config.seed, config.compression_of(corruption)],
        [strength(corruption, k, profile=config.profile, column=column) for k in SEVERITIES],
        [clean.native_channels, clean.channels, *(clean.split(split).model_dump() for split in RELEASED)],
        [config.profile, column if config.profile == "modality" else None],
        file_checksum(path) if path.is_file() else None,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def code_checksum() -> str:
    """Return the checksum of the code that makes the bytes."""
    folder = Path(corruptions.__file__).parents[1]
    paths = [path for name in _CODE for path in ((folder / name).rglob("*.py") if "." not in name else [folder / name])]
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def read_built(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Return the keys of what was built, by data set and corruption; nothing of a record that cannot be read."""
    try:
        return read_record(workspace.extended_record, Built, remedy="all is built anew").keys
    except UserError:
        return {}


def has_its_key(workspace: Workspace, config: Config, dataset: str, corruption: str) -> bool:
    """Say whether a data set under a corruption was built with the key that it has now."""
    return read_built(workspace).get(dataset, {}).get(corruption) == key(workspace, config, dataset, corruption)


def is_current(workspace: Workspace, config: Config, dataset: str, corruption: str) -> bool:
    """Say whether a data set under a corruption has its key, and all its files hold what the manifest says.

    The files are read: DVC runs the stage when one of them has changed, and expects that it is made anew.
    """
    if not has_its_key(workspace, config, dataset, corruption):
        return False
    recorded = manifest.read_corruption(workspace, dataset, corruption)
    cells = [cell for split in RELEASED for cell in cells_of(dataset, split, [corruption]) if not cell.is_clean]
    return all(_holds(workspace.npz(cell), recorded.cell(cell)) for cell in cells)


def _holds(path: Path, entry: ArraysEntry) -> bool:
    """Say whether an npz file is there and whole, and its arrays have the checksums of a manifest's entry."""
    digest = hashlib.sha256()
    try:
        opened = npz.Npz(path)
        for images in opened.chunks(_BATCH):
            digest.update(images.reshape(-1).data)
        return (digest.hexdigest(), labels_checksum(opened.labels)) == (entry.images, entry.labels)
    except npz.NpzError:
        return False


def record(workspace: Workspace, dataset: str, corruption: str, value: str | None) -> None:
    """Write that a corruption of a data set was built with a key, or with None that it is about to be."""
    with _locked(workspace.extended_manifests):
        keys = read_built(workspace)
        of_dataset = {name: known for name, known in keys.get(dataset, {}).items() if name != corruption}
        if value is not None:
            of_dataset[corruption] = value
        _write(workspace, keys | {dataset: of_dataset})


def remove_others(workspace: Workspace, config: Config) -> list[str]:
    """Remove the files of what params.yaml does not choose, and leftovers; return what was removed, by name.

    Both folders are there afterwards, so that DVC finds them also if nothing is chosen.
    """
    kept = {(dataset, name) for dataset in config.datasets for name in config.extended(dataset)}
    with atomic_write(workspace.extended / ABOUT) as handle:
        handle.write(_ABOUT.encode())
    removed = set()
    with _locked(workspace.extended_manifests):
        for path in sorted(workspace.extended_manifests.glob("*/*.json")):
            if (path.parent.name, path.stem) not in kept:
                removed.add(f"{path.parent.name} {path.stem}")
                path.unlink()
        for path in sorted(workspace.extended.glob("*/*/*")):
            dataset, name = path.parts[-3], path.name.rpartition("_severity_")[0]
            if is_temporary(path):
                remove_leftover(path)  # another run may be writing it
            elif name in EXTENDED and (dataset, name) not in kept:  # what is no cell at all, verify names
                removed.add(f"{dataset} {name}")
                path.unlink()
        trees = workspace.extended.glob("*/*/"), workspace.extended.glob("*/"), workspace.extended_manifests.glob("*/")
        for folder in [folder for tree in trees for folder in tree]:
            if not any(folder.iterdir()):
                folder.rmdir()
        keys = read_built(workspace)
        _write(workspace, {d: {n: k for n, k in known.items() if (d, n) in kept} for d, known in keys.items()})
    return sorted(removed)


def _write(workspace: Workspace, keys: dict[str, dict[str, str]]) -> None:
    write_record(workspace.extended_record, Built(keys={name: known for name, known in keys.items() if known}))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: several runs, each of one corruption, may write the record."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
