"""The protocol ``robustmedclip``: models, prompts, order and tuning as in that paper's code, written out again here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from benchmark import predict, tune
from benchmark.data.cells import open_cell
from benchmark.data.prompts import prompts
from benchmark.models import loading, protocol, records
from benchmark.models.families import medclip
from benchmark.models.model import Model, Towers
from benchmark.prediction.records import PredictionRecord
from benchmark.score import score
from benchmark.scoring import files
from benchmark.scoring.measure import label_order
from benchmark.tuning.records import TuneRecord
from benchmark.tuning.trainer import Tuning
from pipeline.config.benchmark import ROBUSTMEDCLIP, Benchmark
from pipeline.config.params import read_config
from pipeline.workspace.cell import cells_of
from pipeline.workspace.paths import Workspace
from tests.benchmark.conftest import CLASSES

MEAN, STD = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
THEIRS = {"oct": ["CNV", "NORMAL", "DME", "DRUSEN"], "mammo_mass": ["malignant", "benign"]}
"""cls_to_names.py of the reference."""


def bare(name: str, text: nn.Module | None = None) -> Model:
    """A model of that name whose towers hand on what they get."""
    towers = Towers(
        nn.Identity(), text or nn.Linear(3, 3), lambda texts: {"input": torch.full((len(texts), 3), 2.0)}, 9.0
    )
    return Model(records()[name], towers)


def followed(name: str, *, is_tuned: bool = False) -> Model:
    model = bare(name)
    protocol.follow(model, is_tuned=is_tuned)
    return model


@pytest.mark.parametrize("name", [name for name, record in records().items() if record.preprocessing.size == 224])
def test_every_model_sees_the_loaders_view_and_clip_sees_it_twice(name):
    images = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = (images / 255 - MEAN) / STD
    if name in ("clip", "clip-rn50"):
        expected = (expected - MEAN) / STD
    pixels = followed(name).preprocess(images)
    torch.testing.assert_close(pixels, expected.permute(0, 3, 1, 2), rtol=0, atol=1e-5)
    assert followed(name).logit_scale == 1


@pytest.mark.parametrize(
    ("name", "is_tuned", "is_unit"),
    [
        ("clip", False, True),
        ("medclip", False, True),
        ("biomedclip", False, False),
        ("unimedclip", False, False),
        ("robustmedclip", True, True),
        ("biomedclip", True, True),
    ],
)
def test_text_features_are_as_long_as_the_reference_leaves_them(name, is_tuned, is_unit):
    model = followed(name, is_tuned=is_tuned)
    norms = model.encode_texts(["one", "two"]).norm(dim=-1)
    assert torch.allclose(norms, torch.ones(2)) == is_unit


def test_medclips_texts_count_the_padding_as_its_own_code_does():
    torch.manual_seed(0)
    tower = medclip.TextTower(records()["medclip"].bert.changed(vocabulary=40, width=64, layers=3), 8).eval()
    ids = torch.tensor([[2, 7, 8, 3, 0, 0], [2, 9, 10, 11, 12, 3]])
    mask = (ids > 0).long()
    with torch.inference_mode():
        states = tower.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        stacked = torch.stack([states[1], states[2], states[-1]])
        expected = tower.projection_head(stacked.permute(1, 0, 2, 3).mean(2).mean(1))  # modeling_medclip.py
        assert not torch.allclose(tower(ids, mask)[0], expected[0], atol=1e-4)
        model = bare("medclip", tower)
        protocol.follow(model, is_tuned=False)
        torch.testing.assert_close(tower(ids, mask), expected)


@pytest.mark.parametrize(("templates", "article"), [("robustmedclip", "a "), ("robustmedclip-tuning", "")])
def test_prompts_name_each_label_as_the_reference_does(workspace, templates, article):
    for dataset, names in THEIRS.items():
        found = prompts(Workspace(workspace), dataset, templates=templates)
        assert found.sentences == tuple(
            (f"a medical image of {article}{name} belonging to {dataset}",) for name in names
        )
        assert found.class_names == tuple(names)


def test_names_that_the_reference_does_not_know_stay_in_order(workspace):
    manifest = Workspace(workspace).manifest("oct", "clean")
    manifest.write_text(manifest.read_text().replace("DRUSEN", "DRY"))
    assert prompts(Workspace(workspace), "oct", templates="robustmedclip").class_names == (
        "CNV",
        "DME",
        "DRY",
        "NORMAL",
    )


def settings(**own):
    return Benchmark(protocol="robustmedclip", tuned={"mine": own}).settings("mine")


@pytest.mark.parametrize("rank", [None, 8, 16])
def test_tuning_is_the_papers_whatever_tune_says_but_for_what_the_model_says(rank):
    own = {} if rank is None else {"rank": rank}
    found = settings(**own).model_dump(mode="json")
    assert {key: found[key] for key in ROBUSTMEDCLIP} == ROBUSTMEDCLIP | own
    assert found["alpha"] == found["rank"], "LoRA's scaling is 1"
    assert (found["epochs"], found["batch"], found["learning_rate"], found["split"]) == (20, 256, 1e-4, "val")
    assert settings(epochs=3, augment=True).epochs == 3
    assert settings(augment=True).augment


@pytest.fixture(scope="module")
def reference(trained):
    """The workspace of `trained` under the protocol, with one model to tune."""
    path = trained / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["benchmark"] |= {
        "protocol": "robustmedclip",
        "models": ["phantom-clip", "mine"],
        "tuned": {"mine": {"base": "phantom-clip", "rank": 4, "epochs": 2, "percent": 50, "seed": 5}},
    }
    path.write_text(yaml.safe_dump(values))
    return trained


def test_a_step_has_the_references_loss_rate_and_order(reference, monkeypatch):
    """finetune.py, `train_epoch`: cross entropy of plain image features with all classes' unit text features."""
    run = Tuning(Workspace(reference), read_config(Workspace(reference)), "mine")
    monkeypatch.setattr(run, "_move", lambda pixels, dataset_ids: pixels)
    positions = np.array([0, 3, len(run.shots) - 1])
    images = run.shots.read(positions)
    sentences = [f"a medical image of {name} belonging to {dataset}" for dataset in CLASSES for name in THEIRS[dataset]]
    with torch.no_grad():
        texts = functional.normalize(run.model.encode_texts(sentences), dim=-1)
        pixels = (torch.from_numpy(images) / 255 - MEAN) / STD
        logits = run.model.image_tower(pixels.permute(0, 3, 1, 2)) @ texts.T
    starts = np.array([0, 4])[run.shots.dataset_ids[positions]]
    expected = functional.cross_entropy(logits, torch.from_numpy(starts + run.shots.labels[positions]))
    assert run.step(positions, images) == pytest.approx(expected.item(), abs=1e-5)
    assert run.optimizer.param_groups[0]["lr"] == 1e-4
    orders = []
    monkeypatch.setattr(run, "step", lambda positions, images: orders.append(positions) or 1.0)
    run._epoch(0)
    assert sorted(np.concatenate(orders)) == list(range(len(run.shots))), "every image once, in a plain shuffle"
    assert run.optimizer.param_groups[0]["lr"] == 1e-4, "and no warm-up or cosine"


def reference_accuracy(images, labels, model, texts):
    """The reference's evaluate.py and models.py from pixels and text features to accuracy, but for its batches."""
    pixels = ((torch.from_numpy(images) / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = model.image_tower(pixels)
        features = features / features.norm(dim=-1, keepdim=True)
        probabilities = functional.softmax((features @ texts.T).float(), dim=1)
    return float((probabilities.argmax(dim=1).numpy() == labels).mean())


def test_a_run_says_what_it_takes_and_scores_as_the_reference_does(reference, capsys):
    assert tune.main(["--root", str(reference), "--model", "mine"]) == 0
    said = capsys.readouterr().out
    assert "protocol robustmedclip in place of benchmark.tune: split val, classes all, epochs 2 (not 20), batch" in said
    assert "rank 4 (not 16), augment False" in said
    workspace, config = Workspace(reference), read_config(Workspace(reference))
    assert TuneRecord.read(workspace, "mine").protocol == "robustmedclip"
    for name in ("phantom-clip", "mine"):
        predict.predict(reference, name, on_the_fly=True)
        assert PredictionRecord.read(workspace, name).logit_scale == 1
    score(workspace)
    table = pd.read_parquet(workspace.reports / "scores.parquet")
    errors = table[table.metric == "error"].set_index(["model", "dataset", "corruption", "severity"]).value
    for name in ("phantom-clip", "mine"):
        model = loading.load(workspace, config.benchmark, name, device="cpu")
        for dataset, names in THEIRS.items():
            with torch.no_grad():
                texts = model.encode_texts([f"a medical image of a {n} belonging to {dataset}" for n in names])
            for cell in cells_of(dataset, "test"):
                images = open_cell(workspace, cell, backend="cpu", seed=3)
                pixels = np.stack([image.numpy() for image, _ in images])
                key = name, dataset, cell.corruption or "clean", 0 if cell.is_clean else cell.severity
                expected = reference_accuracy(pixels, images.labels, model, texts)
                assert errors[key] == pytest.approx(1 - expected, abs=1e-6), cell


def test_the_label_order_table_sorts_columns_out(reference):
    """Beside the scores, which have the reference's order under its protocol, it has both orders under either."""
    scores = files.read_scores(Workspace(reference))
    order = scores.models["phantom-clip"].label_order["oct"]
    cube = files.read_cube(Workspace(reference), scores)
    clean = 1 - float(cube.clean_error.sel(model="phantom-clip", dataset="oct"))
    assert order.theirs.clean == pytest.approx(clean)
    own, labels = np.stack([np.eye(4, dtype=np.float32)] * 2), np.arange(4)  # every image right, clean and corrupted
    shuffled = own[..., [CLASSES["oct"].index(name) for name in THEIRS["oct"]]]
    found = label_order(shuffled, labels, CLASSES["oct"], THEIRS["oct"], columns=THEIRS["oct"])
    assert found == label_order(own, labels, CLASSES["oct"], THEIRS["oct"])
    assert (found.own.clean, found.theirs.clean) == (1, 0.25)
