"""RMedCLIP: LoRA on the image tower of BiomedCLIP or MedCLIP (Imam et al. 2025), tuned here or published."""

from __future__ import annotations

from benchmark.models.record import CLIP_MEAN, CLIP_STD, AdapterRecord, Preprocessing

CITATION = (
    "Imam, Marew, Yaqub, On the Robustness of Medical Vision-Language Models: Are they Truly Generalizable?,"
    " MIUA 2025, arXiv 2505.15425"
)

# BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, `get_transform`: both towers were tuned and are evaluated on this, whatever
# transform `get_dataloader` is given; so in every commit that has a tuned model (08ec053 to 5676e60).
PREPROCESSING = Preprocessing(size=224, mean=CLIP_MEAN, std=CLIP_STD)
PUBLISHED = "A published checkpoint, converted by robustmedclip.py; images as in its own tuning and evaluation."
SOURCES = ("BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, models.py and utils.py",)
LICENCE = "none stated for the weights (the badge of its README says MIT, and there is no such file)"

RECORDS = (
    AdapterRecord(
        name="rmedclip",
        title="RMedCLIP ViT",
        base="biomedclip",
        citation=CITATION,
        notes="LoRA on BiomedCLIP's ViT, tuned here; needs the folder of its adapter.",
    ),
    AdapterRecord(
        name="rmedclip-resnet",
        title="RMedCLIP ResNet-50",
        base="medclip-resnet",
        citation=CITATION,
        notes="LoRA on MedCLIP's ResNet-50, tuned here; needs the folder of its adapter.",
    ),
    AdapterRecord(
        name="robustmedclip",
        title="RobustMedCLIP ViT (published)",
        base="biomedclip",
        preprocessing=PREPROCESSING,
        licence=LICENCE,
        citation=CITATION,
        sources=SOURCES,
        notes=PUBLISHED,
    ),
    AdapterRecord(
        name="robustmedclip-resnet",
        title="RobustMedCLIP ResNet-50 (published)",
        base="medclip-resnet",
        preprocessing=PREPROCESSING,
        licence=LICENCE,
        citation=CITATION,
        sources=SOURCES,
        notes=PUBLISHED,
    ),
)
