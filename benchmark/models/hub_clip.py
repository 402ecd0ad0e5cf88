"""Any CLIP of transformers on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmark.models import weights
from benchmark.models.extras import package
from benchmark.models.model import Towers
from benchmark.models.record import File, ModelError, Record, View
from benchmark.models.zoo import PINNED

PREFIX = PINNED[1]
NAMES = ("model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json")
MOMENTS = ("image_mean", "image_std")
RESAMPLING: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of its filters, as preprocessor_config.json has them."""


class ImageTower(nn.Module):
    """The vision side and its projection."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.vision_model, self.visual_projection = clip.vision_model, clip.visual_projection

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.visual_projection(self.vision_model(pixel_values=pixels).pooler_output)
        return features


class TextTower(nn.Module):
    """The text side and its projection."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.text_model, self.text_projection = clip.text_model, clip.text_projection

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        features: Tensor = self.text_projection(states.pooler_output)
        return features


def describe(name: str, *, folder: Path | None, offline: bool) -> Record:
    """Return the record of ``hub:OWNER/NAME@COMMIT``, read from its config.json and preprocessor_config.json.

    With a `folder` the commit may be left out. Raise ModelError if the files can't be had or are no CLIP's.
    """
    repo, _, commit = name.removeprefix(PREFIX).partition("@")
    if folder is None and not commit:
        raise ModelError(f"{name!r} has no commit: say {PREFIX}OWNER/NAME@COMMIT, or give a folder")
    pinned = {"repo": repo, "revision": commit} if commit else {}
    files = (File(NAMES[0], otherwise="pytorch_model.bin", **pinned), *(File(file, **pinned) for file in NAMES[1:]))
    bare = Record(
        name=name,
        title=repo,
        family="hub_clip",
        architecture="CLIPModel",
        files=files,
        view=View(224, (0, 0, 0), (1, 1, 1)),
        context_length=77,
        embedding=512,
        lora_targets=r".*\.self_attn\.(q|k|v)_proj",
        licence="see the weights' own page",
        citation="see the weights' own page",
        sources=("its config.json and preprocessor_config.json",),
    )
    found = weights.Files(bare, folder=folder, offline=offline)
    config, seen = (weights.read_json(found.path(position)) for position in (1, 2))
    if config.get("model_type") != "clip":
        raise ModelError(f"{name} is a {config.get('model_type')!r} and not a 'clip'")
    crop = seen.get("crop_size", seen.get("size", {}))
    size = crop if isinstance(crop, int) else crop.get("height", crop.get("shortest_edge"))
    if not isinstance(size, int) or seen.get("resample", 3) not in RESAMPLING or not {*MOMENTS} <= set(seen):
        raise ModelError(
            f"preprocessor_config.json of {name} has no size, no mean and deviation, or a filter that is neither"
            " bilinear nor bicubic"
        )
    view = View(
        size,
        tuple(seen[MOMENTS[0]]),
        tuple(seen[MOMENTS[1]]),
        RESAMPLING[seen.get("resample", 3)],
        "shortest" if seen.get("do_center_crop", True) else "squash",
    )
    text = config.get("text_config") or {}
    length = text.get("max_position_embeddings", 77)
    return bare.but(files=found.taken(), view=view, context_length=length, embedding=config.get("projection_dim", 512))


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make a CLIP from model.safetensors, config.json and tokenizer.json."""
    transformers = package("transformers")
    config = transformers.CLIPConfig.from_dict(weights.read_json(files.path(1)))
    clip = transformers.CLIPModel(config)
    if not random_init:
        weights.fill(clip, weights.read(files.path(0)), of=record.name, but=(".position_ids",))
    words = _tokenizer(files.path(3), record.context_length, config.text_config.eos_token_id)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        encoded = words.encode_batch(texts)
        return {
            "input_ids": torch.tensor([one.ids for one in encoded]),
            "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
        }

    return Towers(ImageTower(clip), TextTower(clip), tokenize, clip.logit_scale.exp().item())


def _tokenizer(path: Path, context_length: int, end: int) -> Any:
    try:
        words = package("tokenizers").Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"{path} is no tokenizer: {error}") from error
    words.enable_truncation(max_length=context_length)
    words.enable_padding(pad_id=end, pad_token=words.id_to_token(end))
    return words
