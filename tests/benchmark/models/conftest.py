"""Tokenizers that are built here, and the towers that more than one file looks at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.models import ModelFile, ModelRecord
from benchmark.models.model import Model

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("a", "an", "the", "of", "photo", "medical", "image", "with", "chest", "x", "ray", "blood", "smear", "cell"),
    *("##s", "##ing", "micro", "##scopy", "pneumonia", "normal", "fundus", "drusen", "benign", "malignant", ",", "-"),
    *("barrett", "'", "s", "&", "#", ";", "<", "39", "amp", "lt", "naive", "fine", "\u2019"),
    *("cnv", "dme"),
]
PROMPTS = ["a photo of a cell", "Pneumonia, chest x-ray", "blood smear microscopy with drusens of the fundus"]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Return a folder with a WordPiece vocabulary."""
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def prompts() -> list[str]:
    """Return prompts of different length."""
    return list(PROMPTS)


PREPROCESSOR = {
    "crop_size": {"height": 32, "width": 32},
    "size": {"shortest_edge": 32},
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.3, 0.4],
    "resample": 3,
    "do_center_crop": True,
}


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Any]:
    """Return the folder of a small CLIP of transformers, saved as the Hub has them, and itself."""
    from transformers import CLIPConfig, CLIPModel

    write_tokenizer(tmp_path, length=24)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 60, "max_position_embeddings": 24}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**small, **ids}, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=12
    )
    model = CLIPModel(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:  # far enough from nothing for two prompts to have features of their own
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR), encoding="utf-8")
    return tmp_path, model


def without_checksum(record: ModelRecord) -> tuple[ModelFile, ...]:
    """Return the files of a record, its weights to be read from a folder whatever their bytes."""
    return (ModelFile(name=record.files[0].name), *record.files[1:])


def published_state(base: Model) -> dict[str, torch.Tensor]:
    """Return the checkpoint of BiomedCLIP or MedCLIP: towers under their published names, and the logit scale."""
    image, text = ("visual", "text") if base.record.name == "biomedclip" else ("vision_model", "text_model")
    state = {f"{image}.{name}": tensor for name, tensor in base.image_tower.state_dict().items()}
    state |= {f"{text}.{name}": tensor for name, tensor in base.text_tower.state_dict().items()}
    return {**state, "logit_scale": torch.tensor(base.logit_scale).log()}


def write_tokenizer(folder: Path, *, length: int) -> None:
    """Write CLIP's tokenizer of single letters, 58 words, as its repositories have it."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz,-"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: k for k, word in enumerate(words)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length).save_pretrained(str(folder))
