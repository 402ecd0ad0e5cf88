"""The BERT side that the medical models share: WordPiece tokens, and towers that make one vector of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.models import weights
from benchmark.models.extras import package
from benchmark.models.record import Bert, ModelError, Record

HEAD = 64
"""Width of one attention head in every BERT (Devlin et al. 2019, section 3: 768 in 12 heads, 1024 in 16)."""

EMBEDDINGS = "embeddings.word_embeddings.weight"
UNSTORED = ("embeddings.position_ids",)
"""Buffers that older releases of transformers wrote into checkpoints and newer ones compute."""

Tokens = Mapping[str, Tensor]


def pair(
    make: Callable[[Record], Any],
    record: Record,
    files: weights.Files,
    *,
    random_init: bool,
    text: str,
    current: Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]] = lambda state, _: state,
    unstored: tuple[str, ...] = UNSTORED,
) -> tuple[Any, Callable[[list[str]], Tokens]]:
    """Make a pair of towers from a checkpoint, the record's first file, and vocab.txt, its second.

    Args:
        make: from the record to a module whose tensors have the checkpoint's names.
        record: of the model.
        files: its checkpoint and its vocabulary.
        random_init: leave the checkpoint unread.
        text: name of the BERT inside the checkpoint; as many word vectors as it has there are made room for.
        current: from a checkpoint and the module to the tensors that the module takes.
        unstored: endings of names that are computed, whether the checkpoint has them or not.

    Returns:
        The module, filled unless `random_init`, and its tokenizer.
    """
    own = record.bert
    assert own is not None, record.name
    state = None if random_init else weights.read(files.path(0))
    if state is not None and (words := state.get(f"{text}.{EMBEDDINGS}")) is not None:
        record = record.but(bert=replace(own, vocabulary=len(words)))
    module = make(record)
    if state is not None:
        weights.fill(module, current(state, module), of=record.name, but=unstored)
    return module, tokenizer(files.path(1), lowercase=own.lowercase, context_length=record.context_length)


def tokenizer(vocabulary: Path, *, lowercase: bool, context_length: int) -> Callable[[list[str]], Tokens]:
    """Return a function from prompts to ``input_ids`` and ``attention_mask``, padded to the longest of the call.

    The tokens are those of transformers' ``BertTokenizerFast`` with the same vocab.txt.

    Raise ModelError if the vocabulary can't be read.
    """
    tokenizers = package("tokenizers")
    try:
        words = tokenizers.BertWordPieceTokenizer(str(vocabulary), lowercase=lowercase)
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"{vocabulary} is no WordPiece vocabulary: {error}") from error
    words.enable_truncation(max_length=context_length)
    words.enable_padding(pad_id=words.token_to_id("[PAD]"), pad_token="[PAD]")

    def tokenize(texts: list[str]) -> Tokens:
        encoded = words.encode_batch(texts)
        return {
            "input_ids": torch.tensor([one.ids for one in encoded]),
            "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
        }

    return tokenize


def network(bert: Bert, *, pooler: bool) -> Any:
    """Return a BERT encoder of transformers with random weights; `pooler` keeps the layer of sentence pairs."""
    transformers = package("transformers")
    config = transformers.BertConfig(
        vocab_size=bert.vocabulary,
        hidden_size=bert.width,
        num_hidden_layers=bert.layers,
        num_attention_heads=bert.width // HEAD,
        intermediate_size=4 * bert.width,
    )
    return transformers.BertModel(config, add_pooling_layer=pooler)


class ClsTower(nn.Module):
    """The last layer's [CLS] state through two linear layers without bias, as in BiomedCLIP and UniMedCLIP.

    The names of its tensors are those of open_clip's ``HFTextEncoder`` with the projection ``mlp``.
    """

    def __init__(self, bert: Bert, embedding: int) -> None:
        super().__init__()
        self.transformer = network(bert, pooler=False)
        between = (bert.width + embedding) // 2
        self.proj = nn.Sequential(
            nn.Linear(bert.width, between, bias=False), nn.GELU(), nn.Linear(between, embedding, bias=False)
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        projected: Tensor = self.proj(states[:, 0])
        return projected
