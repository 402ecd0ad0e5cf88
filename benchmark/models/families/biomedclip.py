"""BiomedCLIP: timm's ViT-B/16 trunk with a linear head, and PubMedBERT over 256 tokens (Zhang et al. 2023)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from benchmark.models.components import bert
from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.model import Towers
from benchmark.models.record import CLIP_MEAN, CLIP_STD, Bert, ModelFile, ModelRecord, Preprocessing

RECORDS = (
    ModelRecord(
        name="biomedclip",
        title="BiomedCLIP",
        parameters=195.9,
        family="biomedclip",
        architecture="vit_base_patch16_224",
        files=(
            ModelFile(
                name="open_clip_pytorch_model.bin",
                sha256="52cc993c5c5ff962bd0c60931874bc001e7e9b41666a385530f4a036294576be",
                repo="microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
                revision="9f341de24bfb00180f1b847274256e9b65a3a32e",
            ),
            bert.PUBMED_VOCABULARY,
        ),
        preprocessing=Preprocessing(size=224, mean=CLIP_MEAN, std=CLIP_STD),
        context_length=256,
        embedding=512,
        lora_targets=r"trunk\.blocks\.\d+\.attn\.qkv",
        licence="MIT",
        citation="Zhang et al., BiomedCLIP: a multimodal biomedical foundation model pretrained from fifteen million"
        " scientific image-text pairs, arXiv 2303.00915, 2023",
        sources=("open_clip_config.json of the weights' repository",),
        bert=bert.PUBMED_BERT,
    ),
)


class TimmTower(nn.Module):
    """A timm trunk and a linear head; tensors are named as in open_clip's ``TimmModel``."""

    def __init__(self, trunk: str, embedding: int, size: int) -> None:
        super().__init__()
        self.trunk = package("timm").create_model(trunk, pretrained=False, num_classes=0, img_size=size)
        self.head = nn.Sequential(OrderedDict(proj=nn.Linear(self.trunk.num_features, embedding, bias=False)))

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.head(self.trunk(pixels))
        return features


class BiomedClip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: ModelRecord, size: Bert) -> None:
        super().__init__()
        self.visual = TimmTower(record.architecture, record.embedding, record.preprocessing.size)
        self.text = bert.ClsTower(size, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start (Radford et al. 2021, section 2.5)


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make BiomedCLIP from open_clip_pytorch_model.bin and vocab.txt."""
    model, tokenize = bert.build_pair(BiomedClip, record, files, random_init=random_init, text="text.transformer")
    return Towers(model.visual, model.text, tokenize, model.logit_scale.exp().item())
