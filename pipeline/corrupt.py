"""Corrupt one data set's released splits with one corruption: ten npz files and their manifest.

Reads data/MediMeta-C/<dataset>/<val|test>/clean.npz and writes <corruption>_severity_<1..5>.npz beside each. The
bytes depend on nothing but the clean images, the severity table and params.yaml: not on workers, batch or machine.
`dvc repro` runs this for every data set and corruption; --all does so without DVC, here or on a dask cluster.
Corruptions that corruption_set of params.yaml adds to the seven lie in data/MediMeta-C-extended; --extended makes those
that are not there yet and removes those that are no longer chosen.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.api import sweep as sweep_severities
from corruptions.spec import CORRUPTIONS, EVERY, EXTENDED, SEVERITIES, DrawKey, strength
from corruptions.table import BYTES_VERSION
from pipeline import extended
from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.checksums import labels_checksum
from pipeline.run import cluster, command_line
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
        extended.record(workspace, dataset, corruption, None)
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
        extended.record(workspace, dataset, corruption, extended.key(workspace, config, dataset, corruption))
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


def task(root: str, dataset: str, corruption: str, options: dict[str, Any]) -> dict[str, Any]:
    """Do one task of --all, on whatever machine: `corrupt` in the workspace `root`; return the manifest as JSON."""
    workspace = Workspace(root)
    result = corrupt(workspace, dataset, corruption, read_config(workspace), Execution(**options))
    return result.model_dump(mode="json")


def _extend(workspace: Workspace, config: Config, scheduler: str | None, execution: Execution) -> None:
    """Bring the extended tree to what corruption_set chooses, and say what that took."""
    removed = extended.remove_others(workspace, config)
    chosen = [(dataset, corruption) for dataset in config.datasets for corruption in config.extended(dataset)]
    tasks = [pair for pair in chosen if not extended.is_current(workspace, config, *pair)]
    _corrupt_tasks(workspace, config, tasks, scheduler, execution)
    _report("removed", removed)
    _report("made", [" ".join(pair) for pair in tasks])
    if chosen:
        print(f"extended: {len(chosen) - len(tasks)} of {len(chosen)} were there")
    else:
        print("extended: corruption_set adds nothing to the seven")


def _report(verb: str, names: Sequence[str]) -> None:
    if names:
        print(f"extended: {verb} {', '.join(names[:8])}" + (f" and {len(names) - 8} more" if names[8:] else ""))


def _corrupt_tasks(
    workspace: Workspace,
    config: Config,
    tasks: Sequence[tuple[str, str]],
    scheduler: str | None,
    execution: Execution,
) -> None:
    if not tasks:
        return
    with progress(total=len(tasks), unit="task", desc="corrupt") as bar:
        if scheduler is None:
            for dataset, corruption in tasks:
                corrupt(workspace, dataset, corruption, config, execution)
                bar.update()
            return
        results = cluster.everywhere(
            "pipeline.corrupt:task", tasks, asdict(execution), root=workspace.root, scheduler=scheduler
        )
        for task_done, result in results:
            dataset, corruption = map(str, task_done)
            if manifest.read_corruption(workspace, dataset, corruption).model_dump(mode="json") != result:
                raise UserError(f"a worker's manifest of {dataset}, {corruption} is not the one on this disk")
            if corruption in EXTENDED and not extended.is_current(workspace, config, dataset, corruption):
                raise UserError(f"a worker made {dataset}, {corruption} with other code than this machine has")
            bar.update()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--dataset", help="one of params.yaml's data sets")
    parser.add_argument("--corruption", choices=EVERY, metavar="NAME", help="of the table")
    parser.add_argument("--all", action="store_true", help="every data set under every corruption")
    parser.add_argument("--extended", action="store_true", help="those that corruption_set adds, as far as need be")
    parser.add_argument("--backend", default="cpu", choices=BACKENDS)
    parser.add_argument("--device", help="where the backend gpu works, such as cuda:1 (default: the first GPU)")
    parser.add_argument("--batch", type=command_line.positive, default=BATCH, help=f"images a task (default: {BATCH})")
    parser.add_argument("--backend-parallel", default="joblib", choices=("joblib", "dask"), help="how work is spread")
    parser.add_argument("--scheduler", help="address of the dask cluster, such as tcp://10.0.0.1:8786")
    command_line.add_workers(parser)
    all_cores = parser.get_default("workers")
    parser.set_defaults(workers=None)
    args = parser.parse_args(argv)
    whole = args.all or args.extended
    if (bool(args.dataset), bool(args.corruption)) != (not whole,) * 2 or (args.all and args.extended):
        parser.error("name both --dataset and --corruption, or only --all or --extended")
    on_cluster = args.backend_parallel == "dask"
    if on_cluster != bool(args.scheduler) or (on_cluster and not whole):
        parser.error("--all or --extended, --backend-parallel dask and --scheduler go together")
    # On a cluster a task has one thread unless told otherwise, since a dask worker runs several tasks at once.
    args.workers = args.workers or (1 if on_cluster else all_cores)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = _arguments(argv)

    def run() -> None:
        workspace = Workspace(args.root.resolve())
        execution = Execution(args.backend, args.device, args.workers, args.batch)
        config = read_config(workspace)
        if args.all:
            seven = [(dataset, corruption) for dataset in config.datasets for corruption in CORRUPTIONS]
            _corrupt_tasks(workspace, config, seven, args.scheduler, execution)
        if args.extended or (args.all and (any(map(config.extended, config.datasets)) or workspace.extended.exists())):
            _extend(workspace, config, args.scheduler, execution)
        if args.dataset:
            corrupt(workspace, args.dataset, args.corruption, config, execution)

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())
