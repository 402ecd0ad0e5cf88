"""The cells of one data set under one corruption: ten npz files and their manifest.

The bytes depend on nothing but the clean images, the severity table and params.yaml: not on workers, batch or machine.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from corruptions.api import sweep as sweep_severities
from corruptions.spec import EXTENDED, SEVERITIES, DrawKey, strength
from corruptions.table import BYTES_VERSION
from pipeline.config.params import Config
from pipeline.errors import UserError
from pipeline.generation import built
from pipeline.io import npz
from pipeline.io.checksums import labels_checksum
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.cell import RELEASED, Cell
from pipeline.workspace.manifest import ArraysEntry, CleanManifest, CorruptionManifest, StrengthEntry
from pipeline.workspace.paths import Workspace

BACKENDS = ("cpu", "gpu")
"""Backends that make the benchmark's bytes; ``literature`` does not, so nothing of it enters a release."""

BATCH = 16
"""Images a task; five severities of them exist at once, 12 MB at 224 x 224 RGB. A GPU wants more: --batch 256."""


@dataclass(frozen=True)
class Execution:
    """How the work is done; no byte of the files depends on it.

    Attributes:
        backend: one of `BACKENDS`.
        device: where the backend ``gpu`` works, in torch's words; its own choice if not given.
        workers: threads.
        batch: images a task.
    """

    backend: str = "cpu"
    device: str | None = None
    workers: int = 1
    batch: int = BATCH

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UserError(f"no backend {self.backend!r} makes the benchmark's bytes; have {', '.join(BACKENDS)}")
        if self.device is not None and self.backend != "gpu":
            raise UserError(f"--device goes with --backend gpu; {self.backend!r} has no devices to choose from")


def corrupt(
    workspace: Workspace, dataset: str, corruption: str, config: Config, execution: Execution | None = None
) -> CorruptionManifest:
    """Write the ten files of `dataset` under `corruption`, then their manifest, which is returned."""
    execution = execution or Execution()
    config.check_dataset(dataset)
    if corruption not in config.corruptions(dataset):
        have = f"have {', '.join(config.corruptions(dataset))}"
        if corruption in EXTENDED:
            raise UserError(f"corruption_set of params.yaml does not add {corruption} to {dataset}; {have}")
        raise UserError(f"no corruption {corruption!r}; {have}")
    clean = manifest.read_clean(workspace, dataset)
    column = config.column(dataset)
    strengths = [strength(corruption, k, profile=config.profile, column=column) for k in SEVERITIES]
    if execution.backend == "cpu":
        _compile(strengths[0].kernel)
    if corruption in EXTENDED:
        built.record(workspace, dataset, corruption, None)
    cells = {
        split: _corrupt_split(workspace, dataset, split, corruption, config, clean, execution) for split in RELEASED
    }
    result = CorruptionManifest(
        bytes_version=BYTES_VERSION,
        dataset=dataset,
        corruption=corruption,
        profile=config.profile,
        column=column if config.profile == "modality" else None,
        seed=config.seed,
        backend=execution.backend,
        native_channels=clean.native_channels,
        channels=clean.channels,
        strengths=tuple(map(StrengthEntry.at, SEVERITIES, strengths)),
        cells=cells,
    )
    manifest.write(workspace, result)
    if corruption in EXTENDED:
        built.record(workspace, dataset, corruption, built.key(workspace, config, dataset, corruption))
    return result


def _compile(kernel: str) -> None:
    """Show on the progress bar what would look like a stop: the compiler, once a machine."""
    from corruptions import cpu

    deque(progress(cpu.warm(kernel), total=1, unit="kernel", desc=f"compiling {kernel}", leave=False), 0)


def _corrupt_split(
    workspace: Workspace,
    dataset: str,
    split: str,
    corruption: str,
    config: Config,
    clean: CleanManifest,
    execution: Execution,
) -> dict[int, ArraysEntry]:
    source = npz.Npz(workspace.npz(Cell(dataset, split)))
    count, height, width, channels = source.shape
    native, digest = clean.native_channels, hashlib.sha256()
    key = DrawKey(dataset=dataset, split=split, seed=config.seed, profile=config.profile, column=config.column(dataset))

    def chunks() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the clean images with the index of the first of each chunk; their checksum is taken on the way."""
        start = 0
        for images in source.chunks(execution.batch):
            digest.update(images.reshape(-1).data)
            yield start, images
            start += len(images)

    def in_release_channels(severities: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        return [np.repeat(images, 3, axis=-1) if channels > native else images for images in severities]

    def sweep(chunk: tuple[int, NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        start, images = chunk
        indices = range(start, start + len(images))
        severities = sweep_severities(images[..., :native], corruption, indices=indices, **asdict(key))
        return in_release_channels(images for _, images in severities)

    def stream() -> Iterator[list[NDArray[np.uint8]]]:
        from corruptions import gpu

        native_chunks = (images[..., :native] for _, images in chunks())
        return map(in_release_channels, gpu.stream(native_chunks, corruption, key, device=execution.device))

    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                npz.write(
                    workspace.npz(Cell(dataset, split, corruption, severity)),
                    source.labels,
                    (height, width, channels),
                    compression=config.compression_of(corruption),
                )
            )
            for severity in SEVERITIES
        ]
        bar = stack.enter_context(
            progress(total=count * len(SEVERITIES), unit="img", desc=f"{dataset} {split} {corruption}")
        )
        files = stack.enter_context(ThreadPoolExecutor(min(execution.workers, len(writers)), "files"))
        sweeps = stream() if execution.backend == "gpu" else ordered(sweep, chunks(), workers=execution.workers)
        for severities in sweeps:
            deque(files.map(npz.Writer.append, writers, severities), 0)
            bar.update(sum(map(len, severities)))
        expected = clean.split(split)
        if (digest.hexdigest(), labels_checksum(source.labels)) != (expected.images, expected.labels):
            raise UserError(f"{source.path} is not what its manifest says: delete it and run `dvc repro`")
        deque(files.map(npz.Writer.sync, writers), 0)
    return {
        k: ArraysEntry(count=count, **writer.checksums._asdict()) for k, writer in zip(SEVERITIES, writers, strict=True)
    }
