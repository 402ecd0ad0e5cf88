"""One cell of the benchmark as parquet: a data set's split under one corruption at one severity.

A row is an image: ``image`` struct{bytes, path} (PNG), ``label``, ``corruption``, ``severity`` (0 = clean), ``index``
(its position in the split, the same in every cell) and ``image_id`` (where it came from). The Hub's features are in
the schema, so the files load with their class names wherever they lie. Same rows, same file, for given versions of
pyarrow and libdeflate (deflate).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, Value
from numpy.typing import NDArray

from pipeline.cell import HUB_SPLITS, Cell
from pipeline.io import png
from pipeline.io.atomic import atomic_write
from pipeline.io.npz import Npz

GROUP_BYTES = 64 << 20
"""Pixels, in bytes, of one row group: what a stream reads at a time. The PNGs are smaller."""

SHARD_GROUPS = 8
"""Row groups of one file."""

_PAGE_ROWS = 8  # images are about 0.1 MB, and a page is meant to have about 1 MB


@dataclass(frozen=True)
class Written:
    """A parquet file: checksum, size in bytes, rows, and bytes of the rows before parquet's own compression."""

    path: str
    sha256: str
    size: int
    rows: int
    raw: int


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


def shards_glob(dataset: str, split: str, corruption: str | None) -> str:
    """Return the pattern of the files of a data set's split (npz tree's name), of one corruption or of all."""
    return f"data/{dataset}/{HUB_SPLITS[split]}/{f'{corruption}_severity_*' if corruption else '*'}.parquet"


def shard_paths(cell: Cell, shape: Sequence[int]) -> list[str]:
    """Return the paths in the repository of the files that hold images of `shape` (N, H, W, C)."""
    shards = max(1, -(-shape[0] // (_group_rows(shape) * SHARD_GROUPS)))
    return [f"{cell.parquet_stem}-{shard:05d}-of-{shards:05d}.parquet" for shard in range(shards)]


def write(folder: Path, cell: Cell, source: Npz, image_ids: Sequence[str], schema: pa.Schema) -> list[Written]:
    """Write the parquet files of `cell` under `folder`, each whole or absent.

    `schema` is the ``arrow_schema`` of `features`. Memory holds one row group.
    """
    paths = shard_paths(cell, source.shape)
    groups = _groups(cell, source, image_ids, schema)
    written = []
    for path in paths:
        with atomic_write(folder / path) as handle:
            hashed: Any = _Hashed(handle)
            with pq.ParquetWriter(hashed, schema, **_options(schema)) as writer:
                for _, group in zip(range(SHARD_GROUPS), groups, strict=False):
                    writer.write_table(group, row_group_size=len(group))
        metadata = pq.read_metadata(folder / path)
        raw = sum(metadata.row_group(g).total_byte_size for g in range(metadata.num_row_groups))
        written.append(Written(path, hashed.sha256.hexdigest(), hashed.size, metadata.num_rows, raw))
    return written


def _group_rows(shape: Sequence[int]) -> int:
    return max(1, GROUP_BYTES // max(1, int(np.prod(shape[1:]))))


def _groups(cell: Cell, source: Npz, image_ids: Sequence[str], schema: pa.Schema) -> Iterator[pa.Table]:
    start = 0
    for images in source.chunks(_group_rows(source.shape)):
        stop = start + len(images)
        yield _table(cell, start, images, source.labels[start:stop], image_ids[start:stop], schema)
        start = stop


def _table(
    cell: Cell,
    start: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    image_ids: Sequence[str],
    schema: pa.Schema,
) -> pa.Table:
    count = len(images)
    encoded = [image for first in range(0, count, 16) for image in png.encode(images[first : first + 16])]
    names = [f"{cell.corruption}_severity_{cell.severity}/{index:06d}.png" for index in range(start, start + count)]
    columns = [
        pa.StructArray.from_arrays(
            [pa.array(encoded, pa.binary()), pa.array(names)], fields=list(schema.field("image").type)
        ),
        pa.array(labels),
        pa.array([cell.corruption] * count),
        pa.array(np.full(count, cell.severity, np.uint8)),
        pa.array(np.arange(start, start + count, dtype=np.int32)),
        pa.array(image_ids, pa.string()),
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


class _Hashed:
    """A file open for writing that takes the checksum of what goes through; pyarrow writes front to back."""

    closed = False

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._handle.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
