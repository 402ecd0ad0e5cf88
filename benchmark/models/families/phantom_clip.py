"""Small CLIPs that anybody can pre-train in minutes on two cores, made by ``pretrain``.

Image towers see means of 2 x 2 pixels, 112 a side, where the strongest pixelate (56 a side) still shows. phantom-clip,
the default baseline, has convolutions with GroupNorm, since BatchNorm would take its statistics from corrupted batches;
phantom-clip-vit is CLIP's vision transformer, made small. Text tower: hashed words, averaged, through two linear
layers; no vocabulary file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.model import Towers
from benchmark.models.record import ATTENTION, ModelFile, ModelRecord, Preprocessing
from pipeline.config.benchmark import PHANTOM_CLIP, PHANTOM_CLIP_VIT

WEIGHTS = "phantom_clip.safetensors"
"""Name of the checkpoint that ``pretrain`` writes: both towers, keys ``image.*``, ``text.*`` and ``log_scale``."""

WIDTHS = (24, 48, 96, 128)
"""Of phantom-clip: channels at strides 4, 8, 16 and 32 of the 224 pixels."""

PATCH, WIDTH, LAYERS, HEADS = 14, 96, 4, 4
"""Of phantom-clip-vit: patches of the 112 pixels, and CLIP's transformer over them and one token more."""

EMBEDDING = 64
BUCKETS = 1024
"""Rows of the word table; a word's row is its CRC-32 modulo this, row 0 is padding."""

RECORD = ModelRecord(
    name=PHANTOM_CLIP,
    title="phantom-CLIP",
    family="phantom_clip",
    architecture="conv-groupnorm-112",
    files=(ModelFile(name=WEIGHTS, origin="`python -m benchmark.pretrain`"),),
    preprocessing=Preprocessing(
        size=224, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), interpolation="bilinear", resize="squash"
    ),
    context_length=32,
    embedding=EMBEDDING,
    lora_targets=r"stages\.\d+\.convolution|project",
    licence="MIT",
    citation="This project",
    sources=("benchmark/models/families/phantom_clip.py",),
    notes="Small enough to be pre-trained in minutes on two cores; the default baseline.",
)

VIT = RECORD.changed(
    name=PHANTOM_CLIP_VIT,
    title="phantom-CLIP ViT",
    architecture="vit-14-112",
    lora_targets=ATTENTION,
    notes="The same with a small vision transformer, for grids of tuned models that take minutes (docs/paper.md).",
)

RECORDS = (RECORD, VIT)


class Block(nn.Module):
    """Convolution 3 x 3, GroupNorm in groups of eight channels, ReLU; a residual where the shape stays."""

    def __init__(self, channels: int, out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(out // 8, out)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.convolution(x))
        return torch.relu(x + y) if self.residual else torch.relu(y)


class ImageTower(nn.Module):
    """float32 (N, 3, 224, 224) -> features float32 (N, EMBEDDING)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.stages = nn.Sequential(
            Block(3, first, stride=2),
            Block(first, second, stride=2),
            Block(second, third, stride=2),
            Block(third, third),
            Block(third, fourth, stride=2),
            Block(fourth, fourth),
        )
        self.project = nn.Linear(2 * fourth, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        pooled = functional.avg_pool2d(images.contiguous(memory_format=torch.channels_last), 2)
        x = self.stages(pooled)
        features: Tensor = self.project(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        return features


class VisionTransformer(nn.Module):
    """float32 (N, 3, 224, 224) -> features float32 (N, EMBEDDING), by CLIP's image side of transformers."""

    def __init__(self) -> None:
        super().__init__()
        transformers = package("transformers")
        config = transformers.CLIPVisionConfig(
            image_size=112,
            patch_size=PATCH,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            projection_dim=EMBEDDING,
        )
        self.network = transformers.CLIPVisionModelWithProjection(config)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(pixel_values=functional.avg_pool2d(images, 2)).image_embeds
        return features


class TextTower(nn.Module):
    """Word rows int64 (K, L), 0 where there is none -> features float32 (K, EMBEDDING)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(BUCKETS, EMBEDDING, padding_idx=0)
        self.mix = nn.Sequential(nn.Linear(EMBEDDING, 2 * EMBEDDING), nn.GELU(), nn.Linear(2 * EMBEDDING, EMBEDDING))

    def forward(self, words: Tensor) -> Tensor:
        count = (words != 0).sum(dim=1, keepdim=True).clamp(min=1)
        features: Tensor = self.mix(self.words(words).sum(dim=1) / count.sqrt())
        return features


def tokenize(texts: Sequence[str]) -> dict[str, Tensor]:
    """Return ``words`` int64 (K, context length): the row of each lower-case word or number, cut at the context."""
    length = RECORD.context_length
    rows = torch.zeros((len(texts), length), dtype=torch.int64)
    for row, text in enumerate(texts):
        for column, word in enumerate(re.findall(r"[a-z0-9]+", text.lower())[:length]):
            rows[row, column] = 1 + zlib.crc32(word.encode()) % (BUCKETS - 1)
    return {"words": rows}


def towers(record: ModelRecord = RECORD, *, seed: int = 0) -> tuple[nn.Module, TextTower]:
    """Return both towers with the weights that `seed` gives, leaving torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image = VisionTransformer() if record.architecture == VIT.architecture else ImageTower()
        return image.to(memory_format=torch.channels_last), TextTower()  # type: ignore[call-overload]


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make one from its phantom_clip.safetensors."""
    image, text = towers(record)
    scale = 20.0
    if not random_init:
        tensors = read_tensors(files.weights())
        scale = float(tensors.pop("log_scale", torch.tensor(scale).log()).exp())
        load_tensors(nn.ModuleDict({"image": image, "text": text}), tensors, model=record.name)
    return Towers(image, text, tokenize, scale)
