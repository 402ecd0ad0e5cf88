"""Open a model of params.yaml by its name: one that has a record, or one that this project tuned."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark.models import protocol, registry
from benchmark.models.families import vlm
from benchmark.models.generative import GenerativeModel
from benchmark.models.model import Model
from pipeline.config.benchmark import PRETRAINED, Benchmark
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace


def load_towers(workspace: Workspace, config: Benchmark, name: str, *, device: torch.device | str) -> Model:
    """Return the model as `load` does; UserError if it is generative, so that it has no features."""
    model = load(workspace, config, name, device=device)
    if isinstance(model, GenerativeModel):
        raise UserError(f"{name} is generative: it is scored as it is, and neither tuned nor probed here")
    return model


def load(
    workspace: Workspace, config: Benchmark, name: str, *, device: torch.device | str, merge: bool = True
) -> Model | GenerativeModel:
    """Return the model, its adapter merged into its weights if it has one and `merge`.

    A model that was tuned here, or whose record has a base, is that base with the adapter in
    ``data/models/<name>/adapter``. Weights come from the folder that params.yaml gives under ``weights``, else from the
    Hub or its cache; of `PRETRAINED` from ``pretrain``. What stands there may be a pinned model instead of a folder.
    A name of such a model that ends in ``#adapter`` has an adapter there too.
    Under the protocol ``robustmedclip`` the model is as that code evaluates it.

    Raises:
        UserError: it can't be made.
    """
    if name in config.probes:
        check_probe_name(name)
        return load(workspace, config, config.probes[name].base, device=device)
    tuned = config.tuned.get(name)
    published = config.published.get(name)
    model_name = _full_name(config, tuned.base if tuned else published.model if published else name)
    record = registry.records().get(model_name)
    base = record.base if record is not None else None
    if tuned is not None and base is not None:
        raise UserError(f"{model_name} is an adapter itself, and {name} can't be tuned from it; have its base, {base}")
    if base is not None and (other := _full_name(config, base)) != base:
        raise UserError(f"{model_name} is an adapter on {base}, and params.yaml has {other!r} as the weights of {base}")
    is_adapted = tuned is not None or base is not None or model_name.endswith(vlm.ADAPTED)
    adapter = workspace.adapter(name) if is_adapted else None
    folder = _folder(workspace, config, base or model_name)
    model = registry.load(model_name, weights_dir=folder, adapter=adapter, device=device)
    if isinstance(model, GenerativeModel):
        if adapter is not None and merge:
            model.network = _merged(model.network)
        if config.protocol != "own":
            raise UserError(f"{name} is generative, and RobustMedCLIP's code scores no such model: set protocol: own")
        return model
    if adapter is not None and merge:
        model.image_tower = _merged(model.image_tower)
    if config.protocol == "robustmedclip":
        protocol.follow(model, is_tuned=adapter is not None)
    return model


def check_probe_name(name: str) -> None:
    """Raise UserError if a model that has a record is called as a probe is, so that its scores would be the probe's."""
    if name in registry.records():
        raise UserError(f"probes.{name} needs a name of its own: {name!r} is a model itself (docs/models.md)")


def _merged(module: torch.nn.Module) -> torch.nn.Module:
    merged: torch.nn.Module = module.merge_and_unload()  # type: ignore[operator]
    return merged.eval()


def _full_name(config: Benchmark, name: str) -> str:
    """Return the name of a model for `registry.load`: params.yaml may give another one for it under ``weights``.

    ``open_clip:ARCHITECTURE/TAG@COMMIT`` can't be the name of a stage or of a folder.
    """
    weights = config.weights.get(name, "")
    return weights if weights.startswith(registry.prefixes()) else name


def _folder(workspace: Workspace, config: Benchmark, name: str) -> Path | None:
    """Return the local folder of a model's files, or None to take them from the Hub."""
    if name in config.weights:
        return workspace.root / config.weights[name]
    return workspace.model(name) if name in PRETRAINED else None
