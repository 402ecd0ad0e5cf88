"""What a preset needs before any work: what is missing, how much disk, and about how long on this machine."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from huggingface_hub import try_to_load_from_cache

from benchmark.models import registry
from benchmark.models.components.packages import ZOO
from benchmark.models.devices import parse_device
from benchmark.models.families import phantom_clip
from corruptions.spec import SEVERITIES
from pipeline.config.benchmark import PRETRAINED
from pipeline.config.params import Config
from pipeline.sources import medmnist
from pipeline.workspace import datasets
from pipeline.workspace.cell import RELEASED, SIZE
from pipeline.workspace.paths import Workspace

CORRUPTED_PER_SECOND = 2900
"""Images that ``corrupt`` writes on two cores, docs/operations.md."""

BACKWARD = 3
"""A step of training takes about as long as so many forward passes."""


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Attributes:
        missing: what somebody has to bring, without which nothing is begun; a sentence each.
        notes: what the run brings itself, how much disk it takes and how long it will take.
    """

    missing: list[str]
    notes: list[str]


def preflight(workspace: Workspace, config: Config) -> Preflight:
    """Look at data, weights, packages, device and disk of a workspace; nothing is brought or written."""
    images = {name: _images(config, name) for name in config.datasets}
    missing, notes = [*_weights(workspace, config)], [*_data(workspace, config)]
    cells = {name: 1 + len(config.corruptions(name)) * len(SEVERITIES) for name in config.datasets}
    pictures = {name: sum(count[split] for split in RELEASED) * cells[name] for name, count in images.items()}
    written = sum(pictures.values()) * SIZE * SIZE * 3
    free = shutil.disk_usage(workspace.root).free
    notes.append(f"disk: about {written / 1e9:,.1f} GB for the cells; {free / 1e9:,.1f} GB are free")
    if free < written and not workspace.release.exists():
        missing.append(
            f"disk: {written / 1e9:,.1f} GB are needed in {workspace.root}, and {free / 1e9:,.1f} GB are free"
        )
    device = parse_device(config.benchmark.device)
    needs_gpu = not _bases(config).keys() <= set(PRETRAINED)
    if device.type == "cpu" and needs_gpu:
        notes.append("GPU: torch sees none, so the models run on the CPU")
    scored = sum(count[config.benchmark.split] * cells[name] for name, count in images.items())
    notes.append(_time(config, images, scored * len(config.benchmark.models), sum(pictures.values()), device))
    return Preflight(missing, notes)


def _bases(config: Config) -> dict[str, str]:
    """Return the records of all models by the name whose weights they have, adapters' bases in their place."""
    plan = config.benchmark
    names = [plan.tuned[m].base if m in plan.tuned else m for m in plan.models]
    published = [plan.published[name].model if name in plan.published else name for name in names]
    records = registry.records()
    return {(records[n].base or n) if n in records else n: n for n in published}


def _weights(workspace: Workspace, config: Config) -> Iterator[str]:
    plan = config.benchmark
    for name, checkpoint in plan.published.items():
        if name in plan.models and not workspace.adapter(name).exists() and checkpoint.revision is None:
            yield (
                f"weights: {name} has no revision: put the commit of {checkpoint.repo} (40 digits, on its page of the"
                " Hub under Files, History) into the preset under benchmark.published"
            )
    bases = _bases(config)
    for base in bases:
        record = registry.records().get(base)
        folder = plan.weights.get(base)
        if record is None or base in PRETRAINED:
            continue
        for file in record.files if folder is not None else ():
            path = workspace.root / str(folder) / file.name
            if not path.is_file() and not (file.older_name and path.with_name(file.older_name).is_file()):
                yield f"weights: {base} needs {path.resolve()}, from {file.origin or f'{file.repo}@{file.revision}'}"
        for file in record.files if folder is None else ():
            if file.repo is None:
                yield f"weights: {base} needs {file.name}, from {file.origin}: name its folder under benchmark.weights"
    packages = [name for name in ZOO if importlib.util.find_spec(name) is None]
    if packages and not bases.keys() <= set(PRETRAINED):
        yield f"packages: {', '.join(packages)} are not installed: pip install -e '.[zoo]'"


def _data(workspace: Workspace, config: Config) -> Iterator[str]:
    by_source = {source: config.datasets_of(source) for source in map(config.source_of, config.datasets)}
    for source, names in by_source.items():
        folder = workspace.raw(source)
        places = {name: folder / (f"{name}_224.npz" if source == "medmnist" else name) for name in names}
        absent = [name for name, path in places.items() if not path.exists()]
        if absent and source != "phantom":
            yield f"data: {', '.join(absent)} of {source} are not in {folder} and will be brought, if they can be"
    for base in _bases(config):
        record = registry.records().get(base)
        for file in record.files if record and base not in config.benchmark.weights else ():
            if file.repo and not isinstance(try_to_load_from_cache(file.repo, file.name, revision=file.revision), str):
                yield f"weights: {base}'s {file.name} will be brought from the Hub, {file.repo}"


def _images(config: Config, dataset: str) -> dict[str, int]:
    """Return the images of each split that are used, 0 where nobody knows it before the source is read."""
    source = config.source_of(dataset)
    counts: dict[str, int] = {}
    if source == "phantom":
        counts = config.counts.model_dump()
    elif source == "medimeta":
        counts = datasets.card(dataset).counts
    elif source == "medmnist":
        counts = medmnist.COUNTS[dataset]
    limit = config.limit or 10**9
    return {split: min(counts.get(split, 0), limit) for split in ("train", "val", "test")}


def _time(config: Config, images: dict[str, dict[str, int]], scored: int, corrupted: int, device: torch.device) -> str:
    """Return in words how long the run takes: forward passes, timed here, and corruption."""
    plan = config.benchmark
    rate, what = _rate(device, [*_bases(config)])
    trained = 0.0
    for settings in map(plan.settings, plan.tuned):
        whole = sum(count[settings.split] for count in images.values())
        share = whole * settings.percent / 100 if settings.percent else min(whole, settings.shots * 10 * len(images))
        trained += share * settings.epochs * BACKWARD
    seconds = (scored + trained) / rate + corrupted / CORRUPTED_PER_SECOND
    hours = f"{seconds / 3600:,.1f} h" if seconds > 5400 else f"{seconds / 60:,.0f} min"
    return (
        f"time: about {hours} and what DVC takes: {scored:,.0f} predictions and training worth {trained:,.0f} at"
        f" {rate:,.0f} images/s ({what}, timed now on {device}), {corrupted:,.0f} corrupted images"
    )


def _rate(device: torch.device, bases: Sequence[str]) -> tuple[float, str]:
    """Time forward passes of a tower with random weights; return images a second, and what was timed."""
    if set(bases) <= set(PRETRAINED):  # the first one, which a grid is tuned from
        what, batch = bases[0], torch.rand(16, 3, SIZE, SIZE)
        tower, _ = phantom_clip.towers(registry.records()[what])
    else:
        layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True, norm_first=True)
        tower = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        batch, what = torch.rand(16, 197, 768), "a ViT-B/16"
    tower, batch = tower.eval().to(device), batch.to(device)
    with torch.inference_mode():
        tower(batch[:1])
        started, count = time.monotonic(), 0
        while count == 0 or time.monotonic() - started < 1:
            tower(batch).sum().item()  # waits for a GPU
            count += len(batch)
    return count / (time.monotonic() - started), what
