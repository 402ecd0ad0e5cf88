"""One model's logits on data sets' cells: read or make images, compute and write at the same time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.data.prefetch import prefetch
from benchmark.data.prompts import closed_set, prompts
from benchmark.models import ModelRecord, loading
from benchmark.models.components.adapters import WEIGHTS
from benchmark.models.generative import GenerativeModel
from benchmark.models.model import Model
from benchmark.prediction.batches import Batch, Cells
from benchmark.prediction.classifiers import Classifier, Encoder, Generative, Probed, ZeroShot
from benchmark.prediction.logits import Logits, stored_key, write_logits
from benchmark.prediction.processes import Shard
from benchmark.prediction.records import FileDescription, ModelDescription, PredictionRecord
from benchmark.tuning.records import HEADS, ProbeRecord, TuneRecord
from pipeline.config.params import Config, home, scored_corruptions
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from pipeline.io.records import write_record
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

PACKAGES = (
    "medimeta-c",
    "numpy",
    "scikit-learn",
    "torch",
    "kornia",
    "peft",
    "transformers",
    "open_clip_torch",
    "timm",
    "torchvision",
    "pillow",
)
"""Whose versions a record of predictions names, where they are installed."""


class Pending(NamedTuple):
    """What is left of one data set: its cells, the model with its classes, the keys by cell.

    `total` is the number of all its cells that were asked for.
    """

    cells: Cells
    classifier: Classifier
    keys: dict[Cell, str]
    total: int


class Predictor:
    """One model, ready to predict.

    Attributes:
        backend: where the cells come from, one of `benchmark.data.cells.BACKENDS`.
        output: workspace that the logits are written into, `workspace` unless it is set.
        weights: SHA-256 of the model's image tower, of a generative model's whole.
    """

    def __init__(
        self, workspace: Workspace, config: Config, name: str, *, device: torch.device, on_the_fly: bool, split: str
    ) -> None:
        self.workspace, self.config, self.output = workspace, config, workspace
        self.name, self.split = name, split
        self.backend = ("gpu" if device.type == "cuda" else "cpu") if on_the_fly else "files"
        self.model = loading.load(workspace, config.benchmark, name, device=device)
        self._check_weights()
        self.weights = self.model.checksum()
        self._classifiers: dict[str, Classifier] = {}

    def _check_weights(self) -> None:
        """Compare what was tuned or fitted here with the checksum in its record; UserError if it was changed since."""
        benchmark, folder = self.config.benchmark, self.workspace.model(self.name)
        if self.name in benchmark.tuned:
            verb, path = "tune", self.workspace.adapter(self.name) / WEIGHTS
            recorded = TuneRecord.read(self.workspace, self.name).weights_sha256
        elif self.name in benchmark.probes:
            verb, path = "probe", folder / HEADS
            recorded = ProbeRecord.read(self.workspace, self.name).weights_sha256
        else:
            return
        if path.is_file() and file_checksum(path) != recorded:
            raise UserError(
                f"{path} is not the file that {folder / f'{verb}.json'} describes:"
                f" run `python -m benchmark.{verb} --model {self.name}`"
            )

    def pending(self, dataset: str, *, shard: Shard = (0, 1)) -> Pending:
        """Return the cells of `dataset` whose logits are not there yet, and what is needed to make them.

        A `shard` is of all cells, whichever are there: runs with others, at once, meet nowhere.
        """
        classifier = self.classifier(dataset)
        device = str(self.model.device) if self.backend == "gpu" else None
        source = home(self.config, self.workspace, dataset)
        corruptions = scored_corruptions(self.config, self.workspace, manifest.read_clean(source, dataset))
        cells = Cells(source, dataset, self.split, corruptions, backend=self.backend, device=device)
        mine = list(cells.checksums)[shard[0] :: shard[1]]
        keys = {cell: self._key(classifier, cells.checksums[cell]) for cell in mine}
        left = {cell: key for cell, key in keys.items() if stored_key(self._path(cell)) != key}
        return Pending(cells, classifier, left, len(mine))

    def predict(self, pending: Pending) -> None:
        """Write the logits of all cells that are `pending`."""
        dataset, count = pending.cells.dataset, len(pending.cells.labels)
        cells = list(pending.keys)
        logits, written, first = list[Tensor](), list[Future[None]](), 0.0
        with (
            progress(total=len(cells) * count, desc=f"predict {self.name} {dataset}", unit="img") as bar,
            ThreadPoolExecutor(1, "write") as writer,
            torch.inference_mode(),
        ):
            for batch in prefetch(map(self._pinned, pending.cells.batches(cells, self.config.benchmark.batch))):
                logits.append(pending.classifier(batch.images))
                bar.update(len(batch.images))
                if batch.start + len(batch.images) == count:
                    for earlier in written[-1:]:
                        earlier.result()
                    written.append(writer.submit(self._write, pending, batch.cell, logits))
                    logits = []
                    if len(written) == 1:  # which waits for what is loaded and compiled
                        first = time.perf_counter()
                    if len(written) == 3:
                        announce(f"{self.name} {dataset}", len(cells) - 3, (time.perf_counter() - first) / 2)
            for last in written[-1:]:
                last.result()

    def _pinned(self, batch: Batch) -> Batch:
        """Return the batch in memory that a GPU can copy from while it computes; as it is for a CPU."""
        is_copied = self.model.device.type == "cuda" and batch.images.device.type == "cpu"
        return batch._replace(images=batch.images.pin_memory()) if is_copied else batch

    @cached_property
    def _encoder(self) -> Encoder:
        assert isinstance(self.model, Model), "a generative model has no features"
        return Encoder(self.model)

    def classifier(self, dataset: str) -> Classifier:
        """Return the model with the classes of `dataset` told to it."""
        if dataset not in self._classifiers:
            source, templates = home(self.config, self.workspace, dataset), self.config.benchmark.templates
            if isinstance(self.model, GenerativeModel):
                self._classifiers[dataset] = Generative(self.model, closed_set(source, dataset))
            else:
                told = prompts(source, dataset, templates=templates)
                if self.name in self.config.benchmark.probes:
                    heads = self.workspace.model(self.name) / HEADS
                    self._classifiers[dataset] = Probed(self._encoder, told, heads)
                else:
                    self._classifiers[dataset] = ZeroShot(self._encoder, told)
        return self._classifiers[dataset]

    def _path(self, cell: Cell) -> Path:
        return self.output.logits(self.name, cell)

    def _key(self, classifier: Classifier, pixels: str) -> str:
        digest = hashlib.sha256(f"2/{self.weights}/{pixels}/{classifier.options}".encode())
        digest.update(classifier.values)
        return digest.hexdigest()

    def _write(self, pending: Pending, cell: Cell, logits: Sequence[Tensor]) -> None:
        labels = pending.cells.labels
        values = torch.cat(list(logits)).cpu().numpy()  # waits for a GPU, in the thread that writes
        indices = np.arange(len(labels))
        write_logits(self._path(cell), Logits(values, labels, indices, pending.keys[cell], self.weights))

    def write_record(self, datasets: Sequence[str], *, is_new: bool) -> None:
        """Write what the logits were made with, for the report.

        Of what was not predicted now the earlier record's words stay: prompts by data set, and the versions if
        nothing `is_new`.
        """
        try:
            earlier = PredictionRecord.read(self.workspace, self.name)
        except UserError:  # none yet, or a damaged one: written anew
            earlier = None
        record = self.record(datasets)
        if earlier is not None:
            known = {*self.config.datasets, *self.config.scored_datasets}
            kept = {
                dataset: prompts_then
                for dataset, prompts_then in earlier.prompts.items()
                if dataset in known and self._path(Cell(dataset, self.split)).is_file()
            }
            then = record.versions if is_new else earlier.versions
            record = record.changed(prompts=kept | record.prompts, versions=then)
        write_record(self.workspace.prediction_record(self.name), record)

    def record(self, datasets: Sequence[str]) -> PredictionRecord:
        """Return the record of logits on `datasets` that are made now."""
        benchmark = self.config.benchmark
        tuned, probe = benchmark.tuned.get(self.name), benchmark.probes.get(self.name)
        ours = tuned or probe
        return PredictionRecord(
            model=describe(
                self.model.record,
                name=self.name,
                is_ours=ours is not None or self.name in benchmark.published,
            ),
            base=None if ours is None else ours.base,
            logit_scale=self.model.logit_scale if isinstance(self.model, Model) else 1.0,
            logit_bias=self.model.logit_bias if isinstance(self.model, Model) else 0.0,
            prompts={dataset: self.classifier(dataset).prompts for dataset in datasets},
            tuning=None if tuned is None else TuneRecord.read(self.workspace, self.name).summary(),
            probe=None if probe is None else ProbeRecord.read(self.workspace, self.name).summary(),
            weights_sha256=self.weights,
            versions=versions(),
            device=self.model.device.type,
        )


def describe(model: ModelRecord, *, name: str, is_ours: bool) -> ModelDescription:
    """Return what is known of a model that params.yaml calls `name`; tables call one that was made here so too."""
    known = model.model_dump(include=set(ModelDescription.model_fields) - {"files"})
    files = tuple(file.model_dump(include=set(FileDescription.model_fields)) for file in model.files)
    own = {"name": name, "title": name if is_ours else model.title, "preprocessing": model.preprocessing.in_words()}
    return ModelDescription.model_validate(known | own | {"files": files})


def announce(what: str, cells: int, seconds: float) -> None:
    """Say how long `cells` more cells take if each takes `seconds`, if anybody could wait for it."""
    if cells * seconds > 60:
        print(f"{what}: {cells} more cells, about {cells * seconds / 60:.0f} min", flush=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that logits depend on, where they are installed."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional one
    return installed
