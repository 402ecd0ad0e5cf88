"""Any CLIP of transformers on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files, read_json
from benchmark.models.components.packages import package
from benchmark.models.components.tokenizers import read_tokenizer, text_tokenizer
from benchmark.models.model import Towers
from benchmark.models.record import ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError

PREFIX = "hub:"
FORMS = (f"{PREFIX}OWNER/NAME@COMMIT",)
RECORDS: tuple[ModelRecord, ...] = ()

WEIGHTS, OLDER_WEIGHTS = "model.safetensors", "pytorch_model.bin"
CONFIG, PREPROCESSOR, TOKENIZER = "config.json", "preprocessor_config.json", "tokenizer.json"
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


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``hub:OWNER/NAME@COMMIT``, read from its config.json and preprocessor_config.json.

    With a `folder` the commit may be left out.

    Raises:
        UserError: the files can't be had or are no CLIP's.
    """
    repo, _, commit = name.removeprefix(PREFIX).partition("@")
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[0]}, or give a folder")
    hub = pinned(repo, commit)
    weights = ModelFile(name=WEIGHTS, older_name=OLDER_WEIGHTS, **hub)
    unread = ModelRecord(
        name=name,
        title=repo,
        family="transformers_clip",
        architecture="CLIPModel",
        files=(weights, *(ModelFile(name=file, **hub) for file in (CONFIG, PREPROCESSOR, TOKENIZER))),
        preprocessing=Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1)),
        context_length=77,
        embedding=512,
        lora_targets=r".*\.self_attn\.(q|k|v)_proj",
        licence="see the weights' own page",
        citation="see the weights' own page",
        sources=("its config.json and preprocessor_config.json",),
    )
    files = Files(unread, folder=folder, offline=offline)
    config = read_json(files.path(CONFIG))
    if config.get("model_type") != "clip":
        raise UserError(f"{name} is a {config.get('model_type')!r} and not a 'clip'")
    preprocessing = _preprocessing(read_json(files.path(PREPROCESSOR)), name)
    return unread.changed(
        files=files.as_read(),
        preprocessing=preprocessing,
        context_length=(config.get("text_config") or {}).get("max_position_embeddings", 77),
        embedding=config.get("projection_dim", 512),
    )


def _preprocessing(settings: dict[str, Any], name: str) -> Preprocessing:
    crop = settings.get("crop_size", settings.get("size", {}))
    size = crop if isinstance(crop, int) else crop.get("height", crop.get("shortest_edge"))
    if not isinstance(size, int) or settings.get("resample", 3) not in RESAMPLING or not {*MOMENTS} <= set(settings):
        raise UserError(
            f"{PREPROCESSOR} of {name} has no size, no mean and deviation, or a filter that is neither bilinear nor"
            " bicubic"
        )
    return Preprocessing(
        size=size,
        mean=tuple(settings[MOMENTS[0]]),
        std=tuple(settings[MOMENTS[1]]),
        interpolation=RESAMPLING[settings.get("resample", 3)],
        resize="shortest" if settings.get("do_center_crop", True) else "squash",
    )


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make a CLIP from model.safetensors, config.json and tokenizer.json."""
    transformers = package("transformers")
    config = transformers.CLIPConfig.from_dict(read_json(files.path(CONFIG)))
    clip = transformers.CLIPModel(config)
    if not random_init:
        load_tensors(clip, read_tensors(files.weights()), model=record.name, computed=(".position_ids",))
    words = read_tokenizer(files.path(TOKENIZER))
    tokenize = text_tokenizer(words, record.context_length, padding=words.id_to_token(config.text_config.eos_token_id))
    return Towers(ImageTower(clip), TextTower(clip), tokenize, clip.logit_scale.exp().item())
