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
from pipeline import UserError, cells, croissant, datacard, facts, manifest, npz, stage
from pipeline.cells import Cell
from pipeline.facts import Build, Dataset
from pipeline.layout import Layout
from pipeline.parallel import ordered
from pipeline.settings import settings
from pipeline.whole import is_temporary, remove_leftover, whole, write_json

EXPORT_VERSION = 2
"""Version of what export writes from the same pixels. A change of the columns or of their coding is a new version."""

_SAVE_EVERY = 5.0  # seconds of work that a killed export may have to do again

Entries = dict[str, dict[str, Any]]


def export(layout: Layout, names: tuple[str, ...], *, workers: int, gallery: Path | None = None) -> Entries:
    """Write the export of the data sets `names` and its manifest; return the manifest's entries, path to facts."""
    build = facts.build(layout, names)
    folder = facts.export_folder(layout)
    work = _Work(layout, _previous(layout), {d.name: _Inputs(layout, d) for d in build.datasets})
    done: Entries = {}
    saved = time.monotonic()
    with stage.progress(total=build.images, unit="img", desc="export") as bar:
        try:
            for entries, images in ordered(work.cell, build.cells(), workers=workers):
                done |= entries
                bar.update(images)
                if time.monotonic() - saved > _SAVE_EVERY:
                    _save(layout, {**work.before, **done}, None)
                    saved = time.monotonic()
        finally:
            _save(layout, {**work.before, **done}, None)
    done |= _manifests(layout, build)
    done |= _texts(layout, build, done, gallery)
    _remove_strays(folder, done)
    _save(layout, done, manifest.checksum(layout))
    return done


@dataclass(frozen=True)
class _Inputs:
    """What the cells of one data set share."""

    image_ids: dict[str, list[str]]
    schema: pa.Schema
    digest: str

    def __init__(self, layout: Layout, dataset: Dataset) -> None:
        ids = facts.image_ids(layout, dataset.name)
        shared = json.dumps([[EXPORT_VERSION, *_made_with().values()], dataset.class_names, ids])
        object.__setattr__(self, "image_ids", ids)
        object.__setattr__(self, "schema", cells.features(dataset.class_names).arrow_schema)
        object.__setattr__(self, "digest", hashlib.sha256(shared.encode()).hexdigest())


@dataclass(frozen=True)
class _Work:
    """Exports cells, reusing what `before`, an earlier run's entries, vouches for."""

    layout: Layout
    before: Entries
    inputs: dict[str, _Inputs]

    def cell(self, which: tuple[Dataset, Cell]) -> tuple[Entries, int]:
        """Bring the files of one cell up to date; return their entries and the number of images."""
        dataset, cell = which
        expected = dataset.checksums(cell)
        path = facts.npz_path(self.layout, cell)
        source = npz.Npz(path)
        proven = self._proven(path, source, expected)
        entries = {path.relative_to(self.layout.release).as_posix(): proven}
        inputs = self.inputs[cell.dataset]
        ids = inputs.image_ids[cell.split]
        if len(ids) != expected["count"]:
            raise UserError(
                f"{self.layout.rows(cell.dataset)} has {len(ids)} rows of {cell.split}, its manifest"
                f" {expected['count']}: run `dvc repro`"
            )
        key = hashlib.sha256(f"{inputs.digest} {expected} {cell}".encode()).hexdigest()
        paths = cells.shard_paths(cell, source.shape)
        if all(self._is_current(shard, key) for shard in paths):
            return entries | {shard: self.before[shard] for shard in paths}, expected["count"]
        for made in cells.write(facts.export_folder(self.layout), cell, source, ids, inputs.schema):
            entries[made.path] = {
                "key": key,
                "sha256": made.sha256,
                "size": made.size,
                "rows": made.rows,
                "raw": made.raw,
            }
        return entries, expected["count"]

    def _proven(self, path: Path, source: npz.Npz, expected: dict[str, Any]) -> dict[str, Any]:
        """Return the entry of an npz whose arrays are what its manifest says."""
        arrays = {key: expected[key] for key in ("images", "labels")}
        entry = {**arrays, "sha256": manifest.file_checksum(path), "size": path.stat().st_size}
        if self.before.get(path.relative_to(self.layout.release).as_posix()) == entry:
            return entry
        images = hashlib.sha256()
        for chunk in source.chunks(64):
            images.update(chunk.tobytes())
        found = {
            "images": images.hexdigest(),
            "labels": hashlib.sha256(source.labels.astype("<i8").tobytes()).hexdigest(),
        }
        if found != arrays or len(source.labels) != expected["count"]:
            raise UserError(f"{path} is not what its manifest says: delete it and run `dvc repro`")
        return entry

    def _is_current(self, shard: str, key: str) -> bool:
        entry, path = self.before.get(shard, {}), facts.local_path(self.layout, shard)
        return entry.get("key") == key and path.is_file() and manifest.file_checksum(path) == entry["sha256"]


def _made_with() -> dict[str, str]:
    """Return the versions that the bytes of the parquet files depend on."""
    return {name: version(name) for name in ("pyarrow", "deflate")}


def _previous(layout: Layout) -> Entries:
    try:
        entries: Entries = json.loads(facts.export_record(layout).read_text())["files"]
        return {path: dict(entry) for path, entry in entries.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # nothing vouches for what may lie there, so everything is written again


def _save(layout: Layout, entries: Entries, build: str | None) -> None:
    """Write metrics/export.json; `build` is the checksum of the manifests, or None while the export is unfinished."""
    value = {"export_version": EXPORT_VERSION, "made_with": _made_with(), "build": build, "files": entries}
    write_json(facts.export_record(layout), value)


def _manifests(layout: Layout, build: Build) -> Entries:
    names = (manifest.CLEAN, *CORRUPTIONS)
    paths = [layout.manifest(dataset.name, name) for dataset in build.datasets for name in names]
    return {path.relative_to(layout.root).as_posix(): _entry(path) for path in paths}


def _texts(layout: Layout, build: Build, done: Entries, gallery: Path | None) -> Entries:
    """Write card, Croissant file, checksums and picture; return their entries."""
    folder = facts.export_folder(layout)
    sums = "".join(f"{entry['sha256']}  {path}\n" for path, entry in sorted(done.items()))
    changes = layout.root / "CHANGELOG.md"
    changelog = changes.read_text(encoding="utf-8") if changes.exists() else ""
    released = re.search(r"\d{4}-\d\d-\d\d", changelog)  # the newest version stands first
    texts = {
        "SHA256SUMS": sums,
        "README.md": datacard.dataset_card(
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
        contents[datacard.PICTURE] = gallery.read_bytes()
    for name, content in contents.items():
        with whole(folder / name) as handle:
            handle.write(content)
    return {name: _entry(folder / name) for name in contents}


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": manifest.file_checksum(path), "size": path.stat().st_size}


def _remove_strays(folder: Path, done: Entries) -> None:
    for path in folder.rglob("*"):
        if is_temporary(path):
            remove_leftover(path)  # another run may be writing it
        elif path.is_file() and path.relative_to(folder).as_posix() not in done:
            path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = stage.parser(__doc__)
    parser.add_argument("--gallery", type=Path, help="picture for the card, PNG")
    stage.add_workers(parser)
    given = parser.parse_args(argv)

    def work() -> None:
        export(Layout(given.root), settings(given.root).datasets, workers=given.workers, gallery=given.gallery)

    return stage.run(work)


if __name__ == "__main__":
    sys.exit(main())
