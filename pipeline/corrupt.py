"""Corrupt one data set's released splits with one corruption: ten npz files and their manifest.

Reads data/MediMeta-C/<dataset>/<val|test>/clean.npz and writes <corruption>_severity_<1..5>.npz beside each. The
bytes depend on nothing but the clean images, the severity table and params.yaml: not on workers, batch or machine.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions import BYTES_VERSION, CORRUPTIONS, SEVERITIES
from pipeline import UserError, manifest, npz, stage
from pipeline.layout import RELEASED, Layout
from pipeline.parallel import ordered
from pipeline.settings import Settings, settings

BATCH = 16
"""Images a task; five severities of them exist at once, 12 MB at 224 x 224 RGB."""


def corrupt(
    layout: Layout,
    dataset: str,
    corruption: str,
    chosen: Settings,
    *,
    backend: str = "cpu",
    workers: int = 1,
    batch: int = BATCH,
) -> dict[str, Any]:
    """Write the ten files of `dataset` under `corruption`, then their manifest, which is returned."""
    if dataset not in chosen.datasets:
        raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(chosen.datasets)}")
    if corruption not in CORRUPTIONS:
        raise UserError(f"no corruption {corruption!r}; have {', '.join(CORRUPTIONS)}")
    clean = manifest.read(layout, dataset, manifest.CLEAN)
    column = chosen.column(dataset)
    cells = {
        split: _write_split(
            layout, dataset, split, corruption, chosen, clean["native_channels"], backend, workers, batch
        )
        for split in RELEASED
    }
    strengths = [corruptions.strength(corruption, k, profile=chosen.profile, column=column) for k in SEVERITIES]
    value = {
        "bytes_version": BYTES_VERSION,
        "dataset": dataset,
        "corruption": corruption,
        "profile": chosen.profile,
        "column": column if chosen.profile == "modality" else None,
        "seed": chosen.seed,
        "native_channels": clean["native_channels"],
        "channels": clean["channels"],
        "strengths": [{"severity": k, **s._asdict()} for k, s in zip(SEVERITIES, strengths, strict=True)],
        "cells": cells,
    }
    manifest.write(layout, dataset, corruption, value)
    return value


def _write_split(
    layout: Layout,
    dataset: str,
    split: str,
    corruption: str,
    chosen: Settings,
    native: int,
    backend: str,
    workers: int,
    batch: int,
) -> dict[str, Any]:
    source = npz.Npz(layout.clean(dataset, split))
    count, *shape = source.shape

    def numbered() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        start = 0
        for images in source.chunks(batch):
            yield start, images
            start += len(images)

    def task(chunk: tuple[int, NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        start, images = chunk
        swept = corruptions.sweep(
            images[..., :native],
            corruption,
            dataset=dataset,
            split=split,
            indices=range(start, start + len(images)),
            seed=chosen.seed,
            profile=chosen.profile,
            column=chosen.column(dataset),
            backend=backend,
        )
        return [np.repeat(made, 3, axis=-1) if shape[-1] > native else made for _, made in swept]

    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                npz.write(
                    layout.cell(dataset, split, corruption, severity),
                    source.labels,
                    (shape[0], shape[1], shape[2]),
                    compression=chosen.compression,
                )
            )
            for severity in SEVERITIES
        ]
        bar = stack.enter_context(
            stage.progress(total=count * len(SEVERITIES), unit="img", desc=f"{dataset} {split} {corruption}")
        )
        files = stack.enter_context(ThreadPoolExecutor(min(workers, len(writers)), "files"))
        for made in ordered(task, numbered(), workers=workers):
            deque(files.map(npz.Writer.append, writers, made), 0)
            bar.update(sum(map(len, made)))
        deque(files.map(npz.Writer.sync, writers), 0)
    return {str(k): {"count": count, **w.sha256} for k, w in zip(SEVERITIES, writers, strict=True)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = stage.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="one of params.yaml's data sets")
    parser.add_argument("--corruption", required=True, choices=CORRUPTIONS)
    parser.add_argument("--backend", default="cpu", choices=corruptions.BACKENDS)
    parser.add_argument("--batch", type=stage.positive, default=BATCH, help=f"images a task (default: {BATCH})")
    stage.add_workers(parser)
    given = parser.parse_args(argv)

    def work() -> None:
        corrupt(
            Layout(given.root),
            given.dataset,
            given.corruption,
            settings(given.root),
            backend=given.backend,
            workers=given.workers,
            batch=given.batch,
        )

    return stage.run(work)


if __name__ == "__main__":
    sys.exit(main())
