"""CLIP through open_clip: OpenAI's ViT-B/16 and RN50, any other of its weights, and any CLIP on the Hub in its form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.models import weights
from benchmark.models.extras import package
from benchmark.models.model import Towers
from benchmark.models.record import File, ModelError, Record, View
from benchmark.models.zoo import CLIP_MEAN, CLIP_RN50, CLIP_STD, PINNED, VIT_ATTENTION

PREFIX = PINNED[0]
HUB = "hf-hub:"
"""What open_clip too writes before a repository of the Hub that has open_clip_config.json."""

WEIGHTS, OLDER, CONFIG = "open_clip_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_config.json"
QUICK = "-quickgelu"
"""Ending of the architectures with OpenAI's faster GELU; their tensors are named and shaped like the others'."""

TRUNK_ATTENTION = r"trunk\.blocks\.\d+\.attn\.(qkv|q_proj|k_proj|v_proj)"
"""timm's ViTs as image towers."""


def network(config: Mapping[str, Any]) -> Any:
    """Return open_clip's model of a configuration, random, its towers apart as ``visual`` and ``text``."""
    return package("open_clip").CustomTextCLIP(**{key: value for key, value in config.items() if key != "custom_text"})


def configuration(architecture: str) -> dict[str, Any]:
    """Return open_clip's configuration of an architecture, or raise ModelError if it has none of that name."""
    config: dict[str, Any] | None = package("open_clip").get_model_config(architecture)
    if config is None and architecture.endswith(QUICK):
        config = package("open_clip").get_model_config(architecture.removesuffix(QUICK))
        config = config and {**config, "quick_gelu": True}
    if config is None:
        raise ModelError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() names those it has")
    return config


class TextTower(nn.Module):
    """open_clip's own text transformer, its token ids under a name."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, text: Tensor) -> Tensor:
        features: Tensor = self.text(text)
        return features


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make a CLIP from its weights, and open_clip_config.json if it has one; the vocabulary comes with open_clip."""
    open_clip = package("open_clip")
    known = len(record.files) == 1
    config = configuration(record.architecture) if known else weights.read_json(files.path(1))["model_cfg"]
    module = network(config)
    if not random_init:
        state = package("open_clip.model").convert_to_custom_text_state_dict(weights.read(files.path(0)))
        weights.fill(module, state, of=record.name, but=("text.attn_mask",))
    reading = config["text_cfg"].get("tokenizer_kwargs", {})
    words = open_clip.SimpleTokenizer(context_length=record.context_length, **reading)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        return {"text": words(texts)}

    return Towers(module.visual, TextTower(module.text), tokenize, module.logit_scale.exp().item())


def describe(name: str, *, folder: Path | None, offline: bool) -> Record:
    """Return the record of ``open_clip:ARCHITECTURE/TAG@COMMIT`` or ``open_clip:hf-hub:OWNER/NAME@COMMIT``.

    With a `folder` of files the first needs no tag, and neither a commit. A tag of weights that were trained with the
    faster GELU gets it, whichever of the two architectures is named.

    Raise ModelError if there are no such weights, their text side is not CLIP's, or the commit is missing.
    """
    wanted, _, commit = name.removeprefix(PREFIX).partition("@")
    if wanted.startswith(HUB):
        return _of_the_hub(name, wanted.removeprefix(HUB), commit, folder=folder, offline=offline)
    open_clip = package("open_clip")
    architecture, _, tag = wanted.partition("/")
    published = (open_clip.get_pretrained_cfg(architecture, tag) if tag else None) or {}
    if published:
        architecture = architecture.removesuffix(QUICK) + (QUICK if published.get("quick_gelu") else "")
    config = configuration(architecture)
    if folder is None and not (published.get("hf_hub") and commit):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(wanted.partition("/")[0]))
        raise ModelError(
            f"{name!r} names no pinned weights: say {PREFIX}ARCHITECTURE/TAG@COMMIT with one of open_clip's tags"
            f" ({tags or 'none here'}), or give a folder"
        )
    hub = published.get("hf_hub", "")
    owner, repo, file = [*hub.split("/"), "", ""][:3]
    pinned = {"repo": f"{owner}/{repo}", "revision": commit} if hub and commit else {}
    return _record(name, architecture, config, published, (_weights(file, pinned),), wanted)


def _of_the_hub(name: str, repo: str, commit: str, *, folder: Path | None, offline: bool) -> Record:
    if folder is None and not commit:
        raise ModelError(f"{name!r} has no commit: say {PREFIX}{HUB}OWNER/NAME@COMMIT, or give a folder")
    pinned = {"repo": repo, "revision": commit} if commit else {}
    files = (_weights("", pinned), File(CONFIG, **pinned))
    here = weights.Files(CLIP_RN50.but(name=name, files=files), folder=folder, offline=offline)
    read = weights.read_json(here.path(1))
    config = read.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise ModelError(f"{CONFIG} of {name} describes no CLIP: its model_cfg lacks embed_dim, vision_cfg or text_cfg")
    return _record(name, repo, config, read.get("preprocess_cfg", {}), here.taken(), repo)


def _weights(named: str, pinned: Mapping[str, str]) -> File:
    return File(named, **pinned) if named else File(WEIGHTS, otherwise=OLDER, **pinned)


def _record(
    name: str,
    architecture: str,
    config: Mapping[str, Any],
    seen: Mapping[str, Any],
    files: tuple[File, ...],
    title: str,
) -> Record:
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "multimodal_cfg" in config or "hf_model_name" in text or "hf_tokenizer_name" in text:
        raise ModelError(f"{name} has not CLIP's own text side and tokenizer, and no family of benchmark/models has it")
    view = View(
        size=vision["image_size"],
        mean=tuple(seen.get("mean", CLIP_MEAN)),
        std=tuple(seen.get("std", CLIP_STD)),
        interpolation=seen.get("interpolation", "bicubic"),
        resize=seen.get("resize_mode", "shortest"),
    )
    if view.interpolation not in ("bicubic", "bilinear") or view.resize not in ("shortest", "squash"):
        raise ModelError(
            f"{name} resizes by {view.interpolation}, {view.resize}, which benchmark/models/pixels.py lacks"
        )
    is_resnet = isinstance(vision.get("layers"), list | tuple)
    attention = TRUNK_ATTENTION if "timm_model_name" in vision else VIT_ATTENTION
    return Record(
        name=name,
        title=title,
        family="openclip",
        architecture=architecture,
        files=files,
        view=view,
        context_length=text.get("context_length", 77),
        embedding=config["embed_dim"],
        lora_targets=CLIP_RN50.lora_targets if is_resnet else attention,
        licence="see the weights' own page",
        citation="Ilharco et al., OpenCLIP, 2021, doi 10.5281/zenodo.5143773",
        sources=("open_clip's table of pretrained weights" if len(files) == 1 else f"its {CONFIG}",),
    )
