"""UniMedCLIP: CLIP's ViT with quick GELU and BiomedBERT, base or large, over 256 tokens (Khattak et al. 2024)."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.models import bert, openclip, weights
from benchmark.models.model import Towers
from benchmark.models.record import Record


class Unimedclip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        assert record.bert is not None
        self.visual = openclip.network(openclip.configuration(record.architecture)).visual
        self.text_encoder = bert.ClsTower(record.bert, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start (Radford et al. 2021, section 2.5)


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make UniMedCLIP from its checkpoint and BiomedBERT's vocab.txt."""
    module, tokenize = bert.pair(Unimedclip, record, files, random_init=random_init, text="text_encoder.transformer")
    return Towers(module.visual, module.text_encoder, tokenize, module.logit_scale.exp().item())
