"""Image encoders without a text side, of transformers or timm on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files, one_line, parse, read_json
from benchmark.models.components.packages import package
from benchmark.models.components.pretrained import CONFIG, WEIGHTS, read_config, read_network
from benchmark.models.components.processors import PREPROCESSOR, read_image_processor
from benchmark.models.model import Towers
from benchmark.models.record import Channels, ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError

PREFIX = "encoder:"
FORMS = (f"{PREFIX}OWNER/NAME@COMMIT",)

KINDS = ("convnext", "dinov2", "dinov2_with_registers", "dinov3_vit", "resnet", "vit")
"""Model types of transformers whose features are tested against the library's own class."""

DINOV2 = ModelRecord(
    name="dinov2",
    title="DINOv2 ViT-B/14",
    kind="encoder",
    family="encoder",
    architecture="dinov2",
    files=tuple(
        ModelFile(name=name, repo="facebook/dinov2-base", revision="f9e44c814b77203eaa57a6bdbbd535f21ede1415")
        for name in (CONFIG, PREPROCESSOR, WEIGHTS)
    ),
    preprocessing=Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1), resize="processor"),
    context_length=0,
    embedding=768,
    lora_targets="",
    licence="Apache-2.0",
    parameters=86.6,
    citation="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024, arXiv 2304.07193",
    sources=("embeddings-benchmark/mteb, docs/overview/available_models/image.md, for commit, size and licence",),
    notes="Has no text side: scored with a probe.",
)

RAD_DINO = DINOV2.changed(
    name="rad-dino",
    title="RAD-DINO",
    files=tuple(
        ModelFile(name=name, repo="microsoft/rad-dino", revision="110cbc18d5133582e320b43d53bf5c44e410c936")
        for name in (CONFIG, PREPROCESSOR, WEIGHTS)
    ),
    preprocessing=DINOV2.preprocessing.changed(size=518),
    licence="MSRLA (Microsoft Research licence agreement)",
    citation="Pérez-García et al., RAD-DINO: Exploring Scalable Medical Image Encoders Beyond Text Supervision,"
    " arXiv 2401.10815, 2024",
    sources=("microsoft/rad-dino, model card",),
    notes="DINOv2 trained on chest X-rays. Has no text side: scored with a probe.",
)

RECORDS: tuple[ModelRecord, ...] = (DINOV2, RAD_DINO)


class ImageTower(nn.Module):
    """A network of transformers: the state of its first token, or what it pools of a map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixel_values=pixels)
        states: Tensor = output.last_hidden_state
        pooled: Tensor = states[:, 0] if states.ndim == 3 else output.pooler_output.flatten(1)
        return pooled


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``encoder:OWNER/NAME@COMMIT``, read from its configuration.

    With a `folder` the commit may be left out.

    Raises:
        UserError: the files can't be had, or are of no kind in `KINDS` and not timm's.
    """
    repo, _, commit = name.removeprefix(PREFIX).partition("@")
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[0]}, or give a folder")
    unread = DINOV2.changed(
        name=name,
        title=repo,
        files=(ModelFile(name=CONFIG, **pinned(repo, commit)),),
        licence="see the weights' own page",
        parameters=None,
        citation="see the weights' own page",
        sources=("its config.json",),
    )
    files = Files(unread, folder=folder, offline=offline)
    content = read_json(files.path(CONFIG))
    if "architecture" in content:
        timm_config = parse(content, _TimmConfig, f"{CONFIG} of {name}")
        return unread.changed(
            architecture=timm_config.architecture,
            preprocessing=_preprocessing(timm_config.pretrained_cfg, name),
            embedding=timm_config.num_features,
        )
    config = read_config(files, KINDS)
    width = config.get("hidden_size") or config.get("hidden_sizes") or 0
    width = width[-1] if isinstance(width, list) else width
    if not isinstance(width, int):
        raise UserError(f"{CONFIG} of {name} has a hidden_size or hidden_sizes of {width!r}, which is no width")
    return unread.changed(
        architecture=config["model_type"],
        preprocessing=read_image_processor(files).settings,
        embedding=width,
    )


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make an encoder from config.json and model.safetensors, and preprocessor_config.json if it is transformers'."""
    content = read_json(files.path(CONFIG))
    if "architecture" in content:
        return _towers(_timm_network(record, content, files, random_init=random_init))
    config, processor = read_config(files, KINDS), read_image_processor(files)
    processor.check_size(record)
    options = {"add_pooling_layer": False} if config["model_type"] == "vit" else {}
    network = read_network(files, "AutoModel", random_init=random_init, heads=False, **options)
    return _towers(ImageTower(network.float()))._replace(preprocess=processor)


def _towers(image: nn.Module) -> Towers:
    return Towers(image, nn.Identity(), lambda texts: {}, 1.0)


class _TimmSettings(BaseModel):
    """`pretrained_cfg` of timm's config.json, with the defaults of `timm.data.resolve_data_config`."""

    input_size: tuple[Literal[3], int, int]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    crop_pct: float = 0.875
    crop_mode: Literal["center", "squash"] = "center"
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)
    classifier: str | tuple[str, ...] | None = None


class _TimmConfig(BaseModel):
    """What is read here of timm's config.json."""

    architecture: str
    num_features: int
    pretrained_cfg: _TimmSettings
    model_args: dict[str, Any] = {}


def _preprocessing(settings: _TimmSettings, name: str) -> Preprocessing:
    """Return what timm's transform of evaluation does."""
    _, height, width = settings.input_size
    if height != width:
        raise UserError(f"{name} takes images of {height} x {width} pixels, which are no square")
    resized = math.floor(height / settings.crop_pct)
    return Preprocessing(
        size=height,
        mean=settings.mean,
        std=settings.std,
        interpolation=settings.interpolation,
        resize="squash" if settings.crop_mode == "squash" else "shortest",
        resized=None if resized == height else resized,
    )


def _timm_network(record: ModelRecord, content: Mapping[str, Any], files: Files, *, random_init: bool) -> nn.Module:
    config = parse(content, _TimmConfig, f"{CONFIG} of {record.name}")
    try:
        network: nn.Module = package("timm").create_model(config.architecture, num_classes=0, **config.model_args)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"timm can't make {record.name}: {one_line(error)}") from error
    if not random_init:
        heads = config.pretrained_cfg.classifier or ()
        heads = (heads,) if isinstance(heads, str) else heads
        tensors = read_tensors(files.path(WEIGHTS))
        kept = {key: value for key, value in tensors.items() if key.rpartition(".")[0] not in heads}
        load_tensors(network, kept, model=record.name)
    return network
