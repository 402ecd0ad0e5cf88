"""The manifests in git: what every file must hold, by checksum. The records that verify, report and publish trust."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from corruptions.spec import Strength
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from pipeline.io.npz import Checksums
from pipeline.io.records import Record, read_record, write_record
from pipeline.workspace.cell import CLEAN, Cell
from pipeline.workspace.paths import Workspace

PREPARED = "prepared"
"""Name of the manifest of the splits that are prepared for tuning and not released."""

_REMEDY = "restore it with git or run `dvc repro`"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _checked_channels(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f"must be 1 or 3, not {channels}")
    return channels


Channels = Annotated[int, AfterValidator(_checked_channels)]


class ArraysEntry(Record):
    """One npz file: its number of images, and the SHA-256 of each array's bytes.

    `per_class` has the images of each class where the file is of clean images, or adopted.
    """

    count: int
    images: Sha256
    labels: Sha256
    per_class: tuple[int, ...] | None = None


class CleanManifest(Record):
    """The clean splits of a data set, released or prepared.

    Attributes:
        bytes_version: format version of the corruptions; none where the data set was adopted.
        seed: of the phantom's drawings and of the corruptions; none where the data set was adopted.
        native_channels: 1 if the source's images are grey.
        channels: of the files.
        class_names: in label order, as the source has them.
        corruptions: names of the corruptions that came with an adopted data set.
        splits: split to its file's entry.
        overlap: where that is allowed, the number of images that two splits share, such as ``val and test``.
    """

    bytes_version: int | None = None
    dataset: str
    source: str
    seed: int | None
    native_channels: Channels
    channels: Channels
    class_names: tuple[str, ...]
    corruptions: tuple[str, ...] | None = None
    splits: dict[str, ArraysEntry]
    overlap: dict[str, int] = Field(default_factory=dict)

    @property
    def is_adopted(self) -> bool:
        """Whether others made the corrupted images, so that nothing here can make them."""
        return self.corruptions is not None

    def split(self, name: str) -> ArraysEntry:
        """Return the entry of a split; UserError if there is none."""
        if name not in self.splits:
            raise UserError(f"{self.dataset} has no split {name}; have {', '.join(self.splits)}")
        return self.splits[name]


class StrengthEntry(Record):
    """How strong a corruption is at one severity: a row of the table."""

    severity: int
    kernel: str
    parameters: dict[str, Any]
    source: str

    @classmethod
    def at(cls, severity: int, strength: Strength) -> StrengthEntry:
        """Return the entry of a strength of the table."""
        return cls(severity=severity, **strength._asdict())


class CorruptionManifest(Record):
    """The cells of one data set under one corruption, by split and severity.

    `backend` is what made them: ``cpu`` and ``gpu`` make the same bytes. The attributes that a corruption has from
    params.yaml and from the table lack where it was adopted, and `release` says which file it came from.
    """

    bytes_version: int | None = None
    dataset: str
    corruption: str
    source: str | None = None
    profile: str | None = None
    column: str | None = None
    seed: int | None
    backend: str | None = None
    native_channels: Channels | None = None
    channels: Channels | None = None
    strengths: tuple[StrengthEntry, ...] = ()
    release: str | None = None
    release_sha256: Sha256 | None = None
    cells: dict[str, dict[int, ArraysEntry]]

    def cell(self, cell: Cell) -> ArraysEntry:
        """Return the entry of one cell; UserError if there is none."""
        try:
            return self.cells[cell.split][cell.severity]
        except KeyError:
            raise UserError(f"the manifest of {self.dataset}, {self.corruption} lacks {cell.path}: {_REMEDY}") from None


Manifest = CleanManifest | CorruptionManifest


def read_clean(workspace: Workspace, dataset: str) -> CleanManifest:
    """Return the manifest of the released clean splits; UserError if there is none."""
    return read_record(workspace.manifest(dataset, CLEAN), CleanManifest, remedy=_REMEDY)


def read_prepared(workspace: Workspace, dataset: str) -> CleanManifest:
    """Return the manifest of the splits that are prepared and not released; UserError if there is none."""
    return read_record(workspace.manifest(dataset, PREPARED), CleanManifest, remedy=_REMEDY)


def read_corruption(workspace: Workspace, dataset: str, corruption: str) -> CorruptionManifest:
    """Return the manifest of one corruption; UserError if there is none."""
    return read_record(workspace.manifest(dataset, corruption), CorruptionManifest, remedy=_REMEDY)


def write(workspace: Workspace, manifest: Manifest, *, name: str | None = None) -> None:
    """Write a manifest, whole or absent, the same text for the same value; `name` is ``prepared`` or its own."""
    if isinstance(manifest, CleanManifest):
        path = workspace.manifest(manifest.dataset, name or CLEAN)
    elif manifest.source is None:
        path = workspace.manifest(manifest.dataset, manifest.corruption)
    else:
        path = workspace.released_manifest(manifest.dataset, manifest.corruption)  # adopted, beside the clean ones
    write_record(path, manifest)


def clean_entry(labels: NDArray[np.int64], class_names: Sequence[str], checksums: Checksums) -> ArraysEntry:
    """Return the entry of a file: its images, how many of each class, and the arrays' `checksums`."""
    per_class = tuple(np.bincount(labels, minlength=len(class_names)).tolist())
    return ArraysEntry(count=len(labels), per_class=per_class, **checksums._asdict())


def build_checksum(workspace: Workspace, datasets: Iterable[str]) -> str:
    """Return one SHA-256 over the manifests of `datasets`: the name of a build.

    Those of data sets that an earlier params.yaml built may lie beside them.
    """
    digest = hashlib.sha256()
    folders = (workspace.manifests, workspace.extended_manifests)
    for path in sorted(path for folder in folders for name in set(datasets) for path in folder.glob(f"{name}/*.json")):
        digest.update(f"{path.relative_to(workspace.manifests).as_posix()}\n".encode())
        digest.update(bytes.fromhex(file_checksum(path)))
    return digest.hexdigest()
