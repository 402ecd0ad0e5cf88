"""The models, one record each; docs/models.md is their table."""

from __future__ import annotations

import importlib
from pathlib import Path

from benchmark.models.record import Bert, File, ModelError, Record, View

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""openai/CLIP, clip/clip.py, `_transform`; BiomedCLIP's open_clip_config.json and UniMedCLIP's transform.py agree."""

MEDCLIP_MEAN, MEDCLIP_STD = 0.5862785803043838, 0.27950088968644304
"""RyanWangZf/MedCLIP, medclip/constants.py, IMG_MEAN and IMG_STD, of grey chest radiographs."""

VIT_ATTENTION = r"transformer\.resblocks\.\d+\.attn"
"""open_clip's ViT: PEFT puts LoRA on the joint q, k, v matrix and on the output of every block's attention."""

RADFORD = "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021"
WANG = "Wang et al., MedCLIP: Contrastive Learning from Unpaired Medical Images and Text, EMNLP 2022"
ZHANG = "Zhang et al., BiomedCLIP: a multimodal biomedical foundation model pretrained from fifteen million scientific image-text pairs, arXiv 2303.00915, 2023"  # noqa: E501
KHATTAK = "Khattak et al., UniMed-CLIP: Towards a Unified Image-Text Pretraining Paradigm for Diverse Medical Imaging Modalities, arXiv 2412.10372, 2024"  # noqa: E501
IMAM = "Imam, Marew, Yaqub, On the Robustness of Medical Vision-Language Models: Are they Truly Generalizable?, MIUA 2025, arXiv 2505.15425"  # noqa: E501

CLINICAL_WORDS = File(
    "vocab.txt",
    repo="emilyalsentzer/Bio_ClinicalBERT",
    revision="d5892b39a4adaed74b92212a44081509db72f87b",
)
BIOMED_WORDS = File(
    "vocab.txt",
    repo="microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
    revision="d673b8835373c6fa116d6d8006b33d48734e305d",
)
BIOMED_LARGE_WORDS = File(
    "vocab.txt",
    repo="microsoft/BiomedNLP-BiomedBERT-large-uncased-abstract",
    revision="f18ff5ec008285849e7c467b2618262b0def6238",
)

# Rows of word vectors: 30522 in BiomedCLIP's checkpoint, 28996 in BERT's cased vocabulary, which Bio_ClinicalBERT keeps
# (Devlin et al. 2019; Alsentzer et al. 2019). A checkpoint's own number overrides them.
PUBMED_BERT = Bert(vocabulary=30522, width=768, layers=12)
PUBMED_BERT_LARGE = Bert(vocabulary=30522, width=1024, layers=24)
# Bio_ClinicalBERT's vocabulary is cased, yet transformers' AutoTokenizer lowercases for it, having no configuration to
# the contrary (EmilyAlsentzer/clinicalBERT, issue 26); MedCLIP was trained on such tokens.
CLINICAL_BERT = Bert(vocabulary=28996, width=768, layers=12, lowercase=True)

CLIP = Record(
    name="clip",
    title="CLIP ViT-B/16",
    family="openclip",
    architecture="ViT-B-16-quickgelu",
    files=(
        File(
            "open_clip_model.safetensors",
            sha256="4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
            repo="timm/vit_base_patch16_clip_224.openai",
            revision="977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        ),
    ),
    view=View(224, CLIP_MEAN, CLIP_STD),
    context_length=77,
    embedding=512,
    lora_targets=VIT_ATTENTION,
    licence="MIT",
    citation=RADFORD,
    sources=("openai/CLIP, clip/clip.py and clip/model.py", "open_clip 3.3, pretrained.py and ViT-B-16-quickgelu.json"),
    notes="The baseline of mCE.",
)

CLIP_RN50 = CLIP.but(
    name="clip-rn50",
    title="CLIP RN50",
    architecture="RN50-quickgelu",
    files=(
        File(
            "open_clip_model.safetensors",
            sha256="da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
            repo="timm/resnet50_clip.openai",
            revision="ec3d92cf63a5f9d591f0d611b736895966c73076",
        ),
    ),
    embedding=1024,
    lora_targets=r"layer[1-4]\.\d+\.conv2",
    sources=("openai/CLIP, clip/clip.py and clip/model.py", "open_clip 3.3, pretrained.py and RN50-quickgelu.json"),
    notes="",
)

MEDCLIP = Record(
    name="medclip",
    title="MedCLIP ViT",
    family="medclip",
    architecture="swin-tiny-patch4-window7-224",
    files=(
        File("pytorch_model.bin", url="https://storage.googleapis.com/pytrial/medclip-vit-pretrained.zip"),
        CLINICAL_WORDS,
    ),
    view=View(224, (MEDCLIP_MEAN,) * 3, (MEDCLIP_STD,) * 3, resize="pad", grey=True),
    context_length=77,
    embedding=512,
    lora_targets=r".*\.attention\.(self\.)?(query|key|value|q_proj|k_proj|v_proj)",
    licence="MIT (its repository; none stated for the weights apart)",
    citation=WANG,
    sources=("RyanWangZf/MedCLIP, medclip/constants.py, dataset.py, modeling_medclip.py and medclip_vit_weight.txt",),
    bert=CLINICAL_BERT,
    notes="Its archive is not on the Hub: unpack it and give the folder. Sees every image in grey.",
)

MEDCLIP_RESNET = MEDCLIP.but(
    name="medclip-resnet",
    title="MedCLIP ResNet-50",
    architecture="resnet50",
    files=(
        File("pytorch_model.bin", url="https://storage.googleapis.com/pytrial/medclip-pretrained.zip"),
        CLINICAL_WORDS,
    ),
    lora_targets=r"model\.layer[1-4]\.\d+\.conv2",
    sources=(
        "RyanWangZf/MedCLIP, medclip/constants.py, dataset.py, modeling_medclip.py and medclip_resnet_weight.txt",
    ),
)

BIOMEDCLIP = Record(
    name="biomedclip",
    title="BiomedCLIP",
    family="biomedclip",
    architecture="vit_base_patch16_224",
    files=(
        File(
            "open_clip_pytorch_model.bin",
            sha256="52cc993c5c5ff962bd0c60931874bc001e7e9b41666a385530f4a036294576be",
            repo="microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
            revision="9f341de24bfb00180f1b847274256e9b65a3a32e",
        ),
        BIOMED_WORDS,
    ),
    view=View(224, CLIP_MEAN, CLIP_STD),
    context_length=256,
    embedding=512,
    lora_targets=r"trunk\.blocks\.\d+\.attn\.qkv",
    licence="MIT",
    citation=ZHANG,
    sources=("open_clip_config.json of the weights' repository",),
    bert=PUBMED_BERT,
)

UNIMEDCLIP = Record(
    name="unimedclip",
    title="UniMedCLIP ViT-B/16",
    family="unimedclip",
    architecture="ViT-B-16-quickgelu",
    files=(
        File(
            "unimed-clip-vit-b16.pt",
            repo="UzairK/unimed-clip-vit-b16",
            revision="84a67cb0331b511b630136e4878beaa5a3fdc657",
        ),
        BIOMED_WORDS,
    ),
    view=View(224, CLIP_MEAN, CLIP_STD),
    context_length=256,
    embedding=512,
    lora_targets=VIT_ATTENTION,
    licence="none stated in its repository",
    citation=KHATTAK,
    sources=("mbzuai-oryx/UniMed-CLIP, README.md, run_inference.py, src/open_clip/model.py and transform.py",),
    bert=PUBMED_BERT,
    notes="Its checkpoint holds its training's arguments too; they are read as inert stand-ins.",
)

UNIMEDCLIP_L14 = UNIMEDCLIP.but(
    name="unimedclip-l14",
    title="UniMedCLIP ViT-L/14-336",
    architecture="ViT-L-14-336-quickgelu",
    files=(
        File(
            "unimed_clip_vit_l14_large_text_encoder.pt",
            url="https://mbzuaiac-my.sharepoint.com/:u:/g/personal/uzair_khattak_mbzuai_ac_ae/"
            "Ea2CZ1dc_B9PsTHp5kAeUBsB-bncfRmjra63YDM0bn9JRw",
        ),
        BIOMED_LARGE_WORDS,
    ),
    view=View(336, CLIP_MEAN, CLIP_STD),
    embedding=768,
    bert=PUBMED_BERT_LARGE,
    notes="Not on the Hub with this text encoder: download it and give the folder. Images are enlarged to 336.",
)

RMEDCLIP = BIOMEDCLIP.but(
    name="rmedclip",
    title="RMedCLIP ViT",
    citation=IMAM,
    base="biomedclip",
    notes="LoRA on BiomedCLIP's ViT, tuned here; needs the folder of its adapter.",
)

RMEDCLIP_RESNET = MEDCLIP_RESNET.but(
    name="rmedclip-resnet",
    title="RMedCLIP ResNet-50",
    citation=IMAM,
    base="medclip-resnet",
    notes="LoRA on MedCLIP's ResNet-50, tuned here; needs the folder of its adapter.",
)

# BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, `MedDataset.__init__`: its evaluation gives the towers plain values 0 to 1.
PLAIN = View(224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

ROBUSTMEDCLIP = RMEDCLIP.but(
    name="robustmedclip",
    title="RobustMedCLIP ViT (published)",
    view=PLAIN,
    sources=(*RMEDCLIP.sources, "BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, models.py and utils.py"),
    notes="A published checkpoint, converted by robustmedclip.py; pixels are not normalised, as in its own evaluation.",
)

ROBUSTMEDCLIP_RESNET = RMEDCLIP_RESNET.but(
    name="robustmedclip-resnet",
    title="RobustMedCLIP ResNet-50 (published)",
    view=PLAIN,
    sources=(*RMEDCLIP_RESNET.sources, "BioMedIA-MBZUAI/RobustMedCLIP, dataset.py, models.py and utils.py"),
    notes=ROBUSTMEDCLIP.notes,
)

RECORDS: dict[str, Record] = {
    known.name: known
    for known in (
        CLIP,
        CLIP_RN50,
        MEDCLIP,
        MEDCLIP_RESNET,
        BIOMEDCLIP,
        UNIMEDCLIP,
        UNIMEDCLIP_L14,
        RMEDCLIP,
        RMEDCLIP_RESNET,
        ROBUSTMEDCLIP,
        ROBUSTMEDCLIP_RESNET,
    )
}
"""The published models, and RMedCLIP on two of them."""

OWN = {"phantom-clip": "phantom_clip"}
"""Models that this project trains: the module of each has its ``RECORD``."""

PINNED = ("open_clip:", "hub:")
"""What the name of any other model begins with; the rest of it says which, and at which commit."""

NAMES = (*OWN, *RECORDS)
"""Every name that `record` knows by itself."""


def record(name: str, *, folder: Path | None = None, offline: bool = False) -> Record:
    """Return the record of a model.

    Args:
        name: one of `NAMES`; ``open_clip:ARCHITECTURE/TAG@COMMIT``; or, on the Hub, ``hub:OWNER/NAME@COMMIT`` with the
            files of transformers, ``open_clip:hf-hub:OWNER/NAME@COMMIT`` with those of open_clip.
        folder: of the model's files; only the last three forms may need it.
        offline: never ask the network.

    Raises:
        ModelError: there is no such model, or its commit is not pinned.
    """
    if name in RECORDS:
        return RECORDS[name]
    if name in OWN:
        known: Record = importlib.import_module(f"benchmark.models.{OWN[name]}").RECORD
        return known
    if name.startswith(PINNED[0]):
        from benchmark.models import openclip

        return openclip.describe(name, folder=folder, offline=offline)
    if name.startswith(PINNED[1]):
        from benchmark.models import hub_clip

        return hub_clip.describe(name, folder=folder, offline=offline)
    raise ModelError(
        f"no model {name!r}; have {', '.join(NAMES)}, open_clip:ARCHITECTURE/TAG@COMMIT,"
        " open_clip:hf-hub:OWNER/NAME@COMMIT and hub:OWNER/NAME@COMMIT"
    )
