"""Write the logits of one model on data sets' cells, from the released files or on cells made in memory.

One npz a cell (logits, labels, indices, key, weights). A cell that is there with the same key (weights, prompts,
pixels) is left alone, so an interrupted run goes on where it stopped. Several devices share the cells out between them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.data.classes import class_features
from benchmark.data.prompts import Prompts, prompts
from benchmark.models import Model, loading
from benchmark.prediction import processes
from benchmark.prediction.batches import Batch, Cells, ahead
from benchmark.prediction.processes import Shard
from pipeline.cell import Cell
from pipeline.config import Benchmark, home, read_config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.records import write_json
from pipeline.paths import Workspace
from pipeline.run import command_line

PACKAGES = ("medimeta-c", "numpy", "torch", "kornia", "peft", "transformers", "open_clip_torch", "timm", "torchvision")
"""Whose versions a record of predictions names, where they are installed."""

AT_ONCE = 4
"""Images that a CPU prepares at once: 2.4 MB of floats each at 224 x 224, which stay in its caches."""


class Todo(NamedTuple):
    """What is left of one data set: its cells, the text features float32 (K, D), and the keys by cell."""

    dataset: str
    cells: Cells
    features: Tensor
    keys: dict[Cell, str]


class Predicting:
    """One model, ready to predict."""

    def __init__(self, root: Path | str, name: str, *, device: torch.device, on_the_fly: bool, split: str) -> None:
        self.workspace = Workspace(root)
        self.config = read_config(self.workspace)
        self.plan = self.config.benchmark
        self.name, self.split = name, split
        self.backend = ("gpu" if device.type == "cuda" else "cpu") if on_the_fly else "files"
        self.model: Model = loading.load(self.workspace, self.plan, name, device=device)
        self.weights = self.model.checksum()
        self._buffer = torch.empty(0)
        self._features: dict[str, Tensor] = {}

    def todo(self, dataset: str, *, shard: Shard = (0, 1)) -> Todo:
        """Return the cells of `dataset` whose logits are not there yet, and what is needed to make them.

        A `shard` is of all cells, whichever are there: runs with others, at once, meet nowhere.
        """
        if dataset not in self._features:
            self._features[dataset] = class_features(self.model, self._prompts(dataset))
        features = self._features[dataset]
        where = str(self.model.device) if self.backend == "gpu" else None
        source = home(self.config, self.workspace, dataset)
        cells = Cells(source, dataset, self.split, backend=self.backend, device=where)
        keys = {cell: self._key(features, checksum) for cell, checksum in cells.checksums.items()}
        mine = list(keys)[shard[0] :: shard[1]]
        pending = {cell: keys[cell] for cell in mine if stored_key(self._path(cell)) != keys[cell]}
        return Todo(dataset, cells, features, pending)

    def data_set(self, dataset: str, *, shard: Shard = (0, 1)) -> int:
        """Write the logits that are still `todo`, and return of how many cells.

        Reading, computing and writing go on at the same time.
        """
        todo = self.todo(dataset, shard=shard)
        pending, count = list(todo.keys), len(todo.cells.labels)
        found, written, first = list[Tensor](), list[Future[None]](), 0.0
        with (
            command_line.progress(total=len(pending) * count, desc=f"predict {self.name} {dataset}", unit="img") as bar,
            ThreadPoolExecutor(1, "write") as writer,
            torch.inference_mode(),
        ):
            for batch in ahead(map(self._pinned, todo.cells.batches(pending, self.plan.batch))):
                found.append(self._logits(batch.images, todo.features))
                bar.update(len(batch.images))
                if batch.start + len(batch.images) == count:
                    for earlier in written[-1:]:
                        earlier.result()
                    written.append(writer.submit(self._write, todo, batch.cell, found))
                    found = []
                    if len(written) == 1:  # which waits for what is loaded and compiled
                        first = time.perf_counter()
                    if len(written) == 3:
                        _announce(f"{self.name} {dataset}", len(pending) - 3, (time.perf_counter() - first) / 2)
            for last in written[-1:]:
                last.result()
        return len(pending)

    def _pinned(self, batch: Batch) -> Batch:
        """Return the batch in memory that a GPU can copy from while it computes; as it is for a CPU."""
        copied = self.model.device.type == "cuda" and batch.images.device.type == "cpu"
        return batch._replace(images=batch.images.pin_memory()) if copied else batch

    def _logits(self, images: Tensor, features: Tensor) -> Tensor:
        """Return logits float32 (n, K) on the model's device; nothing here waits for a GPU."""
        device = self.model.device
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            encoded = self.model.encode_images(self._prepared(images.to(device, non_blocking=True)))
        return self.model.logit_scale * encoded.float() @ features.T

    def _prepared(self, images: Tensor) -> Tensor:
        """Preprocess a batch; on a CPU by a few images into the same memory each time.

        Fresh memory for a whole batch of floats is handed out by the kernel page by page, which takes longer than
        the arithmetic.
        """
        if self.model.device.type == "cuda":
            return self.model.preprocess(images)
        for start in range(0, len(images), AT_ONCE):
            part = self.model.preprocess(images[start : start + AT_ONCE])
            if len(self._buffer) < len(images):
                last = part.is_contiguous(memory_format=torch.channels_last)
                layout = torch.channels_last if last else torch.contiguous_format
                self._buffer = torch.empty((len(images), *part.shape[1:]), memory_format=layout)
            self._buffer[start : start + len(part)] = part
        return self._buffer[: len(images)]

    def predicted(self, dataset: str) -> bool:
        """Say whether there are logits of a data set, from this run or an earlier one."""
        return self._path(Cell(dataset, self.split)).is_file()

    def _prompts(self, dataset: str) -> Prompts:
        return prompts(home(self.config, self.workspace, dataset), dataset, templates=self.plan.prompts)

    def _path(self, cell: Cell) -> Path:
        return self.workspace.logits(self.name, cell)

    def _key(self, features: Tensor, pixels: str) -> str:
        view = json.dumps([asdict(self.model.record.view), self.model.logit_scale, self.model.device.type])
        digest = hashlib.sha256(f"2/{self.weights}/{pixels}/{view}".encode())
        digest.update(features.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _write(self, todo: Todo, cell: Cell, found: Sequence[Tensor]) -> None:
        labels = todo.cells.labels
        logits = torch.cat(list(found)).cpu().numpy()  # waits for a GPU, in the thread that writes
        with atomic_write(self._path(cell)) as handle:
            key, weights = np.array(todo.keys[cell]), np.array(self.weights)
            np.savez(handle, logits=logits, labels=labels, indices=np.arange(len(labels)), key=key, weights=weights)

    def record(self, datasets: Sequence[str]) -> dict[str, Any]:
        """Return what the logits were made with, for the report."""
        tuned = self.plan.tuned.get(self.name)
        described = {k: v for k, v in asdict(self.model.record).items() if k != "view"}
        return {
            "model": described | {"name": self.name, "title": title(self.name, self.model, self.plan)},
            "base": None if tuned is None else tuned.base,
            "logit_scale": self.model.logit_scale,
            "prompts": {d: self._prompts(d).model_dump(mode="json") for d in datasets},
            "settings": None if tuned is None else _tuning(self.workspace, self.name),
            "view": asdict(self.model.record.view),
            "weights_sha256": self.weights,
            "versions": versions(),
            "device": self.model.device.type,
        }


def _announce(what: str, cells: int, seconds: float) -> None:
    """Say how long `cells` more cells take if each takes `seconds`, if anybody could wait for it."""
    if cells * seconds > 60:
        print(f"{what}: {cells} more cells, about {cells * seconds / 60:.0f} min", flush=True)


def title(name: str, model: Model, chosen: Benchmark) -> str:
    """Return what tables call a model: its record's title, or its own name if it was tuned here."""
    return name if name in chosen.tuned else model.record.title


def _tuning(workspace: Workspace, name: str) -> dict[str, Any]:
    read: Mapping[str, Any] = json.loads((workspace.model(name) / "tune.json").read_text())
    counts = {dataset: len(indices) for dataset, indices in read["shots"].items()}
    return {k: read[k] for k in ("settings", "corruptions", "best_epoch", "scale", "chosen_on", "parameters")} | {
        "shots": counts
    }


def stored_key(path: Path) -> str | None:
    """Return the key in a file of logits, or None if there is no whole file with one."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            return str(archive["key"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # not there, or not whole: predicted again


def _stored_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}  # none yet, or a damaged one: written anew
    return record if isinstance(record, dict) else {}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that logits depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional one
    return found


def predict(
    root: Path | str,
    name: str,
    *,
    datasets: Sequence[str] = (),
    split: str | None = None,
    on_the_fly: bool | None = None,
    devices: Sequence[str] = (),
    shard: Shard = (0, 1),
) -> int:
    """Predict one model on `datasets` (all that are scored if none is named); return the number of cells written.

    Several `devices` (all GPUs if none is named and params.yaml lets them be used) take a part each of the cells, or of
    those of `shard`.
    """
    given = read_config(Workspace(root))
    chosen, scored = given.benchmark, given.scored_datasets
    known = list(dict.fromkeys([*given.datasets, *scored]))
    for dataset in datasets:
        if dataset not in known:
            raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(known)}")
    names = list(datasets or scored)
    where = [loading.device(one) for one in devices] or loading.devices(chosen.device)
    fly = chosen.on_the_fly if on_the_fly is None else on_the_fly
    run = Predicting(root, name, device=where[0], on_the_fly=fly, split=split or chosen.split)
    if len(where) == 1:
        written = sum(run.data_set(dataset, shard=shard) for dataset in names)
    else:
        written = _share_out(run, names, where, shard)
    record, earlier = run.record(names), _stored_record(run.workspace.prediction_record(name))
    # Of what was not predicted now the record stays: prompts by data set, and the versions if it is all of it.
    others = {d: made for d, made in earlier.get("prompts", {}).items() if d in known and run.predicted(d)}
    record["prompts"] = others | record["prompts"]
    if not written:
        record["versions"] = earlier.get("versions", record["versions"])
    write_json(run.workspace.prediction_record(name), record)
    return written


def _share_out(run: Predicting, names: Sequence[str], devices: Sequence[torch.device], shard: Shard) -> int:
    """Part a share of the cells between `devices`, `run` being on the first; return the number of cells written."""
    pending = {dataset: count for dataset in names if (count := len(run.todo(dataset, shard=shard).keys))}
    if not pending:
        return 0
    command = [sys.executable, "-m", "benchmark.predict", "--root", str(run.workspace.root), "--model", run.name]
    command += ["--split", run.split] + ["--on-the-fly"] * (run.backend != "files")
    command += [word for dataset in pending for word in ("--dataset", dataset)]
    own, *others = processes.parted(shard, len(devices))
    commands = [
        (str(device), [*command, "--device", str(device), "--shard", f"{k}/{n}"])
        for device, (k, n) in zip(devices[1:], others, strict=True)
    ]
    with processes.beside(commands):
        for dataset in pending:
            run.data_set(dataset, shard=own)
    return sum(pending.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name of the zoo, or one under benchmark.tuned in params.yaml")
    parser.add_argument("--dataset", action="append", default=[], help="may be repeated (default: all that are scored)")
    parser.add_argument("--split", choices=("val", "test"), help="default: benchmark.split of params.yaml")
    parser.add_argument(
        "--on-the-fly", action="store_const", const=True, help="make the cells instead of reading files"
    )
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        help="cpu, cuda or cuda:K; several share the cells out (default: benchmark.device of params.yaml, all GPUs)",
    )
    parser.add_argument(
        "--shard", type=processes.shard, default=(0, 1), help="K/N: only this share of the cells of a data set"
    )
    parser.add_argument(
        processes.UNTIL_STDIN_ENDS, action="store_true", help="end when stdin does, as the shares of one run do"
    )
    given = parser.parse_args(argv)
    if given.until_stdin_ends:
        processes.end_with_stdin()

    def work() -> None:
        written = predict(
            given.root,
            given.model,
            datasets=given.dataset,
            split=given.split,
            on_the_fly=given.on_the_fly,
            devices=given.device,
            shard=given.shard,
        )
        share = "" if given.shard == (0, 1) else f", share {given.shard[0] + 1} of {given.shard[1]}"
        print(f"{given.model}{share}: {written} cells predicted, the others were there")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
