"""The BERT side that the medical models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.components.tokenizers import Tokenizer, read_vocabulary, text_tokenizer
from benchmark.models.record import Bert, ModelFile, ModelRecord

HEAD_WIDTH = 64
"""Of one attention head in every BERT (Devlin et al. 2019, section 3: 768 in 12 heads, 1024 in 16)."""

VOCABULARY = "vocab.txt"
EMBEDDINGS = "embeddings.word_embeddings.weight"
COMPUTED = ("embeddings.position_ids",)
"""Buffers that older releases of transformers wrote into checkpoints and newer ones compute."""

PUBMED_BERT = Bert(vocabulary=30522, width=768, layers=12, clean=True)
"""microsoft/BiomedNLP-BiomedBERT-base; as many word vectors as in BiomedCLIP's checkpoint."""

PUBMED_VOCABULARY = ModelFile(
    name=VOCABULARY,
    repo="microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
    revision="d673b8835373c6fa116d6d8006b33d48734e305d",
)

M = TypeVar("M", bound=nn.Module)


def build_pair(
    make: Callable[[ModelRecord, Bert], M],
    record: ModelRecord,
    files: Files,
    *,
    random_init: bool,
    text: str,
    rename: Callable[[str], str] = lambda name: name,
    computed: tuple[str, ...] = COMPUTED,
) -> tuple[M, Tokenizer]:
    """Make a pair of towers from the weights of a record and its vocab.txt.

    Args:
        make: from the record, and the size of its BERT, to a module whose tensors have the checkpoint's names.
        record: of the model.
        files: its weights and its vocabulary.
        random_init: leave the weights unread.
        text: name of the BERT inside the checkpoint, which says how many word vectors there are.
        rename: from a name in the checkpoint to the module's.
        computed: endings of names that are computed, whether the checkpoint has them or not.

    Returns:
        The module, with its weights unless `random_init`, and its tokenizer.
    """
    assert record.bert is not None, record.name
    bert, tensors = record.bert, dict[str, Tensor]()
    if not random_init:
        tensors = {rename(name): tensor for name, tensor in read_tensors(files.weights()).items()}
        if f"{text}.{EMBEDDINGS}" in tensors:
            bert = bert.changed(vocabulary=len(tensors[f"{text}.{EMBEDDINGS}"]))
    module = make(record, bert)
    if not random_init:
        load_tensors(module, tensors, model=record.name, computed=computed)
    words = read_vocabulary(files.path(VOCABULARY), lowercase=bert.lowercase)
    return module, text_tokenizer(words, record.context_length, padding="[PAD]", clean=bert.clean)


def network(bert: Bert, *, pooler: bool) -> Any:
    """Return a BERT encoder of transformers with random weights; `pooler` keeps the layer of sentence pairs."""
    transformers = package("transformers")
    config = transformers.BertConfig(
        vocab_size=bert.vocabulary,
        hidden_size=bert.width,
        num_hidden_layers=bert.layers,
        num_attention_heads=bert.width // HEAD_WIDTH,
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
        hidden = (bert.width + embedding) // 2
        self.proj = nn.Sequential(
            nn.Linear(bert.width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, embedding, bias=False)
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        projected: Tensor = self.proj(states[:, 0])
        return projected
