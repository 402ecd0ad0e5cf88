from __future__ import annotations

import pytest
import torch

from benchmark.models import Bert, records
from benchmark.models.components import bert
from benchmark.models.components.packages import package
from benchmark.models.components.tokenizers import clean_text, read_vocabulary, text_tokenizer
from benchmark.models.families import medclip
from pipeline.errors import UserError

SMALL = Bert(vocabulary=40, width=64, layers=3)


def tokenizer(folder, context_length, *, clean=False):
    words = read_vocabulary(folder / "vocab.txt", lowercase=True)
    return text_tokenizer(words, context_length, padding="[PAD]", clean=clean)


def test_tokens_are_those_of_transformers(words, prompts):
    from transformers import BertTokenizerFast

    theirs = BertTokenizerFast.from_pretrained(str(words), do_lower_case=True)
    texts = [*prompts, "Unknown WORDS, and a cell", "x" * 5]
    ours = tokenizer(words, 256)(texts)
    expected = theirs(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    assert torch.equal(ours["input_ids"], expected["input_ids"])
    assert torch.equal(ours["attention_mask"], expected["attention_mask"])


def test_a_long_prompt_is_cut_and_keeps_its_end(words):
    tokens = tokenizer(words, 6)(["a photo of a cell with pneumonia"])
    assert tokens["input_ids"].shape == (1, 6)
    assert tokens["input_ids"][0, -1] == 3  # [SEP]


def test_a_bad_vocabulary_is_one_sentence(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no WordPiece vocabulary"):
        tokenizer(tmp_path, 6)


@pytest.mark.parametrize("tower", [bert.ClsTower, medclip.TextTower])
def test_a_prompts_vector_does_not_depend_on_the_prompts_beside_it(tower, words, prompts):
    torch.manual_seed(0)
    text = tower(SMALL, 16).eval()
    tokenize = tokenizer(words, 20)
    with torch.inference_mode():
        together = text(**tokenize(prompts))
        alone = torch.cat([text(**tokenize([prompt])) for prompt in prompts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_medclips_prompt_vector_is_the_mean_of_three_layers_and_all_tokens(words, prompts):
    torch.manual_seed(0)
    text = medclip.TextTower(SMALL, 16).eval()
    tokens = tokenizer(words, 20)(prompts[:1])
    with torch.inference_mode():
        hidden = text.model(**tokens, output_hidden_states=True).hidden_states
        assert len(hidden) == 4  # the word vectors and three layers
        published = torch.stack([hidden[1], hidden[2], hidden[-1]]).permute(1, 0, 2, 3).mean(2).mean(1)
        torch.testing.assert_close(text(**tokens), text.projection_head(published), rtol=1e-4, atol=1e-6)


UNCLEAN = [
    "a photo of Barrett\u2019s cell",
    "a photo of Barrett&#39;s cell",
    "an x-ray &amp;lt; normal",
    "  chest\tx-ray \n with   pneumonia ",
    "na\u00c3\u00afve cell",
    "\ufb01ne cell\u00a0image",
]


@pytest.mark.zoo
def test_prompts_are_cleaned_by_ftfy():
    assert [clean_text(text) for text in UNCLEAN] == [
        "a photo of Barrett's cell",
        "a photo of Barrett's cell",
        "an x-ray < normal",
        "chest x-ray with pneumonia",
        "na\u00efve cell",
        "fine cell image",
    ]


def test_prompts_are_cleaned_where_the_models_own_tokenizer_cleans():
    cleaning = {name for name, record in records().items() if record.bert is not None and record.bert.clean}
    assert cleaning == {
        "biomedclip",
        "unimedclip",
        "unimedclip-l14",
        "unimedclip-l14-base",
        "rmedclip",
        "robustmedclip",
    }


@pytest.mark.zoo
def test_cleaned_tokens_are_those_of_open_clip(words, prompts):
    from transformers import BertTokenizerFast

    BertTokenizerFast.from_pretrained(str(words), do_lower_case=True).save_pretrained(str(words))
    theirs = package("open_clip").tokenizer.HFTokenizer(str(words), context_length=24)
    texts = [*prompts, *UNCLEAN]
    ours = tokenizer(words, 24, clean=True)(texts)["input_ids"]
    assert torch.equal(ours, theirs(texts)[:, : ours.shape[1]])
    assert not torch.equal(ours, tokenizer(words, 24)(texts)["input_ids"])
