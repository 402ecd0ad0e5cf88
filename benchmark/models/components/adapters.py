"""Put a PEFT adapter that somebody saved on an image tower."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from benchmark.models.components.checkpoints import check_finite, check_tensors, read_tensors
from benchmark.models.components.files import one_line, parse, read_json
from benchmark.models.components.packages import BROKEN, package
from pipeline.errors import UserError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

Rank = Annotated[int, Field(le=4096)]
"""As a tuning here may have it: PEFT takes memory for a rank before any weight is read."""


class _AdapterConfig(BaseModel):
    """What is read here of adapter_config.json; PEFT reads the rest."""

    model_config = ConfigDict(strict=True)

    peft_type: str
    base_model_name_or_path: str
    r: Rank | None = None
    rank_pattern: dict[str, Rank] | None = None


def attach(tower: nn.Module, folder: Path, *, base: str) -> nn.Module:
    """Return an image tower wrapped with the PEFT adapter in `folder`, for scoring.

    Args:
        tower: of the model `base`; it is changed.
        folder: holds adapter_config.json and adapter_model.safetensors.
        base: name of the model that the adapter must be for.

    Raises:
        UserError: it is not there or damaged, was made for another model, or doesn't fit.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UserError(f"no adapter in {folder}: {name} is missing")
    content = read_json(folder / CONFIG)
    config = parse(content, _AdapterConfig, folder / CONFIG)
    if config.base_model_name_or_path != base:
        raise UserError(f"the adapter in {folder} is for {config.base_model_name_or_path}, not for {base}")
    if content.get("megatron_config") is not None:
        raise UserError(
            f"{folder / CONFIG} has a megatron_config, for which PEFT would import what it names; remove it"
        )
    peft = package("peft")
    if config.peft_type not in peft.PeftType.__members__:
        known = ", ".join(peft.PeftType.__members__)
        raise UserError(f"{folder / CONFIG}: peft_type is {config.peft_type!r}; have {known}")
    tensors = read_tensors(folder / WEIGHTS)
    try:
        settings = peft.PeftConfig.from_peft_type(**{**content, "inference_mode": True})
        wrapped: nn.Module = peft.PeftModel(tower, settings)
    except (*BROKEN, re.error) as error:
        # PEFT checks neither types nor values before it uses them
        raise UserError(f"the adapter in {folder} doesn't fit {base}: {one_line(error)}") from error
    check_tensors(
        tensors,
        peft.get_peft_model_state_dict(wrapped, save_embedding_layers=False),
        f"the adapter in {folder} doesn't fit {base}",
    )
    check_finite(tensors, f"the adapter in {folder} is damaged")
    peft.set_peft_model_state_dict(wrapped, tensors)
    return wrapped.eval()
