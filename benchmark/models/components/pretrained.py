"""Networks of transformers from a repository's own files, read by the library itself; nothing in them runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmark.models.components.checkpoints import refuse
from benchmark.models.components.files import Files, one_line, read_json
from benchmark.models.components.packages import package, quietly
from pipeline.errors import UserError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

HEADS = frozenset(("classifier", "pooler"))
"""What networks of transformers call the modules above an encoder that features are taken below."""


def read_config(files: Files, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return config.json.

    Raises:
        UserError: its model type is none of `kinds`, or it is quantized.
    """
    config, name = read_json(files.path(CONFIG)), files.record.name
    if config.get("model_type") not in kinds:
        raise UserError(f"{name} is a {config.get('model_type')!r}; have {', '.join(kinds)}")
    if "quantization_config" in config:
        raise UserError(f"{name} is quantized, and its scores would be those of the quantization; take the original")
    return config


def read_network(files: Files, auto: str, *, random_init: bool, heads: bool = True, **options: Any) -> Any:
    """Return a network of transformers, in float32 or as it was saved, from config.json and its safetensors.

    Args:
        files: of a repository that transformers can read.
        auto: name of the library's class that finds the network's own.
        random_init: leave the weights as the architecture starts out with them.
        heads: whether weights of `HEADS`, which the network has no place for, are an error as all others are.
        options: of the network's own class.

    Raises:
        UserError: the weights are damaged or another architecture's.
    """
    transformers = package("transformers")
    folder, name = files.path(CONFIG).parent, files.record.name
    if random_init:
        return getattr(transformers, auto).from_config(transformers.AutoConfig.from_pretrained(folder), **options)
    fetch_weights(files)
    try:
        with quietly():  # what it would tell of missing weights is an error below
            network, loaded = getattr(transformers, auto).from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype="auto",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{folder} can't be read as {name}: {one_line(error)}") from error
    wrong = [f"{key} is missing" for key in loaded["missing_keys"]]
    left_over = [key for key in loaded["unexpected_keys"] if heads or HEADS.isdisjoint(key.split("."))]
    wrong += [f"{key} is left over" for key in left_over]
    wrong += [f"{key[0]} has another shape" for key in loaded["mismatched_keys"]]
    wrong += [f"{key} has NaN or infinite numbers" for key, t in network.named_parameters() if not t.isfinite().all()]
    refuse(sorted(wrong), f"the weights are not those of {name}")
    return network.eval()


def fetch_weights(files: Files) -> None:
    """Fetch model.safetensors, or its parts."""
    index = files.optional(INDEX)
    if index is None:
        files.path(WEIGHTS)
        return
    parts = sorted(set(map(str, read_json(index).get("weight_map", {}).values())))
    for part in parts:
        if not re.fullmatch(r"[\w.-]+\.safetensors", part):
            raise UserError(f"{index} names {part!r}, which is no file of weights")
        files.path(part)


def fetch(files: Files, names: tuple[str, ...]) -> Path:
    """Fetch those of a repository's files that it has, and return the folder that they are in."""
    for name in names:
        files.optional(name)
    return files.path(CONFIG).parent
