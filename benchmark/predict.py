"""Write the logits of one model on data sets' cells, from the released files or on cells made in memory.

One npz a cell (logits, labels, indices, key). A cell that is there with the same key (weights, prompts, pixels) is
left alone, so an interrupted run goes on where it stopped. Several GPUs share the cells out between them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark import loading
from benchmark.cells import Batch, Cells, ahead
from benchmark.models import Model
from benchmark.places import Places, cell_names
from benchmark.plan import Plan, plan
from benchmark.prompts import class_features, prompts
from pipeline import UserError, stage
from pipeline.layout import Layout
from pipeline.settings import Settings, settings
from pipeline.whole import whole, write_json

PACKAGES = ("medimeta-c", "numpy", "torch", "kornia", "peft", "transformers", "open_clip_torch", "timm", "torchvision")
"""Whose versions a record of predictions names, where they are installed."""


class Predicting:
    """One model, ready to predict."""

    def __init__(self, root: Path | str, name: str, *, device: torch.device, on_the_fly: bool, split: str) -> None:
        self.layout, self.places, self.plan = Layout(root), Places(root), plan(root)
        self.given: Settings = settings(root)
        self.name, self.split = name, split
        self.made = ("gpu" if device.type == "cuda" else "cpu") if on_the_fly else "files"
        self.model: Model = loading.load(self.places, self.plan, name, device=device)
        self.weights = tower_checksum(self.model)

    def data_set(self, dataset: str, *, shard: tuple[int, int] = (0, 1)) -> int:
        """Write the logits of the cells of `dataset` that are not there yet, or of a shard of them; return how many."""
        chosen = prompts(self.layout, dataset, templates=self.plan.prompts)
        features = class_features(self.model, chosen)
        cells = Cells(self.layout, self.given, dataset, self.split, made=self.made)
        keys = {cell: self._key(features, checksum) for cell, checksum in cells.checksums.items()}
        pending = [c for c in cell_names() if stored_key(self._path(dataset, c)) != keys[c]][shard[0] :: shard[1]]
        logits = np.empty((len(cells.labels), len(chosen.class_names)), np.float32)
        total = len(pending) * len(cells.labels)
        with (
            stage.progress(total=total, desc=f"predict {self.name} {dataset}", unit="img") as bar,
            torch.inference_mode(),
        ):
            for batch in ahead(cells.batches(pending, self.plan.batch)):
                stop = batch.start + len(batch.images)
                logits[batch.start : stop] = self._logits(batch, features)
                bar.update(len(batch.images))
                if stop == len(logits):
                    self._write(dataset, batch.cell, logits, cells.labels, keys[batch.cell])
        return len(pending)

    def _logits(self, batch: Batch, features: Tensor) -> NDArray[np.float32]:
        device = self.model.device
        images = batch.images
        if device.type == "cuda" and images.device.type == "cpu":
            images = images.pin_memory().to(device, non_blocking=True)
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            encoded = self.model.encode_images(self.model.preprocess(images))
        found: NDArray[np.float32] = (self.model.logit_scale * encoded.float() @ features.T).cpu().numpy()
        return found

    def _path(self, dataset: str, cell: str) -> Path:
        return self.places.logits(self.name, dataset, self.split, cell)

    def _key(self, features: Tensor, pixels: str) -> str:
        view = json.dumps([asdict(self.model.record.view), self.model.logit_scale, self.model.device.type])
        digest = hashlib.sha256(f"1/{self.weights}/{pixels}/{view}".encode())
        digest.update(features.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _write(self, dataset: str, cell: str, logits: Any, labels: Any, key: str) -> None:
        with whole(self._path(dataset, cell)) as handle:
            np.savez(handle, logits=logits, labels=labels, indices=np.arange(len(labels)), key=np.array(key))

    def record(self, datasets: Sequence[str]) -> dict[str, Any]:
        """Return what the logits were made with, for the report."""
        tuned = self.plan.tuned.get(self.name)
        described = {k: v for k, v in asdict(self.model.record).items() if k != "view"}
        return {
            "model": described | {"name": self.name, "title": title(self.name, self.model, self.plan)},
            "base": None if tuned is None else tuned.base,
            "logit_scale": self.model.logit_scale,
            "prompts": {d: prompts(self.layout, d, templates=self.plan.prompts).record() for d in datasets},
            "settings": None if tuned is None else _tuning(self.places, self.name),
            "view": asdict(self.model.record.view),
            "weights_sha256": self.weights,
            "versions": versions(),
            "device": self.model.device.type,
        }


def title(name: str, model: Model, chosen: Plan) -> str:
    """Return what tables call a model: its record's title, or its own name if it was tuned here."""
    return name if name in chosen.tuned else model.record.title


def _tuning(places: Places, name: str) -> dict[str, Any]:
    read: Mapping[str, Any] = json.loads((places.model(name) / "tune.json").read_text())
    counts = {dataset: len(indices) for dataset, indices in read["shots"].items()}
    return {k: read[k] for k in ("settings", "corruptions", "best_epoch", "scale", "chosen_on", "parameters")} | {
        "shots": counts
    }


def tower_checksum(model: Model) -> str:
    """Return the SHA-256 over the names, shapes and bytes of the image tower's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.image_tower.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def stored_key(path: Path) -> str | None:
    """Return the key in a file of logits, or None if there is no whole file with one."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            return str(archive["key"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # not there, or not whole: predicted again


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
    device: str | None = None,
    shard: tuple[int, int] = (0, 1),
) -> int:
    """Predict one model on `datasets` (all of params.yaml's if none is named); return the number of cells written."""
    chosen, given = plan(root), settings(root)
    for dataset in datasets:
        if dataset not in given.datasets:
            raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(given.datasets)}")
    names = list(datasets or given.datasets)
    where = torch.device(device) if device and ":" in device else loading.device(device or chosen.device)
    if where.type == "cuda" and where.index is None and torch.cuda.device_count() > 1:
        _share_out(root, name, names, split, on_the_fly, torch.cuda.device_count())
    run = Predicting(
        root,
        name,
        device=where,
        on_the_fly=chosen.on_the_fly if on_the_fly is None else on_the_fly,
        split=split or chosen.split,
    )
    written = sum(run.data_set(dataset, shard=shard) for dataset in names)
    if shard == (0, 1):
        write_json(run.places.record(name), run.record(names))
    return written


def _share_out(
    root: Path | str, name: str, datasets: Sequence[str], split: str | None, on_the_fly: bool | None, gpus: int
) -> None:
    """Run one process a GPU, each on its share of the cells; UserError if one of them fails."""
    common = [sys.executable, "-m", "benchmark.predict", "--root", str(root), "--model", name]
    common += [word for dataset in datasets for word in ("--dataset", dataset)]
    common += ["--split", split] if split else []
    common += ["--on-the-fly"] if on_the_fly else []
    running = [
        subprocess.Popen([*common, "--device", f"cuda:{gpu}", "--shard", f"{gpu}/{gpus}"]) for gpu in range(gpus)
    ]
    failed = [gpu for gpu, process in enumerate(running) if process.wait()]
    if failed:
        raise UserError(f"predicting on cuda:{failed[0]} failed; its message is above, and what is done is kept")


def _shard(text: str) -> tuple[int, int]:
    part, _, of = text.partition("/")
    if not (part.isdigit() and of.isdigit() and int(part) < int(of)):
        raise argparse.ArgumentTypeError(f"is K/N with K below N, not {text!r}")
    return int(part), int(of)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = stage.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name of the zoo, or one under benchmark.tuned in params.yaml")
    parser.add_argument("--dataset", action="append", default=[], help="may be repeated (default: all)")
    parser.add_argument("--split", choices=("val", "test"), help="default: benchmark.split of params.yaml")
    parser.add_argument(
        "--on-the-fly", action="store_const", const=True, help="make the cells instead of reading files"
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:K (default: benchmark.device of params.yaml)")
    parser.add_argument("--shard", type=_shard, default=(0, 1), help="K/N: only this share of the cells of a data set")
    given = parser.parse_args(argv)

    def work() -> None:
        written = predict(
            given.root,
            given.model,
            datasets=given.dataset,
            split=given.split,
            on_the_fly=given.on_the_fly,
            device=given.device,
            shard=given.shard,
        )
        print(f"{given.model}: {written} cells predicted, the others were there")

    return stage.run(work)


if __name__ == "__main__":
    sys.exit(main())
