"""UniMedCLIP: CLIP's ViT with quick GELU and BiomedBERT, base or large, over 256 tokens (Khattak et al. 2024)."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.models.components import bert
from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.model import Towers
from benchmark.models.record import CLIP_MEAN, CLIP_STD, RESBLOCK_ATTENTION, Bert, ModelFile, ModelRecord, Preprocessing

BASE = ModelRecord(
    name="unimedclip",
    title="UniMedCLIP ViT-B/16",
    parameters=195.9,
    family="unimedclip",
    architecture="ViT-B-16-quickgelu",
    files=(
        ModelFile(
            name="unimed-clip-vit-b16.pt",
            repo="UzairK/unimed-clip-vit-b16",
            revision="84a67cb0331b511b630136e4878beaa5a3fdc657",
        ),
        bert.PUBMED_VOCABULARY,
    ),
    preprocessing=Preprocessing(size=224, mean=CLIP_MEAN, std=CLIP_STD),
    context_length=256,
    embedding=512,
    lora_targets=RESBLOCK_ATTENTION,
    licence="CC-BY-NC-4.0",
    citation="Khattak et al., UniMed-CLIP: Towards a Unified Image-Text Pretraining Paradigm for Diverse Medical"
    " Imaging Modalities, arXiv 2412.10372, 2024",
    sources=(
        "mbzuai-oryx/UniMed-CLIP, LICENSE, README.md, run_inference.py, src/open_clip/model.py and transform.py",
        "README.md of the weights' repository at the pinned commit",
    ),
    bert=bert.PUBMED_BERT,
    notes="Its checkpoint holds its training's arguments too; they are read as inert stand-ins.",
)

LARGE = BASE.changed(
    name="unimedclip-l14",
    title="UniMedCLIP ViT-L/14-336",
    parameters=640.0,
    architecture="ViT-L-14-336-quickgelu",
    files=(
        ModelFile(
            name="unimed_clip_vit_l14_large_text_encoder.pt",
            origin="https://mbzuaiac-my.sharepoint.com/:u:/g/personal/uzair_khattak_mbzuai_ac_ae/"
            "Ea2CZ1dc_B9PsTHp5kAeUBsB-bncfRmjra63YDM0bn9JRw",
        ),
        ModelFile(
            name=bert.VOCABULARY,
            repo="microsoft/BiomedNLP-BiomedBERT-large-uncased-abstract",
            revision="f18ff5ec008285849e7c467b2618262b0def6238",
        ),
    ),
    preprocessing=Preprocessing(size=336, mean=CLIP_MEAN, std=CLIP_STD),
    embedding=768,
    bert=Bert(vocabulary=30522, width=1024, layers=24, clean=True),
    notes="Not on the Hub with this text encoder: download it and give the folder. Images are enlarged to 336.",
)

LARGE_WITH_BASE_TEXT = LARGE.changed(
    name="unimedclip-l14-base",
    title="UniMedCLIP ViT-L/14-336, base text",
    parameters=414.4,
    files=(
        ModelFile(
            name="unimed_clip_vit_l14_base_text_encoder.pt",
            repo="UzairK/unimed_clip_vit_l14_base_text_encoder",
            revision="70daa9bfc4d4d9bc64f1b5f76db9f1c0e4850d85",
        ),
        bert.PUBMED_VOCABULARY,
    ),
    bert=bert.PUBMED_BERT,
    notes="Images are enlarged to 336.",
)

RECORDS = (BASE, LARGE, LARGE_WITH_BASE_TEXT)


class UniMedClip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: ModelRecord, size: Bert) -> None:
        super().__init__()
        open_clip = package("open_clip")
        self.visual = open_clip.create_model(record.architecture, pretrained=None, load_weights=False).visual
        self.text_encoder = bert.ClsTower(size, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # CLIP's start (Radford et al. 2021, section 2.5)


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make UniMedCLIP from its checkpoint and BiomedBERT's vocab.txt."""
    model, tokenize = bert.build_pair(
        UniMedClip, record, files, random_init=random_init, text="text_encoder.transformer"
    )
    return Towers(model.visual, model.text_encoder, tokenize, model.logit_scale.exp().item())
