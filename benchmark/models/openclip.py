"""CLIP through open_clip: OpenAI's ViT-B/16 and RN50, and any other of its models by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from benchmark.models import weights
from benchmark.models.extras import package
from benchmark.models.model import Towers
from benchmark.models.record import File, ModelError, Record, View
from benchmark.models.zoo import CLIP_MEAN, CLIP_RN50, CLIP_STD, VIT_ATTENTION

PREFIX = "open_clip:"


def network(architecture: str) -> Any:
    """Return open_clip's model of that name, random, its towers apart as ``visual`` and ``text``."""
    open_clip = package("open_clip")
    if open_clip.get_model_config(architecture) is None:
        raise ModelError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() names those it has")
    return open_clip.create_model(architecture, pretrained=None, load_weights=False, force_custom_text=True)


class TextTower(nn.Module):
    """open_clip's own text transformer, its token ids under a name."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, text: Tensor) -> Tensor:
        features: Tensor = self.text(text)
        return features


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make a CLIP from open_clip_model.safetensors; the vocabulary comes with open_clip."""
    open_clip = package("open_clip")
    module = network(record.architecture)
    if not random_init:
        state = package("open_clip.model").convert_to_custom_text_state_dict(weights.read(files.path(0)))
        weights.fill(module, state, of=record.name, but=("text.attn_mask",))
    words = open_clip.SimpleTokenizer(context_length=record.context_length)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        return {"text": words(texts)}

    return Towers(module.visual, TextTower(module.text), tokenize, module.logit_scale.exp().item())


def describe(name: str, *, local: bool) -> Record:
    """Return the record of ``open_clip:ARCHITECTURE/TAG@COMMIT``; `local` weights need no tag and commit.

    Raise ModelError if open_clip has no such weights, their text side is not CLIP's, or the commit is missing.
    """
    open_clip = package("open_clip")
    wanted, _, commit = name.removeprefix(PREFIX).partition("@")
    architecture, _, tag = wanted.partition("/")
    config = open_clip.get_model_config(architecture)
    if config is None or "hf_model_name" in config["text_cfg"] or "hf_tokenizer_name" in config["text_cfg"]:
        raise ModelError(f"open_clip has no architecture {architecture!r} with CLIP's own text side")
    published = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if not local and not (published and published.get("hf_hub") and commit):
        raise ModelError(
            f"{name!r} names no pinned weights: say {PREFIX}ARCHITECTURE/TAG@COMMIT with one of open_clip's tags"
            f" ({', '.join(open_clip.list_pretrained_tags_by_model(architecture)) or 'none here'}), or give a folder"
        )
    repo = published["hf_hub"].strip("/") if commit else None
    vision, text = config["vision_cfg"], config["text_cfg"]
    is_vit = not isinstance(vision["layers"], list | tuple) if "layers" in vision else False
    return Record(
        name=name,
        title=wanted,
        family="openclip",
        architecture=architecture,
        files=(File("open_clip_model.safetensors", repo=repo, revision=commit or None),),
        view=View(
            size=vision["image_size"],
            mean=tuple(published.get("mean", CLIP_MEAN)),
            std=tuple(published.get("std", CLIP_STD)),
            interpolation=published.get("interpolation", "bicubic"),
            resize=published.get("resize_mode", "shortest"),
        ),
        context_length=text.get("context_length", 77),
        embedding=config["embed_dim"],
        lora_targets=VIT_ATTENTION if is_vit else CLIP_RN50.lora_targets,
        licence="see the weights' own page",
        citation="Ilharco et al., OpenCLIP, 2021, doi 10.5281/zenodo.5143773",
        sources=("open_clip's table of pretrained weights",),
    )
