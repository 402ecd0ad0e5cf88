"""The records that several stages share: what verify passed, what export wrote, what publish pushed."""

from __future__ import annotations

from importlib.metadata import version

from pydantic import ConfigDict

from pipeline.io.records import Record
from pipeline.workspace.manifest import Sha256

EXPORT_VERSION = 2
"""Version of what export writes from the same pixels. A change of the columns or of their coding is a new version."""


def made_with() -> dict[str, str]:
    """Return the versions of the packages that the bytes of the parquet files depend on."""
    return {name: version(name) for name in ("pyarrow", "deflate")}


class VerifyRecord(Record):
    """metrics/verify.json: what verify read and, in `manifests`, the checksum of the build that it read."""

    files: int
    images: int
    findings: int
    manifests: Sha256


class FileEntry(Record):
    """A file of the Hub repository: the SHA-256 of its bytes, and its size in bytes."""

    sha256: Sha256
    size: int


class NpzEntry(FileEntry):
    """An npz file, with the checksums of its arrays."""

    images: Sha256
    labels: Sha256


class ParquetEntry(FileEntry):
    """A parquet file.

    Attributes:
        key: checksum of all that its bytes depend on.
        rows: its number of images.
        raw: size of the rows before parquet's own compression, bytes.
    """

    key: Sha256
    rows: int
    raw: int


Entries = dict[str, NpzEntry | ParquetEntry | FileEntry]
"""Path in the Hub repository to the file's entry."""


class ExportRecord(Record):
    """metrics/export.json: every file of the Hub repository.

    Attributes:
        export_version: version of what export writes from the same pixels.
        made_with: versions of the packages that the bytes of parquet files depend on.
        build: checksum of the manifests; None while the export is unfinished.
        files: entry of each file.
    """

    export_version: int
    made_with: dict[str, str]
    build: Sha256 | None
    files: Entries


class PublishRecord(Record):
    """metrics/publish.json and publish-adapter.json: what the last push left on the Hub.

    `checksums` is the SHA-256 of a SHA256SUMS file of the repository's files, `bytes` the sum of their sizes.
    """

    repo: str
    tag: str | None
    commit: str
    files: int
    bytes: int
    checksums: Sha256


class AdapterConfig(Record):
    """What is read of PEFT's adapter_config.json, which has many keys more."""

    model_config = ConfigDict(extra="ignore")

    r: int | None = None
    lora_alpha: int | float | None = None
    base_model_name_or_path: str | None = None
