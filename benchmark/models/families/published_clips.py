"""Records of CLIPs that `transformers_clip` and `openclip` build from the files that their authors published.

What public sources say of each is here; what they don't say is asked for by the record's notes. Sizes are those of
`SIZES` unless the record's own sources have one.
"""

from __future__ import annotations

from benchmark.models.record import (
    ATTENTION,
    CLIP_MEAN,
    CLIP_STD,
    RESBLOCK_ATTENTION,
    ModelFile,
    ModelRecord,
    Preprocessing,
)

OWN = Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1), resize="processor")
"""Mean, deviation and filter are read from the repository's own files."""

SIZES = {"ViT-B-32": 151.3, "ViT-L-14": 427.6}
"""Millions of parameters of a CLIP by its image tower (open_clip, docs/model_profile.csv)."""


def _files(repo: str, revision: str, names: tuple[str, ...], sha256: str | None = None) -> tuple[ModelFile, ...]:
    """Return files of a repository at a commit, the weights first, whose checksum is `sha256`."""
    files = [ModelFile(name=name, repo=repo, revision=revision) for name in names]
    return (files[0].changed(sha256=sha256), *files[1:])


PUBMEDCLIP = ModelRecord(
    name="pubmedclip",
    title="PubMedCLIP ViT-B/32",
    family="transformers_clip",
    architecture="CLIPModel",
    files=_files(
        "flaviagiammarino/pubmed-clip-vit-base-patch32",
        "26c0c67f6da303ad2a38909130bd35744ea93517",
        ("pytorch_model.bin", "config.json", "preprocessor_config.json"),
        "4daa7650d2b47e55c37b5ca7dcabe826fd82407c26028a574bcc422f35a94aa4",
    ),
    preprocessing=OWN,
    context_length=77,
    embedding=512,
    lora_targets=ATTENTION,
    licence="MIT",
    parameters=SIZES["ViT-B-32"],
    citation="Eslami, de Melo, Meinel, Does CLIP Benefit Visual Question Answering in the Medical Domain as Much as it"
    " Does in the General Domain?, arXiv 2112.13906, 2021",
    sources=(
        "flaviagiammarino/pubmed-clip-vit-base-patch32, model card, for licence and repository",
        "kurtvalcorza/pubmedclip-biomedical-pipeline, docs/WEIGHTS.md, for commit, number of parameters and SHA-256",
    ),
    notes="CLIP tuned on figures of ROCO; another's conversion of its authors' checkpoint.",
)

PLIP = PUBMEDCLIP.changed(
    name="plip",
    title="PLIP ViT-B/32",
    files=_files(
        "vinid/plip",
        "67ade53ddd32195868f422585f72698ef5d15094",
        ("pytorch_model.bin", "config.json", "preprocessor_config.json"),
        "98a7f8d2a1f4a8fc8f6dedb3a16ff7efbe02a7ef67c93904c80bca9767c69630",
    ),
    licence="none stated for the weights (its Python package says MIT)",
    citation="Huang et al., A visual-language foundation model for pathology image analysis using medical Twitter,"
    " Nature Medicine 29, 2307, 2023",
    sources=(
        "PathologyFoundation/plip, README.md and setup.py, for repository and licence",
        "asset lists of public pathology pipelines, for commit and SHA-256; several agree",
    ),
    notes="CLIP tuned on pathology pictures of Twitter. Ask its authors for the licence of the weights.",
)

MONET = PUBMEDCLIP.changed(
    name="monet",
    title="MONET ViT-L/14",
    files=_files(
        "suinleelab/monet",
        "1d1efd0b8d61bde82cde22d2e93c28d73441f29e",
        ("model.safetensors", "config.json", "preprocessor_config.json"),
    ),
    embedding=768,
    licence="none stated",
    parameters=SIZES["ViT-L-14"],
    citation="Kim et al., Transparent medical image AI via an image-text foundation model grounded in medical"
    " literature, Nature Medicine 30, 1154, 2024",
    sources=("huggingface.co/suinleelab/monet, list of files at the pinned commit, 1.71 GB of weights",),
    notes="CLIP tuned on dermatology of the literature. Ask its authors for the licence of the weights.",
)

SIGLIP2 = PUBMEDCLIP.changed(
    name="siglip2",
    title="SigLIP 2 ViT-B/16",
    architecture="SiglipModel",
    files=_files(
        "google/siglip2-base-patch16-224",
        "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        ("model.safetensors", "config.json", "preprocessor_config.json"),
    ),
    context_length=64,
    embedding=768,
    licence="Apache-2.0",
    parameters=375.2,
    citation="Tschannen et al., SigLIP 2: Multilingual Vision-Language Encoders with Improved Semantic Understanding,"
    " Localization, and Dense Features, arXiv 2502.14786, 2025",
    sources=(
        "google/siglip2-base-patch16-224, model card, for the licence",
        "public projects that pin the commit; several agree",
        "transformers, models/siglip, for the number of parameters at this size and 256,000 words",
    ),
    notes="Of general images. Prompts are filled up to 64 tokens.",
)

MEDSIGLIP = SIGLIP2.changed(
    name="medsiglip",
    title="MedSigLIP 448",
    files=_files(
        "google/medsiglip-448",
        "9cea28a1a1195f665105faa6e8544c112fd960a4",
        ("model.safetensors", "config.json", "preprocessor_config.json"),
    ),
    preprocessing=OWN.changed(size=448),
    embedding=1152,
    licence="Health AI Developer Foundations terms of use",
    gated="accept the terms on huggingface.co/google/medsiglip-448, then log in with `hf auth login`",
    parameters=878.3,
    citation="Sellergren et al., MedGemma Technical Report, arXiv 2507.05201, 2025",
    sources=(
        "Google-Health/medsiglip, README.md, for size of images, tokens and licence",
        "public projects that pin the commit; several agree",
        "transformers, models/siglip, for the number of parameters at this size",
    ),
    notes="Images are enlarged to 448. Prompts are filled up to 64 tokens.",
)

QUILTNET = ModelRecord(
    name="quiltnet",
    title="QuiltNet ViT-B/32",
    family="openclip",
    architecture="ViT-B-32",
    files=_files(
        "wisdomik/QuiltNet-B-32",
        "8ce77289ce35a90b2f1db1137dfa4bc2df175e33",
        ("open_clip_pytorch_model.bin", "open_clip_config.json"),
    ),
    preprocessing=OWN,
    context_length=77,
    embedding=512,
    lora_targets=RESBLOCK_ATTENTION,
    licence="MIT",
    parameters=SIZES["ViT-B-32"],
    citation="Ikezogwo et al., Quilt-1M: One Million Image-Text Pairs for Histopathology, NeurIPS 2023,"
    " arXiv 2306.11207",
    sources=(
        "huggingface.co/wisdomik/QuiltNet-B-32, list of files, open_clip_config.json and licence",
        "public projects that pin the commit; several agree",
    ),
    notes="CLIP tuned on histopathology of videos.",
)

WHYXRAYCLIP = QUILTNET.changed(
    name="whyxrayclip",
    title="WhyXrayCLIP ViT-L/14",
    architecture="ViT-L-14",
    files=_files(
        "yyupenn/whyxrayclip",
        "5967efcdbb5f2efbe62188729ed7465a5c6f8876",
        ("open_clip_pytorch_model.bin", "open_clip_config.json"),
        "4864860e7c25f4648b3d7ca8ce473901dd9864e8a4536bdb23b7c77f4930740f",
    ),
    embedding=768,
    parameters=SIZES["ViT-L-14"],
    citation="Yang et al., A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image Analysis,"
    " NeurIPS 2024, arXiv 2405.14839",
    sources=("huggingface.co/yyupenn/whyxrayclip, model card, list of files at the pinned commit, SHA-256",),
    notes="CLIP tuned on MIMIC-CXR.",
)

PMC_CLIP = WHYXRAYCLIP.changed(
    name="pmc-clip",
    title="PMC-CLIP ViT-L/14",
    files=_files(
        "ryanyip7777/pmc_vit_l_14",
        "a1db5a40d0a07855a435d9fabde846fdf7028be4",
        ("open_clip_model.safetensors", "open_clip_config.json"),
        "24bf00a8d2ed5b7b5809fd4e6f48d3db04f745dd51b94edcdf8c33a43b6280a6",
    ),
    licence="none stated",
    citation="Lin et al., PMC-CLIP: Contrastive Language-Image Pre-training using Biomedical Documents, MICCAI 2023,"
    " arXiv 2303.07240",
    sources=("huggingface.co/ryanyip7777/pmc_vit_l_14, list of files at the pinned commit, SHA-256",),
    notes="CLIP tuned by others on the paper's data, PMC-OA. Ask its uploader for the licence of the weights.",
)

BMC_CLIP = WHYXRAYCLIP.changed(
    name="bmc-clip",
    title="BMC-CLIP ViT-L/14",
    files=(ModelFile(name="BMC_CLIP_CF.pt", origin="https://huggingface.co/BIOMEDICA/BMC_CLIP_CF"),),
    preprocessing=Preprocessing(size=224, mean=CLIP_MEAN, std=CLIP_STD),
    licence="MIT",
    citation="Lozano et al., BIOMEDICA: An Open Biomedical Image-Caption Archive, Dataset, and Vision-Language Models"
    " Derived from Scientific Literature, CVPR 2025, arXiv 2501.07171",
    sources=(
        "huggingface.co/BIOMEDICA/BMC_CLIP_CF, for licence and repository",
        "Yale-BIDS-Chen-Lab/medpmc-clip-eval, medpmc_clip_eval/model.py, for file, architecture and images",
    ),
    notes="No commit of it that has the weights is known here: download the file and give its folder.",
)

MEDPMC_CLIP = BMC_CLIP.changed(
    name="medpmc-clip",
    title="MedPMC-CLIP ViT-L/14",
    files=(
        ModelFile(
            name="open_clip_pytorch_model.safetensors",
            origin="https://huggingface.co/Yale-BIDS-Chen/medpmc-clip-l-14_jun24_v1",
        ),
    ),
    licence="CC-BY-NC-SA-4.0",
    citation="Kim et al., MedPMC: A Systematic Framework for Scaling High-Fidelity Medical Multimodal Data for"
    " Foundation Models, arXiv 2607.07673, 2026",
    sources=("Yale-BIDS-Chen-Lab/medpmc-clip-eval, README.md and medpmc_clip_eval/model.py",),
    notes="No commit of it is known here: download the file and give its folder.",
)

RECORDS = (
    PUBMEDCLIP,
    PLIP,
    MONET,
    SIGLIP2,
    MEDSIGLIP,
    QUILTNET,
    WHYXRAYCLIP,
    PMC_CLIP,
    BMC_CLIP,
    MEDPMC_CLIP,
)
