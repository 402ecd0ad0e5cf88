"""From prompts to the tokens that a text tower of transformers takes, by the library tokenizers."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.models.components.packages import package
from pipeline.errors import UserError

Tokenizer = Callable[[list[str]], Mapping[str, Tensor]]
"""From K prompts to the text tower's arguments, tensors whose first axis is K."""

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt"),
)
"""What tokenizers of transformers are saved as; none of them is in every repository."""


def read_vocabulary(path: Path, *, lowercase: bool) -> Any:
    """Return BERT's tokenizer of a vocab.txt: the tokens are those of transformers' ``BertTokenizerFast``.

    Raises:
        UserError: the vocabulary can't be read.
    """
    try:
        return package("tokenizers").BertWordPieceTokenizer(str(path), lowercase=lowercase)
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{path} is no WordPiece vocabulary: {error}") from error


def clean_text(text: str) -> str:
    """Return a prompt as open_clip's `HFTokenizer` reads it; open_clip, tokenizer.py, `_clean_whitespace`.

    UniMedCLIP's src/open_clip/tokenizer.py has the same.
    """
    return " ".join(html.unescape(html.unescape(package("ftfy").fix_text(text))).split())


def text_tokenizer(words: Any, context_length: int, *, padding: str, clean: bool = False) -> Tokenizer:
    """Return a function from prompts to ``input_ids`` and ``attention_mask``.

    Args:
        words: tokenizer of the library.
        context_length: tokens at most; a longer prompt is cut.
        padding: token that shorter prompts of a call are filled up with.
        clean: put every prompt through `clean_text` first.
    """
    words.enable_truncation(max_length=context_length)
    words.enable_padding(pad_id=words.token_to_id(padding), pad_token=padding)

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        encoded = words.encode_batch([clean_text(text) for text in texts] if clean else texts)
        return {
            "input_ids": torch.tensor([encoding.ids for encoding in encoded]),
            "attention_mask": torch.tensor([encoding.attention_mask for encoding in encoded]),
        }

    return tokenize
