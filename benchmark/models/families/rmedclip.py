"""RMedCLIP: LoRA on the image tower of BiomedCLIP or MedCLIP (Imam et al. 2025), tuned here or published."""

from __future__ import annotations

from benchmark.models.record import AdapterRecord, Preprocessing

CITATION = (
    "Imam, Marew, Yaqub, On the Robustness of Medical Vision-Language Models: Are they Truly Generalizable?,"
    " MIUA 2025, arXiv 2505.15425"
)

# BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, `MedDataset.__init__`: its evaluation gives the towers plain values 0 to 1.
PLAIN = Preprocessing(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
PUBLISHED = (
    "A published checkpoint, converted by robustmedclip.py; pixels are not normalised, as in its own evaluation."
)
SOURCES = ("BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, models.py and utils.py",)

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
        preprocessing=PLAIN,
        citation=CITATION,
        sources=SOURCES,
        notes=PUBLISHED,
    ),
    AdapterRecord(
        name="robustmedclip-resnet",
        title="RobustMedCLIP ResNet-50 (published)",
        base="medclip-resnet",
        preprocessing=PLAIN,
        citation=CITATION,
        sources=SOURCES,
        notes=PUBLISHED,
    ),
)
