"""A generative model, a SigLIP and probes of an encoder beside phantom-clip, from images to one report."""

from __future__ import annotations

import json
from string import ascii_letters

import numpy as np
import pytest
import torch
import yaml

from benchmark import predict, probe, report, score, tune
from benchmark.models import load
from benchmark.models.components.adapters import WEIGHTS
from benchmark.models.components.packages import package
from benchmark.prediction.logits import read_logits
from benchmark.prediction.records import PredictionRecord
from benchmark.tuning import probing
from benchmark.tuning.records import HEADS, ProbeRecord
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.benchmark.conftest import CLASSES
from tests.benchmark.models import tiny_vlms
from tests.benchmark.models.families import test_encoder

MODELS = ["phantom-clip", "asked", "compared", "linear", "means"]


def save_siglip(folder):
    """Write a tiny SigLIP whose words are single letters, with room for whole prompts."""
    transformers = package("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**small, "vocab_size": 100, "max_position_embeddings": 128, "projection_size": 16}
    text |= {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    torch.manual_seed(0)
    vision = {**small, "image_size": 32, "patch_size": 8}
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    letters = {
        letter: k for k, letter in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *ascii_letters, "\u2581", ","])
    }
    transformers.Siglip2Tokenizer(vocab=letters, merges=[], model_max_length=128).save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


@pytest.fixture(scope="module")
def root(trained, tmp_path_factory):
    """The workspace of `trained` with models of all kinds."""
    weights = tmp_path_factory.mktemp("weights")
    for name in ("vlm", "siglip", "encoder"):
        (weights / name).mkdir()
    save_siglip(weights / "siglip")
    tiny_vlms.save("llava", weights / "vlm")
    test_encoder.save("dinov2", weights / "encoder")
    values = yaml.safe_load((trained / "params.yaml").read_text())
    values["benchmark"] |= {
        "models": [*MODELS],
        "tuned": {},
        "on_the_fly": True,
        "weights": {
            "asked": "vlm:someone/tiny",
            "vlm:someone/tiny": str(weights / "vlm"),
            "compared": "hub:someone/siglip",
            "hub:someone/siglip": str(weights / "siglip"),
            "encoder": "encoder:someone/tiny",
            "encoder:someone/tiny": str(weights / "encoder"),
        },
        "probes": {"linear": {"base": "encoder"}, "means": {"base": "encoder", "head": "means"}},
    }
    return trained, values


def test_all_kinds_end_in_one_report(root, capsys):
    folder, values = root
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    workspace = Workspace(folder)
    for name in ("linear", "means"):
        assert probe.main(["--root", str(folder), "--model", name]) == 0
    for name in MODELS:
        assert predict.main(["--root", str(folder), "--model", name]) == 0, capsys.readouterr().err
    assert score.main(["--root", str(folder)]) == 0
    assert report.main(["--root", str(folder)]) == 0
    text = (folder / "reports" / "report.md").read_text()
    assert all(title in text for title in ("someone/tiny", "someone/siglip", "linear", "means"))
    scores = json.loads((folder / "reports" / "scores.json").read_text())
    assert list(scores["models"]) == MODELS
    page = (folder / "reports" / "index.html").read_text()
    assert "Which of the following does it show?" in page
    assert "logistic regression" in page
    assert "nearest class mean" in page
    for name in MODELS:
        logits = read_logits(workspace.logits(name, Cell("oct", "test"))).logits
        assert logits.shape == (12, 4)
        assert np.isfinite(logits).all()
        assert len(np.unique(logits.round(6))) > 4, "the images count"
    asked = PredictionRecord.read(workspace, "asked")
    assert len(asked.prompts["oct"].questions) == 4
    assert [answer for (answer,) in asked.prompts["oct"].sentences] == ["CNV", "DME", "drusen", "normal"]
    assert PredictionRecord.read(workspace, "linear").probe.probe.base == "encoder"
    capsys.readouterr()
    assert predict.main(["--root", str(folder), "--model", "asked"]) == 0
    assert probe.main(["--root", str(folder), "--model", "means"]) == 0
    said = capsys.readouterr().out
    assert "all 72 cells were there" in said
    assert "fitted before" in said
    record = ProbeRecord.read(workspace, "means")
    assert {name: len(shots) for name, shots in record.shots.items()} == {n: 2 * len(c) for n, c in CLASSES.items()}
    (workspace.model("means") / HEADS).write_bytes(b"cut")
    assert predict.main(["--root", str(folder), "--model", "means"]) == 1
    assert "means/probe.safetensors is not the file that " in capsys.readouterr().err


@pytest.mark.parametrize(("stage", "model", "file"), [(tune, "plain", "adapter/" + WEIGHTS), (probe, "linear", HEADS)])
def test_weights_that_were_changed_are_not_what_their_record_says(root, capsys, stage, model, file):
    folder, values = root
    tuned = {"plain": {"base": "phantom-clip", "augment": False, "rank": 4}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values | {"benchmark": values["benchmark"] | {"tuned": tuned}}))
    arguments = ["--root", str(folder), "--model", model]
    assert stage.main(arguments) == 0
    path = Workspace(folder).model(model) / file
    before = path.read_bytes()
    path.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
    assert predict.main(arguments) == 1
    verb = stage.__name__.rpartition(".")[2]
    path.write_bytes(before)
    assert f"{verb}.json describes: run `python -m benchmark.{verb} --model {model}`" in capsys.readouterr().err


def test_mistakes_are_one_sentence(root, capsys):
    folder, values = root
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    assert probe.main(["--root", str(folder), "--model", "nothing"]) == 1
    assert predict.main(["--root", str(folder), "--model", "encoder"]) == 1
    values["benchmark"] = values["benchmark"] | {"probes": {"linear": {"base": "asked"}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    assert probe.main(["--root", str(folder), "--model", "linear"]) == 1
    first, second, third = capsys.readouterr().err.strip().splitlines()
    assert "params.yaml has no probe 'nothing'; have linear, means" in first
    assert "has no text side: put a probe on it" in second
    assert "asked is generative" in third


@pytest.mark.parametrize(
    ("name", "others", "match"),
    [
        (
            "mine",
            {"published": {"mine": {"repo": "a/b", "file": "model.pth"}}},
            "published has a model 'mine' too",
        ),
        ("mine", {"tuned": {"mine": {"base": "phantom-clip"}}}, "tuned has a model 'mine' too"),
        ("encoder", {}, "weights has a model 'encoder' too"),
        ("clip", {}, "'clip' is a model itself"),
    ],
)
@pytest.mark.parametrize("stage", [probe, predict], ids=["probe", "predict"])
def test_a_probe_and_a_model_of_one_name_are_refused_before_any_work(root, capsys, stage, name, others, match):
    folder, values = root
    benchmark = values["benchmark"] | others | {"models": ["phantom-clip", name], "probes": {name: {"base": "dinov2"}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values | {"benchmark": benchmark}))
    assert stage.main(["--root", str(folder), "--model", name]) == 1
    said = capsys.readouterr()
    assert match in said.err
    assert f"probes.{name} needs a name of its own" in said.err
    assert said.err.count("\n") == 1
    assert not said.out


@pytest.mark.parametrize("kind", ["linear", "means"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_is_the_classifier_that_it_says(kind, classes):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 16))
    labels = np.arange(60) % classes
    features = centres[labels] + rng.normal(size=(60, 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    shots, held = (features[:30], labels[:30]), (features[30:], labels[30:])
    fitted = probing.fit(kind, shots, held, classes=classes)
    logits = fitted.head.logits(held[0])
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if kind == "linear":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=fitted.strength, max_iter=2000, tol=1e-6).fit(shots[0].astype(float) * 4, shots[1])
        expected = model.predict_proba(held[0].astype(float) * 4)
    else:
        means = np.stack([shots[0][shots[1] == k].mean(axis=0) for k in range(classes)])
        distances = -fitted.strength * ((held[0][:, None] - means) ** 2).sum(axis=2)
        expected = np.exp(distances - distances.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert fitted.accuracy == (logits.argmax(axis=1) == held[1]).mean() > 0.6
    assert probing.fit(kind, shots, None, classes=classes).strength == probing.UNCHOSEN
    with pytest.raises(Exception, match=f"class {classes} has no image"):
        probing.fit(kind, shots, held, classes=classes + 1)


def test_load_gives_every_kind(root):
    _, values = root
    weights = values["benchmark"]["weights"]
    assert load("vlm:someone/tiny", weights_dir=weights["vlm:someone/tiny"]).record.kind == "generative"
    encoder = load("encoder:someone/tiny", weights_dir=weights["encoder:someone/tiny"])
    assert isinstance(encoder.encode_images(torch.zeros(1, 3, 32, 32)), torch.Tensor)
