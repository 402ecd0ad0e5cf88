"""The parquet files of the Hub repository: written again only if their sources have changed or they are damaged."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipeline.errors import UserError
from pipeline.hub.build import Dataset, image_ids, local_path
from pipeline.hub.records import EXPORT_VERSION, Entries, NpzEntry, ParquetEntry, made_with
from pipeline.io import npz, parquet
from pipeline.io.checksums import file_checksum, labels_checksum
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import ArraysEntry
from pipeline.workspace.paths import Workspace


class Exporter:
    """Exports the cells of one data set, reusing what the entries of an earlier run, `before`, vouch for."""

    def __init__(self, workspace: Workspace, dataset: Dataset, before: Entries) -> None:
        self.workspace = workspace
        self.dataset = dataset
        self.before = before
        self.image_ids = image_ids(workspace, dataset)
        self.schema: Any = parquet.features(dataset.clean.class_names).arrow_schema
        shared = [[EXPORT_VERSION, *made_with().values()], dataset.clean.class_names, self.image_ids]
        self.key = hashlib.sha256(json.dumps(shared).encode()).hexdigest()

    def export(self, cell: Cell) -> Entries:
        """Compare a cell's npz with its manifest and bring its parquet files up to date; return their entries."""
        expected = self.dataset.entry(cell)
        source = npz.Npz(self.workspace.npz(cell))
        entries: Entries = {cell.path: self._checked(cell, source, expected)}
        ids = self.image_ids[cell.split]
        if len(ids) != expected.count:
            raise UserError(
                f"{self.workspace.rows(cell.dataset)} has {len(ids)} rows of {cell.split}, its manifest"
                f" {expected.count}: run `dvc repro`"
            )
        key = hashlib.sha256(f"{self.key} {expected.images} {expected.labels} {cell}".encode()).hexdigest()
        paths = parquet.shard_paths(cell.parquet_stem, source.shape)
        if all(self._is_current(path, key) for path in paths):
            return entries | {path: self.before[path] for path in paths}
        images = parquet.Images(cell.parquet_stem, source, cell.corruption, cell.severity, ids)
        for shard in parquet.write(self.workspace.export, images, self.schema):
            entries[shard.path] = ParquetEntry(
                key=key, sha256=shard.sha256, size=shard.size, rows=shard.rows, raw=shard.raw
            )
        return entries

    def _checked(self, cell: Cell, source: npz.Npz, expected: ArraysEntry) -> NpzEntry:
        """Return the entry of an npz file whose arrays are what its manifest says."""
        path = self.workspace.npz(cell)
        entry = NpzEntry(
            sha256=file_checksum(path), size=path.stat().st_size, images=expected.images, labels=expected.labels
        )
        if self.before.get(cell.path) == entry:
            return entry
        images = hashlib.sha256()
        for chunk in source.chunks(64):
            images.update(chunk.tobytes())
        arrays = (images.hexdigest(), labels_checksum(source.labels), len(source.labels))
        if arrays != (expected.images, expected.labels, expected.count):
            raise UserError(f"{path} is not what its manifest says: delete it and run `dvc repro`")
        return entry

    def _is_current(self, path: str, key: str) -> bool:
        entry, file = self.before.get(path), local_path(self.workspace, path)
        return (
            isinstance(entry, ParquetEntry)
            and entry.key == key
            and file.is_file()
            and file_checksum(file) == entry.sha256
        )
