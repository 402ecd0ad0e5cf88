"""Export the npz tree as a repository for the Hugging Face Hub: parquet, card, Croissant file and checksums.

Writes data/export/ (README.md, croissant.json, SHA256SUMS, data/<dataset>/<validation|test>/*.parquet) and
metrics/export.json, the record of every file of the repository. The npz files are part of the repository too, but
are not copied: publish takes them from data/MediMeta-C. A parquet file is written again only if what it is made of has
changed or the file itself is damaged; every npz is compared with its manifest on the way.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from corruptions import CORRUPTIONS
from pipeline import manifest
from pipeline.cell import CLEAN, Cell
from pipeline.config import read_config
from pipeline.errors import UserError
from pipeline.hub import card, croissant
from pipeline.hub.build import Build, Dataset, image_ids, local_path, read_build
from pipeline.io import npz, parquet
from pipeline.io.atomic import atomic_write, is_temporary, remove_leftover
from pipeline.io.checksums import file_checksum, labels_checksum
from pipeline.io.records import write_json
from pipeline.manifest import ArraysEntry
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress

EXPORT_VERSION = 2
"""Version of what export writes from the same pixels. A change of the columns or of their coding is a new version."""

_SAVE_EVERY = 5.0  # seconds of work that a killed export may have to do again

Entries = dict[str, dict[str, Any]]


def export(workspace: Workspace, names: tuple[str, ...], *, workers: int, gallery: Path | None = None) -> Entries:
    """Write the export of the data sets `names` and its manifest; return the manifest's entries, path to facts."""
    build = read_build(workspace, names)
    folder = workspace.export
    work = _Work(workspace, _previous(workspace), {d.name: _Inputs(workspace, d) for d in build.datasets})
    done: Entries = {}
    saved = time.monotonic()
    with progress(total=build.images, unit="img", desc="export") as bar:
        try:
            for entries, images in ordered(work.cell, build.cells(), workers=workers):
                done |= entries
                bar.update(images)
                if time.monotonic() - saved > _SAVE_EVERY:
                    _save(workspace, {**work.before, **done}, None)
                    saved = time.monotonic()
        finally:
            _save(workspace, {**work.before, **done}, None)
    done |= _manifests(workspace, build)
    done |= _texts(workspace, build, done, gallery)
    _remove_strays(folder, done)
    _save(workspace, done, manifest.build_checksum(workspace))
    return done


@dataclass(frozen=True)
class _Inputs:
    """What the cells of one data set share."""

    image_ids: dict[str, list[str]]
    schema: pa.Schema
    digest: str

    def __init__(self, workspace: Workspace, dataset: Dataset) -> None:
        ids = image_ids(workspace, dataset.name)
        shared = json.dumps([[EXPORT_VERSION, *_made_with().values()], dataset.class_names, ids])
        object.__setattr__(self, "image_ids", ids)
        object.__setattr__(self, "schema", parquet.features(dataset.class_names).arrow_schema)
        object.__setattr__(self, "digest", hashlib.sha256(shared.encode()).hexdigest())


@dataclass(frozen=True)
class _Work:
    """Exports cells, reusing what `before`, an earlier run's entries, vouches for."""

    workspace: Workspace
    before: Entries
    inputs: dict[str, _Inputs]

    def cell(self, which: tuple[Dataset, Cell]) -> tuple[Entries, int]:
        """Bring the files of one cell up to date; return their entries and the number of images."""
        dataset, cell = which
        expected = dataset.entry(cell)
        path = self.workspace.npz(cell)
        source = npz.Npz(path)
        proven = self._proven(path, source, expected)
        entries = {path.relative_to(self.workspace.release).as_posix(): proven}
        inputs = self.inputs[cell.dataset]
        ids = inputs.image_ids[cell.split]
        if len(ids) != expected.count:
            raise UserError(
                f"{self.workspace.rows(cell.dataset)} has {len(ids)} rows of {cell.split}, its manifest"
                f" {expected.count}: run `dvc repro`"
            )
        key = hashlib.sha256(f"{inputs.digest} {expected.images} {expected.labels} {cell}".encode()).hexdigest()
        paths = parquet.shard_paths(cell, source.shape)
        if all(self._is_current(shard, key) for shard in paths):
            return entries | {shard: self.before[shard] for shard in paths}, expected.count
        for made in parquet.write(self.workspace.export, cell, source, ids, inputs.schema):
            entries[made.path] = {
                "key": key,
                "sha256": made.sha256,
                "size": made.size,
                "rows": made.rows,
                "raw": made.raw,
            }
        return entries, expected.count

    def _proven(self, path: Path, source: npz.Npz, expected: ArraysEntry) -> dict[str, Any]:
        """Return the entry of an npz whose arrays are what its manifest says."""
        arrays = {"images": expected.images, "labels": expected.labels}
        entry = {**arrays, "sha256": file_checksum(path), "size": path.stat().st_size}
        if self.before.get(path.relative_to(self.workspace.release).as_posix()) == entry:
            return entry
        images = hashlib.sha256()
        for chunk in source.chunks(64):
            images.update(chunk.tobytes())
        found = {
            "images": images.hexdigest(),
            "labels": labels_checksum(source.labels),
        }
        if found != arrays or len(source.labels) != expected.count:
            raise UserError(f"{path} is not what its manifest says: delete it and run `dvc repro`")
        return entry

    def _is_current(self, shard: str, key: str) -> bool:
        entry, path = self.before.get(shard, {}), local_path(self.workspace, shard)
        return entry.get("key") == key and path.is_file() and file_checksum(path) == entry["sha256"]


def _made_with() -> dict[str, str]:
    """Return the versions that the bytes of the parquet files depend on."""
    return {name: version(name) for name in ("pyarrow", "deflate")}


def _previous(workspace: Workspace) -> Entries:
    try:
        entries: Entries = json.loads(workspace.export_record.read_text())["files"]
        return {path: dict(entry) for path, entry in entries.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # nothing vouches for what may lie there, so everything is written again


def _save(workspace: Workspace, entries: Entries, build: str | None) -> None:
    """Write metrics/export.json; `build` is the checksum of the manifests, or None while the export is unfinished."""
    value = {"export_version": EXPORT_VERSION, "made_with": _made_with(), "build": build, "files": entries}
    write_json(workspace.export_record, value)


def _manifests(workspace: Workspace, build: Build) -> Entries:
    names = (CLEAN, *CORRUPTIONS)
    paths = [workspace.manifest(dataset.name, name) for dataset in build.datasets for name in names]
    return {path.relative_to(workspace.root).as_posix(): _entry(path) for path in paths}


def _texts(workspace: Workspace, build: Build, done: Entries, gallery: Path | None) -> Entries:
    """Write card, Croissant file, checksums and picture; return their entries."""
    folder = workspace.export
    sums = "".join(f"{entry['sha256']}  {path}\n" for path, entry in sorted(done.items()))
    changes = workspace.root / "CHANGELOG.md"
    changelog = changes.read_text(encoding="utf-8") if changes.exists() else ""
    released = re.search(r"\d{4}-\d\d-\d\d", changelog)  # the newest version stands first
    texts = {
        "SHA256SUMS": sums,
        "README.md": card.dataset_card(
            build,
            done,
            sums=hashlib.sha256(sums.encode()).hexdigest(),
            picture=gallery is not None,
            changelog=changelog,
        ),
        "croissant.json": croissant.describe(build, released.group() if released else None),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    if gallery is not None:
        contents[card.PICTURE] = gallery.read_bytes()
    for name, content in contents.items():
        with atomic_write(folder / name) as handle:
            handle.write(content)
    return {name: _entry(folder / name) for name in contents}


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": file_checksum(path), "size": path.stat().st_size}


def _remove_strays(folder: Path, done: Entries) -> None:
    for path in folder.rglob("*"):
        if is_temporary(path):
            remove_leftover(path)  # another run may be writing it
        elif path.is_file() and path.relative_to(folder).as_posix() not in done:
            path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--gallery", type=Path, help="picture for the card, PNG")
    command_line.add_workers(parser)
    given = parser.parse_args(argv)

    def work() -> None:
        export(
            Workspace(given.root),
            read_config(Workspace(given.root)).datasets,
            workers=given.workers,
            gallery=given.gallery,
        )

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
