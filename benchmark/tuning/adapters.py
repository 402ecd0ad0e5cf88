"""LoRA on an image tower, and what a tuning leaves behind: the adapter, its model card, its record and its curves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from dvclive import Live

from benchmark.models import ModelRecord
from benchmark.models.components.adapters import WEIGHTS
from benchmark.models.components.files import one_line
from benchmark.models.components.packages import package
from benchmark.models.model import Model
from benchmark.tuning.records import TUNE_RECORD, EpochRecord, TuneRecord
from pipeline.config.benchmark import TuningSettings
from pipeline.errors import UserError
from pipeline.hub.card import adapter_card
from pipeline.io.atomic import atomic_folder
from pipeline.io.checksums import file_checksum
from pipeline.io.records import write_record
from pipeline.run import interrupts
from pipeline.workspace.paths import Workspace


def add_lora(model: Model, settings: TuningSettings) -> Any:
    """Put fresh LoRA on the model's image tower, drawn by the settings' seed; return PEFT's wrapping, now its tower."""
    peft = package("peft")
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=model.lora_targets,
        base_model_name_or_path=model.record.name,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        try:
            tower = peft.get_peft_model(model.image_tower, config)
        except ValueError as problem:  # PEFT's word for a tower without such layers
            raise UserError(f"LoRA can't be put on {settings.base}: {one_line(problem)}") from None
    tower.to(memory_format=torch.channels_last)
    model.image_tower = tower
    return tower


def save_adapter(
    tower: Any, base: ModelRecord, workspace: Workspace, name: str, record: TuneRecord, *, synthetic: bool
) -> None:
    """Save the adapter of a PEFT `tower`, its model card, its record and its curves, in place of those that are there.

    A kill in the middle of that leaves no record, rather than one of another adapter.
    """
    # PEFT 0.18 leaves convolutions channels last, which safetensors refuses; embedding layers it asks the Hub about
    weights = {name: tensor.contiguous() for name, tensor in tower.state_dict().items()}

    def write_weights(adapter: Path) -> None:
        tower.save_pretrained(str(adapter), state_dict=weights, save_embedding_layers=False)

    _save(write_weights, base, workspace, name, record, synthetic=synthetic)


def copy_adapter(base: ModelRecord, workspace: Workspace, name: str, key: str, *, synthetic: bool) -> str | None:
    """Copy the adapter of the same `key` that another model has, and return that model's name; None if none has it.

    So a model that becomes a point of a grid, or gets another name, is not trained anew.
    """
    models = workspace.model("")
    for path in sorted(models.rglob(TUNE_RECORD)):
        other = path.parent.relative_to(models).as_posix()
        if record := saved_record(workspace, other, key):
            weights = workspace.adapter(other)

            def copy(adapter: Path, weights: Path = weights) -> None:
                shutil.copytree(weights, adapter, dirs_exist_ok=True, copy_function=shutil.copyfile)

            _save(copy, base, workspace, name, record, synthetic=synthetic)
            return other
    return None


def _save(
    write_weights: Callable[[Path], None],
    base: ModelRecord,
    workspace: Workspace,
    name: str,
    record: TuneRecord,
    *,
    synthetic: bool,
) -> None:
    folder = workspace.model(name)
    with interrupts.held():
        with atomic_folder(folder / "live") as live:
            write_curves(live, record.history)
        with atomic_folder(workspace.adapter(name)) as adapter:
            write_weights(adapter)
            card = adapter_card(
                name,
                base=base.title,
                facts=card_facts(base, record),
                base_model=base.files[0].repo,
                licence=base.licence,
                citation=base.citation,
                synthetic=synthetic,
            )
            (adapter / "README.md").write_text(card, encoding="utf-8")
            (folder / TUNE_RECORD).unlink(missing_ok=True)
        checksum = file_checksum(workspace.adapter(name) / WEIGHTS)
        write_record(folder / TUNE_RECORD, record.changed(weights_sha256=checksum))


def saved_record(workspace: Workspace, name: str, key: str) -> TuneRecord | None:
    """Return the record of an adapter that is there, whole and of the same `key`; None if there is none."""
    return TuneRecord.saved(workspace.model(name) / TUNE_RECORD, workspace.adapter(name) / WEIGHTS, key)


def write_curves(folder: Path, history: Iterable[EpochRecord]) -> None:
    """Write a run's history with DVCLive into a new folder: metrics.json and one table a curve."""
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None) as live:
        for epoch in history:
            for name, value in epoch.model_dump(exclude={"epoch"}, exclude_none=True).items():
                live.log_metric(name, value)
            live.next_step()


def card_facts(base: ModelRecord, record: TuneRecord) -> dict[str, str]:
    """Return the rows of the card's table."""
    settings = record.settings
    amount = f"{settings.shots} images a class" if settings.shots else f"{settings.percent} % of each class"
    images = sum(len(indices) for indices in record.shots.values())
    return {
        "rank, alpha": f"{settings.rank}, {settings.alpha}",
        "trained parameters": f"{record.parameters:,}",
        "tuned on": f"{amount} of the clean {settings.split} split of {', '.join(record.shots)}: {images} images",
        "corruptions seen": ", ".join(record.corruptions) or "none",
        "licence of the base": base.licence,
        "seed": str(settings.seed),
        "epochs": str(settings.epochs),
        "kept": record.summary().kept(),
        "images that chose it": str(record.held_images),
        "validation accuracy": f"{record.scales[record.scale]:.1%}" if record.scales else "not measured",
    }
