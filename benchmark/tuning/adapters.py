"""What a tuning leaves behind: the adapter, its model card, its record and its curves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from dvclive import Live

from benchmark.models import ModelRecord
from pipeline.io.atomic import atomic_folder
from pipeline.io.records import write_json
from pipeline.paths import Workspace
from pipeline.run import interrupts


def curves(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a run's history with DVCLive: metrics.json and one table a curve in `folder`, which is replaced whole."""
    with (
        atomic_folder(folder) as beside,
        Live(str(beside), save_dvc_exp=False, dvcyaml=None, report=None) as live,
    ):
        for line in history:
            for name, value in line.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.next_step()


def keep(tower: Any, base: ModelRecord, workspace: Workspace, name: str, record: Mapping[str, Any]) -> None:
    """Save the adapter of a PEFT `tower`, its model card and its record; a pair that is there is replaced as one.

    A kill in the middle of that leaves no record, rather than one of another adapter.
    """
    target = workspace.adapter(name)
    described = target.parent / "tune.json"
    # PEFT 0.18 leaves convolutions channels last, which safetensors refuses; embedding layers it asks the Hub about
    weights = {name: tensor.contiguous() for name, tensor in tower.state_dict().items()}
    with interrupts.held():
        with atomic_folder(target) as folder:
            tower.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
            (folder / "README.md").write_text(card(name, base, record), encoding="utf-8")
            described.unlink(missing_ok=True)
        write_json(described, record)


def card(name: str, base: ModelRecord, record: Mapping[str, Any]) -> str:
    """Return the adapter's model card, Markdown with the Hub's YAML head."""
    how = record["settings"]
    amount = f"{how['shots']} images a class" if how["shots"] else f"{how['percent']} % of each class"
    seen = ", ".join(record["corruptions"]) or "none"
    shots = sum(len(indices) for indices in record["shots"].values())
    validation = record["scales"][str(record["scale"])]
    return f"""---
{yaml.safe_dump(_head(base), sort_keys=False)}---
# {name}

LoRA adapter for the image tower of {base.title} ({base.citation}); its text tower stays as it is.

| | |
|---|---|
| rank, alpha | {how["rank"]}, {how["alpha"]} |
| trained parameters | {record["parameters"]:,} |
| tuned on | {amount} of the clean {how["split"]} split of {", ".join(record["shots"])}: {shots} images |
| corruptions seen | {seen} |
| licence of the base | {base.licence} |
| seed | {how["seed"]} |
| epochs | {how["epochs"]}, of which {record["best_epoch"]} was kept |
| part of the update kept | {record["scale"]} |
| chosen on | {record["held_images"]} images ({record["chosen_on"]}), none of them tuned on or scored |
| validation accuracy | {validation:.1%} |

`tune.json` beside this folder has the indices of the images and the whole history. For research, not for diagnosis.
"""


def _head(base: ModelRecord) -> dict[str, Any]:
    """Return the card's metadata as the Hub checks it: a licence of its list, and a base model that it has."""
    known = re.fullmatch(r"[A-Za-z0-9.-]+", base.licence)  # anything else is a remark, which the card's table has
    head: dict[str, Any] = {"library_name": "peft", "license": base.licence.lower() if known else "other"}
    if base.files[0].repo is not None:
        head["base_model"] = base.files[0].repo
    return head | {"tags": ["lora", "medical", "clip", "robustness"]}
