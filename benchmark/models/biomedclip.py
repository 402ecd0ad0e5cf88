"""BiomedCLIP: timm's ViT-B/16 trunk with a linear head, and PubMedBERT over 256 tokens (Zhang et al. 2023)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from benchmark.models import bert, weights
from benchmark.models.extras import package
from benchmark.models.model import Towers
from benchmark.models.record import Record


class TimmTower(nn.Module):
    """A timm trunk and a linear head; tensors are named as in open_clip's ``TimmModel``."""

    def __init__(self, trunk: str, embedding: int, size: int) -> None:
        super().__init__()
        timm = package("timm")
        self.trunk = timm.create_model(trunk, pretrained=False, num_classes=0, img_size=size)
        self.head = nn.Sequential(OrderedDict(proj=nn.Linear(self.trunk.num_features, embedding, bias=False)))

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.head(self.trunk(pixels))
        return features


class Biomedclip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        assert record.bert is not None
        self.visual = TimmTower(record.architecture, record.embedding, record.view.size)
        self.text = bert.ClsTower(record.bert, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start (Radford et al. 2021, section 2.5)


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make BiomedCLIP from open_clip_pytorch_model.bin and vocab.txt."""
    module, tokenize = bert.pair(Biomedclip, record, files, random_init=random_init, text="text.transformer")
    return Towers(module.visual, module.text, tokenize, module.logit_scale.exp().item())
