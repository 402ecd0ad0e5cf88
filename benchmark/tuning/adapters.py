"""LoRA on an image tower, and what a tuning leaves behind: the adapter, its model card, its record and its curves."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import yaml
from dvclive import Live

from benchmark.models import Model, Record
from benchmark.models.extras import package
from benchmark.tuning.records import TUNE_RECORD, EpochRecord, TuneRecord, TuningSettings
from pipeline.errors import UserError
from pipeline.io.atomic import MARK
from pipeline.io.records import write_record
from pipeline.paths import Workspace
from pipeline.run import interrupts


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
            raise UserError(f"LoRA can't be put on {settings.base}: {str(problem).splitlines()[0]}") from None
    tower.to(memory_format=torch.channels_last)
    model.image_tower = tower
    return tower


def save_adapter(
    tower: Any, base: Record, workspace: Workspace, name: str, record: TuneRecord, *, synthetic: bool
) -> None:
    """Save the adapter of a PEFT `tower`, its model card, its curves and its record; those that are there go.

    A kill in the middle of that leaves no record, rather than one of another adapter.
    """
    folder = workspace.model(name)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=MARK, dir=folder) as temporary, interrupts.unfinished(Path(temporary)):
        new = Path(temporary)
        # PEFT 0.18 leaves convolutions channels last, which safetensors refuses; embedding layers it asks the Hub about
        weights = {name: tensor.contiguous() for name, tensor in tower.state_dict().items()}
        tower.save_pretrained(str(new / "adapter"), state_dict=weights, save_embedding_layers=False)
        (new / "adapter" / "README.md").write_text(card(name, base, record, synthetic=synthetic), encoding="utf-8")
        write_curves(new / "live", record.history)
        write_record(new / TUNE_RECORD, record)
        with interrupts.held():
            (folder / TUNE_RECORD).unlink(missing_ok=True)
            for part in ("adapter", "live"):
                if (folder / part).exists():
                    (folder / part).rename(new / f"old-{part}")
                (new / part).rename(folder / part)
            (new / TUNE_RECORD).rename(folder / TUNE_RECORD)


def write_curves(folder: Path, history: Iterable[EpochRecord]) -> None:
    """Write a run's history with DVCLive into a new folder: metrics.json and one table a curve."""
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None) as live:
        for epoch in history:
            for name, value in epoch.model_dump(exclude={"epoch"}, exclude_none=True).items():
                live.log_metric(name, value)
            live.next_step()


def card(name: str, base: Record, record: TuneRecord, *, synthetic: bool) -> str:
    """Return the adapter's model card, Markdown with the Hub's YAML head."""
    tags = ["lora", "medical", "clip", "robustness", *(["synthetic"] if synthetic else [])]
    known = re.fullmatch(r"[A-Za-z0-9.-]+", base.licence)  # anything else is a remark, which the card's table has
    head: dict[str, Any] = {"library_name": "peft", "license": base.licence.lower() if known else "other"}
    if base.files[0].repo is not None:
        head["base_model"] = base.files[0].repo
    rows = "".join(f"| {key} | {value} |\n" for key, value in card_facts(base, record).items())
    return f"""---
{yaml.safe_dump(head | {"tags": tags}, sort_keys=False)}---
# {name}

LoRA adapter for the image tower of {base.title} ({base.citation}); its text tower stays as it is.

| | |
|---|---|
{rows}
`tune.json` beside this folder has the indices of the images and the whole history. For research, not for diagnosis.
"""


def card_facts(base: Record, record: TuneRecord) -> dict[str, str]:
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
        "epochs": f"{settings.epochs}, of which {record.best_epoch} was kept",
        "part of the update kept": str(record.scale),
        "chosen on": f"{record.held_images} images ({record.chosen_on}), none of them tuned on or scored",
        "validation accuracy": f"{record.scales[record.scale]:.1%}",
    }
