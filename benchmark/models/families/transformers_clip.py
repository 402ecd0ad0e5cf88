"""Any CLIP of transformers on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files, read_json
from benchmark.models.components.packages import package
from benchmark.models.components.tokenizers import read_tokenizer, text_tokenizer
from benchmark.models.model import Towers
from benchmark.models.record import CLIP_MEAN, CLIP_STD, Channels, ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError
from pipeline.io.records import explain

PREFIX = "hub:"
FORMS = (f"{PREFIX}OWNER/NAME@COMMIT",)
RECORDS: tuple[ModelRecord, ...] = ()

WEIGHTS, OLDER_WEIGHTS = "model.safetensors", "pytorch_model.bin"
CONFIG, PREPROCESSOR, TOKENIZER = "config.json", "preprocessor_config.json", "tokenizer.json"
BILINEAR = 2
"""Pillow's number of the filter, as preprocessor_config.json has it; bicubic is 3."""

SWITCHES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
"""Settings that null turns off in some releases of transformers and not in others, so that it is refused."""

Pixels = Annotated[int, Field(ge=1, le=2**14)]
Processor = Literal["CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"]


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
    image_size = (config.get("vision_config") or {}).get("image_size", 224)
    preprocessing = read_preprocessing(read_json(files.path(PREPROCESSOR)), name, image_size=image_size)
    return unread.changed(
        files=files.as_read(),
        preprocessing=preprocessing,
        context_length=(config.get("text_config") or {}).get("max_position_embeddings", 77),
        embedding=config.get("projection_dim", 512),
    )


class ProcessorConfig(BaseModel):
    """preprocessor_config.json of a CLIP; defaults are those of transformers' `CLIPImageProcessor`."""

    model_config = ConfigDict(strict=True)

    image_processor_type: Processor = "CLIPImageProcessor"
    feature_extractor_type: Literal["CLIPFeatureExtractor"] = "CLIPFeatureExtractor"
    do_resize: bool = True
    size: Pixels | dict[str, Pixels] = 224
    resample: Literal[2, 3] = 3
    do_center_crop: bool = True
    crop_size: Pixels | dict[str, Pixels] = 224
    do_rescale: bool = True
    rescale_factor: Annotated[float, Field(gt=0, le=1)] = 1 / 255
    do_normalize: bool = True
    image_mean: Channels | float = CLIP_MEAN
    image_std: Channels | float = CLIP_STD
    do_pad: Literal[False] = False
    use_square_size: Literal[False] = False
    default_to_square: bool = False


def read_preprocessing(settings: Mapping[str, Any], name: str, *, image_size: int) -> Preprocessing:
    """Return what transformers' image processor of CLIP does under the settings of a preprocessor_config.json.

    Args:
        settings: of the file.
        name: of the model, for errors.
        image_size: height and width of the image tower's input, pixels.

    Raises:
        UserError: the settings have something that is not done here.
    """
    source = f"{PREPROCESSOR} of {name}"
    try:
        known = {key: value for key, value in settings.items() if value is not None or key in SWITCHES}
        config = ProcessorConfig.model_validate_json(json.dumps(known))
    except ValidationError as wrong:
        raise UserError(f"{source}: {explain(wrong.errors()[0], ProcessorConfig)}") from None
    for key, value in settings.items():
        if key.startswith("do_") and value and key != "do_convert_rgb" and key not in ProcessorConfig.model_fields:
            raise UserError(f"{source} has {key}: {value!r}, which is not done here")
    resize, resized = _resize(config, source)
    crop = _square(config.crop_size, "crop_size", source) if config.do_center_crop else resized or image_size
    if crop != image_size:
        raise UserError(f"{source} gives images of {crop} pixels, and the image tower takes {image_size}")
    scale = 255 * config.rescale_factor if config.do_rescale else 255.0
    scale = 1.0 if math.isclose(scale, 1.0) else scale
    mean = _channels(config.image_mean) if config.do_normalize else (0.0, 0.0, 0.0)
    std = _channels(config.image_std) if config.do_normalize else (1.0, 1.0, 1.0)
    try:
        return Preprocessing(
            size=crop,
            mean=(mean[0] / scale, mean[1] / scale, mean[2] / scale),
            std=(std[0] / scale, std[1] / scale, std[2] / scale),
            interpolation="bilinear" if config.resample == BILINEAR else "bicubic",
            resize=resize,
            resized=None if resized == crop else resized,
            crop="floored" if config.do_center_crop else "none",
        )
    except ValidationError as wrong:
        raise UserError(f"{source}: {explain(wrong.errors()[0], Preprocessing)}") from None


def _resize(config: ProcessorConfig, source: str) -> tuple[Literal["shortest", "squash", "none"], int | None]:
    """Return how images are resized, and to how many pixels."""
    if not config.do_resize:
        return "none", None
    if isinstance(config.size, int):
        if config.default_to_square:  # read by some releases of transformers and not by others
            raise UserError(f"{source} has default_to_square for size: {config.size}, which is not done here")
        return "shortest", config.size
    if set(config.size) == {"shortest_edge"}:
        return "shortest", config.size["shortest_edge"]
    return "squash", _square(config.size, "size", source)


def _square(size: int | dict[str, int], key: str, source: str) -> int:
    if isinstance(size, int):
        return size
    if set(size) != {"height", "width"} or size["height"] != size["width"]:
        raise UserError(f"{source} has {key}: {size}, which is not done here; have a height and an equal width")
    return size["height"]


def _channels(value: Channels | float) -> Channels:
    return (value, value, value) if isinstance(value, float) else value


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
