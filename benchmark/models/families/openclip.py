"""CLIP through open_clip: OpenAI's ViT-B/16 and RN50, any other of its weights, and any CLIP on the Hub in its form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files, read_json
from benchmark.models.components.packages import package
from benchmark.models.model import Towers
from benchmark.models.record import CLIP_MEAN, CLIP_STD, ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError
from pipeline.io.records import explain

PREFIX = "open_clip:"
HUB = "hf-hub:"
"""What open_clip too writes before a repository of the Hub that has open_clip_config.json."""

FORMS = (f"{PREFIX}ARCHITECTURE/TAG@COMMIT", f"{PREFIX}{HUB}OWNER/NAME@COMMIT")

WEIGHTS, OLDER_WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_config.json"
QUICK = "-quickgelu"
"""Ending of the architectures with OpenAI's faster GELU; their tensors are named and shaped like the others'."""

VIT_ATTENTION = r"transformer\.resblocks\.\d+\.attn"
"""open_clip's ViT: PEFT puts LoRA on the joint q, k, v matrix and on the output of every block's attention."""

TRUNK_ATTENTION = r"trunk\.blocks\.\d+\.attn\.(qkv|q_proj|k_proj|v_proj)"
"""timm's ViTs as image towers."""

RESNET_CONVOLUTIONS = r"layer[1-4]\.\d+\.conv2"

VIT = ModelRecord(
    name="clip",
    title="CLIP ViT-B/16",
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
    lora_targets=VIT_ATTENTION,
    licence="MIT",
    citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
    sources=("openai/CLIP, clip/clip.py and clip/model.py", "open_clip 3.3, pretrained.py and ViT-B-16-quickgelu.json"),
    notes="The baseline of mCE.",
)

RESNET = VIT.changed(
    name="clip-rn50",
    title="CLIP RN50",
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
    """open_clip's own text transformer, its token ids under a name."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, text: Tensor) -> Tensor:
        features: Tensor = self.text(text)
        return features


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make a CLIP from its weights, and open_clip_config.json if it has one; the vocabulary comes with open_clip."""
    on_the_hub = any(file.name == CONFIG for file in record.files)
    config = read_json(files.path(CONFIG))["model_cfg"] if on_the_hub else configuration(record.architecture)
    model = network(config)
    if not random_init:
        state = package("open_clip.model").convert_to_custom_text_state_dict(read_tensors(files.weights()))
        load_tensors(model, state, model=record.name, computed=("text.attn_mask",))
    settings = config["text_cfg"].get("tokenizer_kwargs", {})
    words = package("open_clip").SimpleTokenizer(context_length=record.context_length, **settings)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        return {"text": words(texts)}

    return Towers(model.visual, TextTower(model.text), tokenize, model.logit_scale.exp().item())


def network(config: Mapping[str, Any]) -> Any:
    """Return open_clip's model of a configuration, with random weights, its towers apart as ``visual`` and ``text``."""
    return package("open_clip").CustomTextCLIP(**{key: value for key, value in config.items() if key != "custom_text"})


def configuration(architecture: str) -> dict[str, Any]:
    """Return open_clip's configuration of an architecture.

    Raises:
        UserError: it has none of that name.
    """
    get_config = package("open_clip").get_model_config
    config: dict[str, Any] | None = get_config(architecture)
    if config is None and architecture.endswith(QUICK):
        config = get_config(architecture.removesuffix(QUICK))
        config = config and {**config, "quick_gelu": True}
    if config is None:
        raise UserError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() names those it has")
    return config


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``open_clip:ARCHITECTURE/TAG@COMMIT`` or ``open_clip:hf-hub:OWNER/NAME@COMMIT``.

    With a `folder` of files the first needs no tag, and neither a commit. A tag of weights that were trained with the
    faster GELU gets it, whichever of the two architectures is named.

    Raises:
        UserError: there are no such weights, their text side is not CLIP's, or the commit is missing.
    """
    model, _, commit = name.removeprefix(PREFIX).partition("@")
    if model.startswith(HUB):
        return _on_the_hub(name, model.removeprefix(HUB), commit, folder=folder, offline=offline)
    open_clip = package("open_clip")
    architecture, _, tag = model.partition("/")
    weights = (open_clip.get_pretrained_cfg(architecture, tag) if tag else None) or {}
    if weights:
        architecture = architecture.removesuffix(QUICK) + (QUICK if weights.get("quick_gelu") else "")
    config = configuration(architecture)
    owner, repo, file = [*weights.get("hf_hub", "").split("/"), "", ""][:3]
    if folder is None and not (owner and commit):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model.partition("/")[0]))
        raise UserError(
            f"{name!r} names no pinned weights: say {FORMS[0]} with one of open_clip's tags ({tags or 'none here'}),"
            " or give a folder"
        )
    files = (_weights(file, pinned(f"{owner}/{repo}", commit) if owner else {}),)
    return _record(name, model, architecture, files, config, weights, "open_clip's table of pretrained weights")


def _on_the_hub(name: str, repo: str, commit: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[1]}, or give a folder")
    hub = pinned(repo, commit)
    unread = VIT.changed(name=name, files=(_weights("", hub), ModelFile(name=CONFIG, **hub)))
    files = Files(unread, folder=folder, offline=offline)
    content = read_json(files.path(CONFIG))
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise UserError(f"{CONFIG} of {name} describes no CLIP: its model_cfg lacks embed_dim, vision_cfg or text_cfg")
    return _record(name, repo, repo, files.as_read(), config, content.get("preprocess_cfg", {}), f"its {CONFIG}")


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
    if "multimodal_cfg" in config or "hf_model_name" in text or "hf_tokenizer_name" in text:
        raise UserError(f"{name} has not CLIP's own text side and tokenizer, and no family of models here has it")
    try:
        preprocessing = Preprocessing(
            size=vision["image_size"],
            mean=tuple(preprocess.get("mean", CLIP_MEAN)),
            std=tuple(preprocess.get("std", CLIP_STD)),
            interpolation=preprocess.get("interpolation", "bicubic"),
            resize=preprocess.get("resize_mode", "shortest"),
        )
    except ValidationError as wrong:
        raise UserError(f"the preprocessing of {name}: {explain(wrong.errors()[0], Preprocessing)}") from None
    is_resnet = isinstance(vision.get("layers"), list | tuple)
    attention = TRUNK_ATTENTION if "timm_model_name" in vision else VIT_ATTENTION
    return ModelRecord(
        name=name,
        title=title,
        family="openclip",
        architecture=architecture,
        files=files,
        preprocessing=preprocessing,
        context_length=text.get("context_length", 77),
        embedding=config["embed_dim"],
        lora_targets=RESNET_CONVOLUTIONS if is_resnet else attention,
        licence="see the weights' own page",
        citation="Ilharco et al., OpenCLIP, 2021, doi 10.5281/zenodo.5143773",
        sources=(source,),
    )
