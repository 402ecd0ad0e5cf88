"""Classes of several data sets side by side."""

import pytest
import torch

from benchmark.data.classes import class_columns, class_features, masked_cross_entropy
from benchmark.data.prompts import TEMPLATES, Prompts, prompts
from benchmark.models import Bert, loading, records
from benchmark.models.components.bert import ClsTower
from benchmark.models.components.tokenizers import read_vocabulary, text_tokenizer
from benchmark.models.model import Model, Towers
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace
from tests.benchmark.models.conftest import WORDS


def of_dataset(*sentences):
    classes = tuple(str(k) for k in range(len(sentences)))
    groups = tuple((f"not {sentence}", sentence) for sentence in sentences)
    return Prompts(dataset="x", class_names=classes, modality="", templates="ensemble", sentences=groups)


def test_equal_sentences_of_two_data_sets_are_not_set_against_each_other():
    columns = class_columns([of_dataset("A", "B"), of_dataset("B", "C")], template=1)
    assert columns.starts.tolist() == [0, 2]
    assert columns.own.tolist() == [[True, True, False, False], [False, False, True, True]]
    assert columns.distinct.tolist() == [[True, True, False, True], [True, False, True, True]]


def test_masked_columns_add_nothing_to_the_loss():
    logits = torch.tensor([[1.0, 2.0, 50.0], [0.0, 1.0, -50.0]])
    columns = torch.tensor([[True, True, False]] * 2)
    expected = torch.nn.functional.cross_entropy(logits[:, :2], torch.tensor([0, 1]))
    assert masked_cross_entropy(logits, columns, torch.tensor([0, 1])) == pytest.approx(float(expected))


def test_a_classs_feature_is_the_mean_of_its_sentences_brought_to_unit_length(trained):
    workspace = Workspace(trained)
    model = loading.load(workspace, read_config(workspace).benchmark, "phantom-clip", device="cpu")
    of_oct = prompts(workspace, "oct", templates="ensemble")
    features = class_features(model, of_oct)
    assert features.shape == (4, 64)
    assert not features.requires_grad
    with torch.inference_mode():
        second = model.encode_texts(of_oct.sentences[1]).mean(dim=0)
    torch.testing.assert_close(features[1], second / second.norm())
    assert len(of_oct.sentences[1]) == len(TEMPLATES["ensemble"]) == 5


def named(*names):
    """Prompts of two templates for classes of these names."""
    sentences = tuple((f"an image of {name}", f"{name}, a photo") for name in names)
    return Prompts(dataset="x", class_names=names, modality="", templates="ensemble", sentences=sentences)


@pytest.mark.parametrize(
    "names",
    [
        ("\u809d\u81d3", "\u5fc3\u81d3"),  # two organs in a script that the vocabulary lacks
        ("cell " * 40 + "benign", "cell " * 40 + "malignant"),  # they differ beyond the context
        ("cell", "  cell "),
    ],
)
def test_classes_that_the_tokens_cannot_tell_apart_are_an_error(names, tmp_path):
    model = load_tiny(tmp_path)
    assert class_features(model, named("cell", "fundus")).shape == (2, 512)
    with pytest.raises(
        UserError, match=r"tiny cannot tell the classes .* of x apart: .* have the same tokens"
    ) as caught:
        class_features(model, named("fundus", "drusen"), named("normal", *names))
    assert all(repr(name) in str(caught.value) for name in names)


def test_classes_that_the_features_cannot_tell_apart_are_an_error(tmp_path):
    model = load_tiny(tmp_path)
    with torch.no_grad():
        table = model.text_tower.transformer.embeddings.word_embeddings.weight
        table[WORDS.index("drusen")] = table[WORDS.index("fundus")] + 1e-8
    with pytest.raises(UserError, match=r"'fundus' and 'drusen' of x apart: .* the same text features"):
        class_features(model, named("cell", "fundus", "drusen"))


class Pixels(torch.nn.Module):
    """An image tower that nobody asks."""


def load_tiny(folder):
    """Return a model with the tokenizer of BERT over 16 tokens, and a small BERT with random weights."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    record = records()["biomedclip"].changed(name="tiny", context_length=16)
    tokenize = text_tokenizer(read_vocabulary(folder / "vocab.txt", lowercase=True), 16, padding="[PAD]")
    text = ClsTower(Bert(vocabulary=len(WORDS), width=64, layers=1), 512)
    return Model(record, Towers(Pixels(), text, tokenize, 1.0))
