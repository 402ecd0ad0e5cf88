"""Open a model of params.yaml by its name: one of the zoo, or one that this project tuned."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark import models
from benchmark.models import Model, ModelError, phantom_clip
from pipeline.config import Benchmark
from pipeline.errors import UserError
from pipeline.paths import Workspace


def load(
    workspace: Workspace, chosen: Benchmark, name: str, *, device: torch.device | str, merge: bool = True
) -> Model:
    """Return the model, its adapter merged into its weights if it has one and `merge`; UserError if it can't be made.

    A model that was tuned here, or whose record has a base, is that base with the adapter in
    ``data/models/<name>/adapter``. Weights come from the folder that params.yaml gives under ``weights``, else from the
    Hub or its cache; phantom-clip's from ``pretrain``. What stands there may be a pinned model instead of a folder.
    """
    tuned = chosen.tuned.get(name)
    base = known_as(chosen, name if tuned is None else tuned.base)
    under = models.RECORDS[base].base if base in models.RECORDS else None
    if tuned is not None and under is not None:
        raise UserError(f"{base} is an adapter itself, and {name} can't be tuned from it; have its base, {under}")
    if under is not None and (other := known_as(chosen, under)) != under:
        raise UserError(f"{base} is an adapter on {under}, and params.yaml has {other!r} as the weights of {under}")
    adapter = None if tuned is None and under is None else workspace.adapter(name)
    try:
        model = models.load(base, weights_dir=folder(workspace, chosen, under or base), adapter=adapter, device=device)
    except ModelError as problem:
        hint = "; run `python -m benchmark.pretrain` first" if base == phantom_clip.RECORD.name else ""
        raise UserError(f"{problem}{hint}") from None
    if adapter is not None and merge:
        merged: torch.nn.Module = model.image_tower.merge_and_unload()  # type: ignore[operator]
        model.image_tower = merged.eval()
    return model


def known_as(chosen: Benchmark, name: str) -> str:
    """Return what `models.load` calls a model: params.yaml may give another name for a pinned one under ``weights``.

    ``open_clip:ARCHITECTURE/TAG@COMMIT`` can't be the name of a stage or of a folder.
    """
    given = chosen.weights.get(name, "")
    return given if given.startswith(models.PINNED) else name


def folder(workspace: Workspace, chosen: Benchmark, name: str) -> Path | None:
    """Return the local folder of a model's files, or None to take them from the Hub."""
    if name in chosen.weights:
        return workspace.root / chosen.weights[name]
    return workspace.model(name) if name == phantom_clip.RECORD.name else None


def device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:K``; UserError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise UserError(f"no device {name!r}; have auto, cpu, cuda, cuda:K")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(index or 0) >= there:
        raise UserError(f"device {name} was asked for, and torch sees {there or 'none'}; have auto, cpu")
    return torch.device(name)


def devices(name: str) -> list[torch.device]:
    """Return every device that ``auto``, ``cpu`` or ``cuda`` stands for: all GPUs, or the CPU alone."""
    first = device(name)
    count = torch.cuda.device_count() if first == torch.device("cuda") else 0
    return [torch.device("cuda", k) for k in range(count)] if count > 1 else [first]
