"""UniMedCLIP: CLIP's ViT with quick GELU and BiomedBERT, base or large, over 256 tokens (Khattak et al. 2024)."""

from __future__ import annotations

from dataclasses import replace

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
        self.visual = openclip.network(record.architecture).visual
        self.text_encoder = bert.ClsTower(record.bert, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start (Radford et al. 2021, section 2.5)


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make UniMedCLIP from its checkpoint and BiomedBERT's vocab.txt."""
    assert record.bert is not None
    state = None if random_init else weights.read(files.path(0))
    if state is not None and (words := state.get(f"text_encoder.transformer.{bert.EMBEDDINGS}")) is not None:
        record = record.but(bert=replace(record.bert, vocabulary=len(words)))
    assert record.bert is not None
    module = Unimedclip(record)
    if state is not None:
        weights.fill(module, state, of=record.name, but=bert.UNSTORED)
    tokenize = bert.tokenizer(files.path(1), lowercase=record.bert.lowercase, context_length=record.context_length)
    return Towers(module.visual, module.text_encoder, tokenize, module.logit_scale.exp().item())
