"""Labelled images as parquet: those of one data set's split under one corruption at one severity.

A row is an image: ``image`` struct{bytes, path} (PNG), ``label``, ``corruption``, ``severity`` (0 = clean), ``index``
(its position in the split, the same in every cell) and ``image_id`` (where it came from). The Hub's features are in
the schema, so the files load with their class names wherever they lie. Same rows, same file, for given versions of
pyarrow and libdeflate (deflate).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, Value
from numpy.typing import NDArray

from pipeline.io import png
from pipeline.io.atomic import atomic_write
from pipeline.io.checksums import file_checksum
from pipeline.io.npz import Npz

GROUP_BYTES = 64 << 20
"""Pixels, in bytes, of one row group: what a stream reads at a time. The PNGs are smaller."""

SHARD_GROUPS = 8
"""Row groups of one file."""

_PAGE_ROWS = 8  # images are about 0.1 MB, and a page is meant to have about 1 MB


@dataclass(frozen=True)
class Shard:
    """One parquet file that was written.

    Attributes:
        path: in the repository.
        sha256: checksum.
        size: bytes.
        rows: images.
        raw: bytes of the rows before parquet's own compression.
    """

    path: str
    sha256: str
    size: int
    rows: int
    raw: int


@dataclass(frozen=True)
class Images:
    """The images of the shards: where they are, what was done to them, and where each came from.

    Attributes:
        stem: path of the shards in the repository, up to the number of the shard.
        source: the npz that they are read from.
        corruption, severity: the same for all; severity 0 is clean.
        image_ids: one an image.
    """

    stem: str
    source: Npz
    corruption: str
    severity: int
    image_ids: Sequence[str]


def features(class_names: Sequence[str]) -> Features:
    """Return the features of a data set in the Hub's terms."""
    return Features(
        {
            "image": Image(),
            "label": ClassLabel(names=list(class_names)),
            "corruption": Value("string"),
            "severity": Value("uint8"),
            "index": Value("int32"),
            "image_id": Value("string"),
        }
    )


def shard_paths(stem: str, shape: Sequence[int]) -> list[str]:
    """Return the paths of the files of `stem` that hold images of `shape` (N, H, W, C)."""
    shards = max(1, -(-shape[0] // (_group_rows(shape) * SHARD_GROUPS)))
    return [f"{stem}-{shard:05d}-of-{shards:05d}.parquet" for shard in range(shards)]


def write(folder: Path, images: Images, schema: pa.Schema) -> list[Shard]:
    """Write the parquet files of `images` under `folder`, each whole or absent.

    `schema` is the ``arrow_schema`` of `features`. Memory holds one row group.
    """
    groups = _groups(images, schema)
    shards = []
    for path in shard_paths(images.stem, images.source.shape):
        file = folder / path
        with atomic_write(file) as handle, pq.ParquetWriter(handle, schema, **_options(schema)) as writer:
            for _, group in zip(range(SHARD_GROUPS), groups, strict=False):
                writer.write_table(group, row_group_size=len(group))
        metadata = pq.read_metadata(file)
        raw = sum(metadata.row_group(g).total_byte_size for g in range(metadata.num_row_groups))
        shards.append(Shard(path, file_checksum(file), file.stat().st_size, metadata.num_rows, raw))
    return shards


def _group_rows(shape: Sequence[int]) -> int:
    return max(1, GROUP_BYTES // max(1, int(np.prod(shape[1:]))))


def _groups(images: Images, schema: pa.Schema) -> Iterator[pa.Table]:
    start = 0
    for pixels in images.source.chunks(_group_rows(images.source.shape)):
        yield _table(images, start, pixels, schema)
        start += len(pixels)


def _table(images: Images, start: int, pixels: NDArray[np.uint8], schema: pa.Schema) -> pa.Table:
    """Return the row group of `pixels`, whose first image has the index `start`."""
    count = len(pixels)
    rows = slice(start, start + count)
    encoded = [image for first in range(0, count, 16) for image in png.encode(pixels[first : first + 16])]
    names = [f"{images.corruption}_severity_{images.severity}/{start + row:06d}.png" for row in range(count)]
    columns = [
        pa.StructArray.from_arrays(
            [pa.array(encoded, pa.binary()), pa.array(names)], fields=list(schema.field("image").type)
        ),
        pa.array(images.source.labels[rows]),
        pa.array([images.corruption] * count),
        pa.array(np.full(count, images.severity, np.uint8)),
        pa.array(np.arange(start, start + count, dtype=np.int32)),
        pa.array(images.image_ids[rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _options(schema: pa.Schema) -> dict[str, Any]:
    plain = ["image.bytes", "image.path", "image_id"]
    repeated = [name for name in schema.names if name not in ("image", "image_id")]
    return {
        "compression": {name: "none" if name == "image.bytes" else "zstd" for name in [*plain, *repeated]},
        "use_dictionary": repeated,
        "write_statistics": repeated,  # what filters need; not the first and last PNG of each group
        "write_batch_size": _PAGE_ROWS,
        "write_page_index": True,
        "write_page_checksum": True,
    }
