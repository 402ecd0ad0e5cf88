"""Tokenizers that are built here, and the towers that more than one file looks at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("a", "an", "the", "of", "photo", "medical", "image", "with", "chest", "x", "ray", "blood", "smear", "cell"),
    *("##s", "##ing", "micro", "##scopy", "pneumonia", "normal", "fundus", "drusen", "benign", "malignant", ",", "-"),
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


def bpe(path: Path) -> None:
    """Write a byte-level BPE tokenizer.json with CLIP's two special tokens, trained on the prompts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.BPE(unk_token="<|endoftext|>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    special = ["<|startoftext|>", "<|endoftext|>"]
    words.train_from_iterator(PROMPTS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False))
    words.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[(special[0], 0), (special[1], 1)]
    )
    words.save(str(path))
    assert json.loads(path.read_text(encoding="utf-8"))
