"""Models of open_clip, built by its factory: OpenAI's CLIPs, other weights of its, and any on the Hub in its form."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files, one_line, read_json
from benchmark.models.components.packages import BROKEN, package
from benchmark.models.components.processors import LibraryProcessor
from benchmark.models.components.tokenizers import TOKENIZER_FILES
from benchmark.models.model import Towers
from benchmark.models.record import (
    CLIP_MEAN,
    CLIP_STD,
    RESBLOCK_ATTENTION,
    ModelFile,
    ModelRecord,
    Preprocessing,
    pinned,
)
from pipeline.errors import UserError

PREFIX = "open_clip:"
HUB = "hf-hub:"
"""What open_clip too writes before a repository of the Hub that has open_clip_config.json."""

FORMS = (f"{PREFIX}ARCHITECTURE/TAG@COMMIT", f"{PREFIX}{HUB}OWNER/NAME@COMMIT", f"{PREFIX}{HUB}OWNER/NAME@COMMIT#FILE")

WEIGHTS, OLDER_WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_config.json"
QUICK = "-quickgelu"
"""Ending of the architectures with OpenAI's faster GELU; their tensors are named and shaped like the others'."""

SLOW = "-gelu"
"""Ending, of this project alone, that says of weights in a folder that they have not the faster GELU."""

LONGEST = 100_000
"""Tokens or features that nobody has; a configuration with more would only fill the memory."""

TEXT_FILES = ("config.json", *TOKENIZER_FILES)
"""Files of a text side of transformers, where a repository has them."""

TRUNK_ATTENTION = r"trunk\.blocks\.\d+\.attn\.(qkv|q_proj|k_proj|v_proj)"
"""timm's ViTs as image towers."""

RESNET_CONVOLUTIONS = r"layer[1-4]\.\d+\.conv2"

VIT = ModelRecord(
    name="clip",
    title="CLIP ViT-B/16",
    parameters=149.6,
    family="openclip",
    architecture="ViT-B-16-quickgelu",
    files=(
        ModelFile(
            name=WEIGHTS,
            sha256="4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
            repo="timm/vit_base_patch16_clip_224.openai",
            revision="977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        ),
    ),
    preprocessing=Preprocessing(size=224, mean=CLIP_MEAN, std=CLIP_STD),
    context_length=77,
    embedding=512,
    lora_targets=RESBLOCK_ATTENTION,
    licence="MIT",
    citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
    sources=("openai/CLIP, clip/clip.py and clip/model.py", "open_clip 3.3, pretrained.py and ViT-B-16-quickgelu.json"),
    notes="The baseline of mCE.",
)

RESNET = VIT.changed(
    name="clip-rn50",
    title="CLIP RN50",
    parameters=102.0,
    architecture="RN50-quickgelu",
    files=(
        ModelFile(
            name=WEIGHTS,
            sha256="da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
            repo="timm/resnet50_clip.openai",
            revision="ec3d92cf63a5f9d591f0d611b736895966c73076",
        ),
    ),
    embedding=1024,
    lora_targets=RESNET_CONVOLUTIONS,
    sources=("openai/CLIP, clip/clip.py and clip/model.py", "open_clip 3.3, pretrained.py and RN50-quickgelu.json"),
    notes="",
)

RECORDS = (VIT, RESNET)


class TextTower(nn.Module):
    """A model of open_clip without its image tower, its token ids under a name."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: Tensor) -> Tensor:
        features: Tensor = self.model.encode_text(text)
        return features


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make a model from its weights, and open_clip_config.json and its tokenizer's files if it has them."""
    on_the_hub = any(file.name == CONFIG for file in record.files)
    if on_the_hub:
        config, settings = read_config(files)
    else:
        config, settings = configuration(record.architecture), _pretrained(record.name)
    text_folder = _text_folder(files, config)
    try:
        model = network(config, text_folder)
    except BROKEN as error:
        raise UserError(f"{record.name} can't be built from its configuration: {one_line(error)}") from error
    if not random_init:
        state = _converted(model, read_tensors(files.weights()), record.name)
        load_tensors(model, state, model=record.name, computed=("attn_mask", ".position_ids"))
    preprocess = None
    if record.preprocessing.resize == "processor":
        preprocess = _processor(record.name, config, settings)
        preprocess.check_size(record)
    bias = 0.0 if getattr(model, "logit_bias", None) is None else model.logit_bias.item()
    image, scale = model.visual, model.logit_scale.exp().item()
    image.output_tokens = False  # CoCa's decoder wants them, and no score does
    del model.visual
    words = _tokenizer(record, config, text_folder)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        return {"text": words(texts)}

    return Towers(image, TextTower(model), tokenize, scale, bias, preprocess)


def network(config: Mapping[str, Any], text_folder: Path | None = None) -> Any:
    """Return what open_clip's factory makes of a configuration, with random weights and without asking for others.

    A text side of transformers is the one that config.json in `text_folder` describes, or in the repository that the
    configuration names.
    """
    text = config["text_cfg"]
    if text.get("hf_model_name") and text_folder is not None and (text_folder / "config.json").is_file():
        config = {**config, "text_cfg": {**text, "hf_model_name": str(text_folder)}}
    open_clip = package("open_clip")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}), encoding="utf-8")
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it warns of random weights, and has no others until `build` reads them
        try:
            return open_clip.create_model(
                f"local-dir:{folder}", load_weights=False, pretrained_image=False, pretrained_text=False
            )
        finally:
            logging.disable(disabled)


def _converted(model: Any, state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return weights under the names and shapes of `model`, as open_clip's `load_checkpoint` has them."""
    factory = package("open_clip.factory")
    try:
        state = factory.convert_state_dict(model, state)
        if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
            state = factory.convert_to_custom_text_state_dict(state)
        for scalar in ("logit_scale", "logit_bias"):
            parameter = getattr(model, scalar, None)
            if scalar in state and parameter is not None:
                state[scalar] = state[scalar].reshape(parameter.shape)
            elif scalar == "logit_bias" and parameter is not None:
                state[scalar] = torch.zeros_like(parameter.data)
        factory.resize_pos_embed(state, model)
        factory.resize_text_pos_embed(state, model)
    except BROKEN as error:
        raise UserError(f"the weights are not those of {name}: {one_line(error)}") from error
    return state


def _text_folder(files: Files, config: Mapping[str, Any]) -> Path | None:
    """Return the folder with the files of a text side of transformers, if the model has them with its weights."""
    text = config["text_cfg"]
    if not (text.get("hf_model_name") or text.get("hf_tokenizer_name")):
        return None
    paths = [path for path in map(files.optional, TEXT_FILES) if path is not None]
    return paths[0].parent if paths else None


def _tokenizer(record: ModelRecord, config: Mapping[str, Any], folder: Path | None) -> Any:
    """Return open_clip's tokenizer of a configuration, from `folder` if the tokenizer's files are there."""
    open_clip, text = package("open_clip"), config["text_cfg"]
    settings, name = text.get("tokenizer_kwargs", {}), text.get("hf_tokenizer_name")
    if not name:
        return open_clip.SimpleTokenizer(context_length=record.context_length, **settings)
    is_there = folder is not None and any((folder / file).is_file() for file in TOKENIZER_FILES)
    try:
        return package("open_clip.tokenizer").HFTokenizer(
            str(folder) if is_there else name,
            context_length=record.context_length,
            tokenizer_mode=text.get("tokenizer_mode"),
            **settings,
        )
    except (*BROKEN, ImportError) as error:
        raise UserError(
            f"{record.name} needs the tokenizer of {name}, beside its weights: {one_line(error)}"
        ) from error


def _processor(name: str, config: Mapping[str, Any], settings: Mapping[str, Any]) -> LibraryProcessor:
    """Return what open_clip does to images under the settings of a configuration or of its table of weights."""
    transform = package("open_clip.transform")
    try:
        merged = transform.merge_preprocess_dict(transform.PreprocessCfg(), dict(settings))
        size = config["vision_cfg"].get("image_size", merged["size"])
        merged["size"] = tuple(size) if isinstance(size, list) else size
        evaluate = transform.image_transform_v2(transform.PreprocessCfg(**merged), is_train=False)

        def process(images: list[Image.Image]) -> Tensor:
            return torch.stack([evaluate(image) for image in images])

        return LibraryProcessor(process, name=name, library=f"open_clip {json.dumps(merged, sort_keys=True)}")
    except BROKEN as error:
        raise UserError(f"the preprocessing of {name} can't be followed: {one_line(error)}") from error


def configuration(architecture: str) -> dict[str, Any]:
    """Return open_clip's configuration of an architecture.

    Raises:
        UserError: it has none of that name.
    """
    get_config = package("open_clip").get_model_config
    config: dict[str, Any] | None = get_config(architecture)
    for ending in (QUICK, SLOW):
        if config is None and architecture.endswith(ending):
            config = get_config(architecture.removesuffix(ending))
            config = config and {**config, "quick_gelu": ending == QUICK}
    if config is None:
        raise UserError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() names those it has")
    return config


def _pretrained(name: str) -> dict[str, Any]:
    """Return what open_clip's table says of the weights of ``open_clip:ARCHITECTURE/TAG``, nothing without a tag."""
    architecture, _, tag = name.removeprefix(PREFIX).partition("#")[0].partition("@")[0].partition("/")
    return (package("open_clip").get_pretrained_cfg(architecture, tag) if tag else None) or {}


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``open_clip:ARCHITECTURE/TAG@COMMIT`` or ``open_clip:hf-hub:OWNER/NAME@COMMIT``.

    With a `folder` of files neither needs a commit, nor the first a tag, if its name says which GELU it has:
    ``ViT-B-32-quickgelu`` or ``ViT-B-32-gelu``. A tag of weights that were trained with the faster GELU gets it,
    whichever of the two architectures is named. A file of weights can be named at the end: ``#pytorch_model.bin``.

    Raises:
        UserError: there are no such weights, the commit is missing, or nothing says which GELU they have.
    """
    model, _, file = name.removeprefix(PREFIX).partition("#")
    if file and not re.fullmatch(r"\w[\w.-]*\.(safetensors|bin|pt|pth)", file):
        raise UserError(
            f"{name!r} names the file {file!r}; have the name of one that ends in safetensors, bin, pt or pth"
        )
    model, _, commit = model.partition("@")
    if model.startswith(HUB):
        return _on_the_hub(name, model.removeprefix(HUB), commit, file, folder=folder, offline=offline)
    open_clip = package("open_clip")
    architecture = model.partition("/")[0]
    weights = _pretrained(name)
    if weights:
        architecture = architecture.removesuffix(QUICK) + (QUICK if weights.get("quick_gelu") else "")
    config = configuration(architecture)
    owner, repo, usual = [*weights.get("hf_hub", "").split("/"), "", ""][:3]
    if folder is None and not (owner and commit):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model.partition("/")[0]))
        raise UserError(
            f"{name!r} names no pinned weights: say {FORMS[0]} with one of open_clip's tags ({tags or 'none here'}),"
            " or give a folder"
        )
    if not weights and "quick_gelu" not in config and f"{architecture}{QUICK}" in open_clip.list_models():
        raise UserError(
            f"nothing says whether the weights of {name!r} were trained with the faster GELU: name their tag, or say"
            f" {PREFIX}{architecture}{QUICK} or {PREFIX}{architecture}{SLOW}"
        )
    files = (_weights(file or usual, pinned(f"{owner}/{repo}", commit) if owner else {}),)
    source = "open_clip's table of pretrained weights"
    return _record(name, model, architecture, files, config, weights, source)


def _on_the_hub(name: str, repo: str, commit: str, file: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[1]}, or give a folder")
    hub = pinned(repo, commit)
    unread = VIT.changed(name=name, files=(_weights(file, hub), ModelFile(name=CONFIG, **hub)))
    files = Files(unread, folder=folder, offline=offline)
    config, preprocess = read_config(files)
    return _record(name, repo, repo, files.as_read(), config, preprocess, f"its {CONFIG}")


def read_config(files: Files) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what open_clip_config.json says of the model and of its images.

    Raises:
        UserError: it describes no CLIP.
    """
    content, name = read_json(files.path(CONFIG)), files.record.name
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise UserError(f"{CONFIG} of {name} describes no CLIP: its model_cfg lacks embed_dim, vision_cfg or text_cfg")
    for key in ("vision_cfg", "text_cfg"):
        if not isinstance(config[key], dict):
            raise UserError(f"{CONFIG} of {name} has {key}: {config[key]!r}, which is none")
    context = config["text_cfg"].get("context_length", 77)
    for key, value in (("embed_dim", config["embed_dim"]), ("context_length", context)):
        if type(value) is not int or not 1 <= value <= LONGEST:
            raise UserError(f"{CONFIG} of {name} has {key}: {value!r}, which is none; have 1 to {LONGEST}")
    preprocess = content.get("preprocess_cfg") or {}
    if not isinstance(preprocess, dict):
        raise UserError(f"{CONFIG} of {name} has preprocess_cfg: {preprocess!r}, which is none")
    return config, preprocess


def _weights(file: str, hub: Mapping[str, str]) -> ModelFile:
    return ModelFile(name=file, **hub) if file else ModelFile(name=WEIGHTS, older_name=OLDER_WEIGHTS, **hub)


def _record(
    name: str,
    title: str,
    architecture: str,
    files: tuple[ModelFile, ...],
    config: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    source: str,
) -> ModelRecord:
    """Return the record of what open_clip's model configuration and `preprocess`, its settings of images, say."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    is_resnet = isinstance(vision.get("layers"), list | tuple)
    attention = TRUNK_ATTENTION if "timm_model_name" in vision else RESBLOCK_ATTENTION
    return ModelRecord(
        name=name,
        title=title,
        family="openclip",
        architecture=architecture,
        files=files,
        preprocessing=_processor(name, config, preprocess).settings,
        context_length=text.get("context_length", 77),
        embedding=config["embed_dim"],
        lora_targets=RESNET_CONVOLUTIONS if is_resnet else attention,
        licence="see the weights' own page",
        citation="Ilharco et al., OpenCLIP, 2021, doi 10.5281/zenodo.5143773",
        sources=(source,),
    )
