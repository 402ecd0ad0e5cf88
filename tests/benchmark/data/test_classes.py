"""Classes of several data sets side by side."""

import pytest
import torch

from benchmark.data.classes import class_columns, class_features, masked_cross_entropy
from benchmark.data.prompts import TEMPLATES, Prompts, prompts
from benchmark.models import loading
from pipeline.config import read_config
from pipeline.paths import Workspace


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
