"""Corrupt one data set's released splits with one corruption: ten npz files and their manifest.

Reads data/MediMeta-C/<dataset>/<val|test>/clean.npz and writes <corruption>_severity_<1..5>.npz beside each. The
bytes depend on nothing but the clean images, the severity table and params.yaml: not on workers, batch or machine.
`dvc repro` runs this for every data set and corruption; --all does so without DVC, here or on a dask cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions import BYTES_VERSION, CORRUPTIONS, SEVERITIES
from pipeline import UserError, cluster, manifest, npz, stage
from pipeline.layout import RELEASED, Layout
from pipeline.parallel import ordered
from pipeline.settings import Settings, settings

BATCH = 16
"""Images a task; five severities of them exist at once, 12 MB at 224 x 224 RGB. A GPU wants more: --batch 256."""


def corrupt(
    layout: Layout,
    dataset: str,
    corruption: str,
    chosen: Settings,
    *,
    backend: str = "cpu",
    device: str | None = None,
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
    strengths = [corruptions.strength(corruption, k, profile=chosen.profile, column=column) for k in SEVERITIES]
    if backend == "cpu":
        _compile(strengths[0].kernel)
    cells = {
        split: _write_split(layout, dataset, split, corruption, chosen, clean, backend, device, workers, batch)
        for split in RELEASED
    }
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


def _compile(kernel: str) -> None:
    """Show on the progress bar what would look like a stop: the compiler, once a machine."""
    from corruptions import cpu  # compiled for this backend alone

    deque(stage.progress(cpu.warm(kernel), total=1, unit="kernel", desc=f"compiling {kernel}", leave=False), 0)


def _write_split(
    layout: Layout,
    dataset: str,
    split: str,
    corruption: str,
    chosen: Settings,
    clean: dict[str, Any],
    backend: str,
    device: str | None,
    workers: int,
    batch: int,
) -> dict[str, Any]:
    source = npz.Npz(layout.clean(dataset, split))
    count, *shape = source.shape
    native, digest = clean["native_channels"], hashlib.sha256()
    draw: dict[str, Any] = {
        "dataset": dataset,
        "split": split,
        "seed": chosen.seed,
        "profile": chosen.profile,
        "column": chosen.column(dataset),
    }

    def numbered() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        start = 0
        for images in source.chunks(batch):
            digest.update(images.reshape(-1).data)
            yield start, images
            start += len(images)

    def released(severities: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        return [np.repeat(made, 3, axis=-1) if shape[-1] > native else made for made in severities]

    def swept(chunk: tuple[int, NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        start, images = chunk
        indices = range(start, start + len(images))
        severities = corruptions.sweep(images[..., :native], corruption, indices=indices, backend=backend, **draw)
        return released(made for _, made in severities)

    def streamed() -> Iterator[list[NDArray[np.uint8]]]:
        from corruptions import gpu  # torch is loaded for this backend alone

        chunks = (images[..., :native] for _, images in numbered())
        return map(released, gpu.stream(chunks, corruption, device=device, **draw))

    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                npz.write(
                    layout.cell(dataset, split, corruption, severity),
                    source.labels,
                    (shape[0], shape[1], shape[2]),
                    compression=chosen.compression_of(corruption),
                )
            )
            for severity in SEVERITIES
        ]
        bar = stack.enter_context(
            stage.progress(total=count * len(SEVERITIES), unit="img", desc=f"{dataset} {split} {corruption}")
        )
        files = stack.enter_context(ThreadPoolExecutor(min(workers, len(writers)), "files"))
        sweeps = streamed() if backend == "gpu" else ordered(swept, numbered(), workers=workers)
        for made in sweeps:
            deque(files.map(npz.Writer.append, writers, made), 0)
            bar.update(sum(map(len, made)))
        labels = hashlib.sha256(source.labels.astype("<i8").tobytes())
        if not {"images": digest.hexdigest(), "labels": labels.hexdigest()}.items() <= clean["splits"][split].items():
            raise UserError(f"{source.path} is not what its manifest says: delete it and run `dvc repro`")
        deque(files.map(npz.Writer.sync, writers), 0)
    return {str(k): {"count": count, **w.sha256} for k, w in zip(SEVERITIES, writers, strict=True)}


def task(root: str, dataset: str, corruption: str, options: dict[str, Any]) -> dict[str, Any]:
    """Do one task of --all, on whatever machine: `corrupt` in the workspace `root`; return the manifest."""
    return corrupt(Layout(root), dataset, corruption, settings(root), **options)


def _corrupt_all(layout: Layout, scheduler: str | None, options: dict[str, Any]) -> None:
    tasks = [(dataset, corruption) for dataset in settings(layout.root).datasets for corruption in CORRUPTIONS]
    with stage.progress(total=len(tasks), unit="task", desc="corrupt") as bar:
        if scheduler is None:
            for dataset, corruption in tasks:
                task(str(layout.root), dataset, corruption, options)
                bar.update()
            return
        for (dataset, corruption), made in cluster.everywhere(
            "pipeline.corrupt:task", tasks, options, root=layout.root, scheduler=scheduler
        ):
            if manifest.read(layout, dataset, corruption) != json.loads(json.dumps(made)):
                raise UserError(f"a worker's manifest of {dataset}, {corruption} is not the one on this disk")
            bar.update()


def _given(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = stage.parser(__doc__)
    parser.add_argument("--dataset", help="one of params.yaml's data sets")
    parser.add_argument("--corruption", choices=CORRUPTIONS)
    parser.add_argument("--all", action="store_true", help="every data set under every corruption")
    parser.add_argument("--backend", default="cpu", choices=corruptions.BACKENDS)
    parser.add_argument("--device", help="where the backend gpu works, such as cuda:1 (default: the first GPU)")
    parser.add_argument("--batch", type=stage.positive, default=BATCH, help=f"images a task (default: {BATCH})")
    parser.add_argument("--backend-parallel", default="joblib", choices=("joblib", "dask"), help="how --all is spread")
    parser.add_argument("--scheduler", help="address of the dask cluster, such as tcp://10.0.0.1:8786")
    stage.add_workers(parser)
    all_cores = parser.get_default("workers")
    parser.set_defaults(workers=None)
    given = parser.parse_args(argv)
    if (bool(given.dataset), bool(given.corruption)) != (not given.all,) * 2:
        parser.error("name both --dataset and --corruption, or only --all")
    on_cluster = given.backend_parallel == "dask"
    if on_cluster != bool(given.scheduler) or (on_cluster and not given.all):
        parser.error("--all, --backend-parallel dask and --scheduler go together")
    # On a cluster a task has one thread unless told otherwise, since a dask worker runs several tasks at once.
    given.workers = given.workers or (1 if on_cluster else all_cores)
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = _given(argv)
    options = {"backend": given.backend, "device": given.device, "workers": given.workers, "batch": given.batch}

    def work() -> None:
        if given.all:
            _corrupt_all(Layout(given.root.resolve()), given.scheduler, options)
        else:
            task(given.root, given.dataset, given.corruption, options)

    return stage.run(work)


if __name__ == "__main__":
    sys.exit(main())
