"""Time the export beside the way that `datasets` itself writes images to parquet, and compare the files' sizes.

    OMP_NUM_THREADS=1 python -m tests.bench.export --root . --json bench-export.json

Needs a build (`dvc repro verify`). Three measurements: one cell of each kind through `parquet.write` in one thread; the
same images through ``Dataset.from_generator`` and ``to_parquet``, which encode with Pillow; the whole stage with all
cores, into an empty folder, with the checks that it makes on the way. A core's rate is images per second of processor
time, so that a busy machine says the same as an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from datasets import Dataset, disable_progress_bars

from corruptions import CORRUPTIONS
from pipeline import export
from pipeline.config.params import read_config
from pipeline.hub import build
from pipeline.hub.records import ExportRecord, ParquetEntry
from pipeline.io import npz, parquet
from pipeline.io.records import read_record
from pipeline.workspace.cell import CLEAN, Cell
from pipeline.workspace.paths import Workspace

SEVERITY = 3
SECONDS = 0.3  # the shortest time that is believed


def kinds(layout: Workspace, images: int) -> Iterator[dict[str, Any]]:
    """Yield one line for each data set and corruption: images/s of both ways, and bytes an image."""
    for dataset in build.read_build(layout, read_config(Workspace(layout.root))).datasets:
        for corruption in (CLEAN, *CORRUPTIONS):
            cell = Cell(dataset.name, "test", corruption, SEVERITY if corruption != CLEAN else 0)
            source = npz.Npz(layout.npz(cell))
            pixels = np.array(source.images[:images])
            yield {
                "dataset": dataset.name,
                "corruption": corruption,
                **_ours(layout, cell, source, dataset.clean.class_names),
                **_theirs(pixels, source.labels[:images], dataset.clean.class_names),
            }


def _ours(layout: Workspace, cell: Cell, source: npz.Npz, class_names: Sequence[str]) -> dict[str, float]:
    ids = build.source_ids(layout, cell.dataset)[cell.split]
    schema = parquet.features(class_names).arrow_schema
    source.images.sum()  # into memory, as the other way has its own
    with tempfile.TemporaryDirectory() as folder:
        spent, rounds = 0.0, 0
        while spent < SECONDS:
            start = time.process_time()
            rows = parquet.Images(cell.parquet_stem, source, cell.corruption, cell.severity, ids)
            written = parquet.write(Path(folder), rows, schema)
            spent, rounds = spent + time.process_time() - start, rounds + 1
    count = source.shape[0]
    return {"images/s": rounds * count / spent, "bytes": sum(part.size for part in written) / count}


def _theirs(pixels: Any, labels: Any, class_names: Sequence[str]) -> dict[str, float]:
    start = time.process_time()
    size = by_datasets(pixels, labels, class_names)
    return {"datasets images/s": len(pixels) / (time.process_time() - start), "datasets bytes": size / len(pixels)}


def by_datasets(pixels: Any, labels: Any, class_names: Sequence[str]) -> int:
    """Write a cell as `datasets` does, from Pillow images to parquet, and return the file's size in bytes."""

    def rows() -> Iterator[dict[str, Any]]:
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            yield {
                "image": PIL.Image.fromarray(image.squeeze()),
                "label": int(label),
                "corruption": "x",
                "severity": SEVERITY,
                "index": index,
                "image_id": str(index),
            }

    with tempfile.TemporaryDirectory() as folder:
        made = Dataset.from_generator(rows, features=parquet.features(class_names), cache_dir=folder)
        made.to_parquet(f"{folder}/made.parquet")
        return os.path.getsize(f"{folder}/made.parquet")


def stage(layout: Workspace, workers: int) -> dict[str, float]:
    """Time the whole stage on a build, into an empty folder."""
    with tempfile.TemporaryDirectory(dir=layout.root) as folder:
        root = Path(folder)
        (root / "data").mkdir()
        for name in ("params.yaml", "manifests", "data/MediMeta-C", "data/prepared"):
            (root / name).symlink_to((layout.root / name).resolve())
        start, begun = time.perf_counter(), time.process_time()
        export.export(Workspace(root), read_config(Workspace(root)), workers=workers)
        spent, used = time.perf_counter() - start, time.process_time() - begun
        record = read_record(Workspace(root).export_record, ExportRecord, remedy="export failed")
    shards = [entry for entry in record.files.values() if isinstance(entry, ParquetEntry)]
    images = sum(shard.rows for shard in shards)
    return {
        "images": images,
        "bytes": sum(shard.size for shard in shards),
        "seconds": spent,
        "workers": workers,
        "images/s": images / spent,
        "images/s a core": images / used,
    }


def main() -> None:
    """Measure, print a table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="workspace of a build")
    parser.add_argument("--images", type=int, default=24, help="images a cell for the slow way")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads of the whole stage")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    given = parser.parse_args()
    disable_progress_bars()
    layout = Workspace(given.root)
    print("| data set | corruption | images/s | `datasets` images/s | times | bytes an image | of `datasets`' |")
    print("|---|---|---|---|---|---|---|")
    lines = []
    for line in kinds(layout, given.images):
        lines.append(line)
        faster, larger = line["images/s"] / line["datasets images/s"], line["bytes"] / line["datasets bytes"]
        print(
            f"| {line['dataset']} | {line['corruption']} | {line['images/s']:,.0f} | {line['datasets images/s']:,.0f}"
            f" | {faster:.1f} | {line['bytes']:,.0f} | {larger:.0%} |",
            flush=True,
        )
    whole = stage(layout, given.workers)
    print(
        f"\nthe stage: {whole['images/s a core']:,.0f} images/s a core; {whole['images']:,} images in"
        f" {whole['seconds']:.0f} s with {given.workers} workers, {whole['bytes'] / 1e9:.2f} GB of parquet"
    )
    if given.json:
        given.json.write_text(json.dumps({"cells": lines, "stage": whole}, indent=1) + "\n")


if __name__ == "__main__":
    main()
