"""Predicting, scoring and reporting collections that lie in several workspaces."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, save_file

from benchmark import predict, report, score
from benchmark.data.classes import class_features
from benchmark.data.prompts import prompts
from benchmark.models import loading
from benchmark.models.families import phantom_clip
from benchmark.prediction import predictor
from benchmark.prediction.records import PredictionRecord
from corruptions import corrupt
from pipeline import adopt
from pipeline.config.params import read_config
from pipeline.io import npz
from pipeline.sources import medmnist
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace
from tests.benchmark.prediction.test_predict import MODEL, logits, noise, one_thread, open_predictor  # noqa: F401 (a fixture)
from tests.pipeline.sources.medmnist_files import release

from ..conftest import params


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """The workspace beside an adopted one and one that is built with a seed of its own; all predicted, then scored."""
    workspace = noise(tmp_path_factory.mktemp("collections"))
    release(workspace / "adopted", "breastmnist")
    assert adopt.main(["--root", str(workspace / "adopted"), "--dataset", "breastmnist"]) == 0
    built = workspace / "built"
    built.mkdir()
    (built / "params.yaml").write_text(yaml.safe_dump(params() | {"seed": 99, "datasets": ["mammo_mass"]}))
    for made in ("data/MediMeta-C/mammo_mass", "manifests/mammo_mass"):
        (built / made).parent.mkdir(parents=True)
        (workspace / made).rename(built / made)
    named = {"MediMeta-C": ["oct"], "Other": ["mammo_mass"], "MedMNIST-C": ["breastmnist"]}
    benchmark = {
        "collections": named,
        "workspaces": {"MedMNIST-C": "adopted", "Other": str(built)},
        "baseline": MODEL,
        "models": [MODEL],
        "tuned": {},
        "on_the_fly": True,
        "bootstrap": 1,
    }
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(**benchmark) | {"datasets": ["oct"]}, sort_keys=False))
    assert predict.main(["--root", str(workspace), "--model", MODEL]) == 0
    return workspace


def test_collections_of_other_workspaces_are_predicted(collections):
    workspace = Workspace(collections)
    names = medmnist.CORRUPTED["breastmnist"]
    folder = workspace.logits(MODEL, Cell("breastmnist", "test")).parent
    assert {path.stem for path in folder.glob("*.npz")} == {c.name for c in cells_of("breastmnist", "test", names)}
    model = loading.load(workspace, read_config(workspace).benchmark, MODEL, device="cpu")
    adopted, built = Workspace(collections / "adopted"), Workspace(collections / "built")
    cell = medmnist.load_corrupted("breastmnist", "motion_blur", root=adopted.raw("medmnist-c"))
    grey = np.repeat(cell[2].read(range(5)), 3, axis=-1)
    noise = npz.read(built.npz(Cell("mammo_mass", "test"))).images[..., :1]
    noisy = corrupt(noise, "impulse_noise", 3, dataset="mammo_mass", split="test", seed=99)
    for images, cell, home in (
        (grey, Cell("breastmnist", "test", "motion_blur", 3), adopted),
        (np.repeat(noisy, 3, axis=-1), Cell("mammo_mass", "test", "impulse_noise", 3), built),
    ):
        features = class_features(model, prompts(home, cell.dataset))
        with torch.inference_mode():
            expected = model.logit_scale * model.encode_images(model.preprocess(images)) @ features.T
        assert logits(collections, cell) == pytest.approx(expected.numpy(), abs=1e-3)


def test_collections_of_other_workspaces_are_scored_and_reported(collections):
    assert score.main(["--root", str(collections)]) == 0
    reports = Workspace(collections).reports
    assert json.loads((reports / "metrics.json").read_text())[MODEL]["MedMNIST-C"]["mce"] == pytest.approx(100)
    assert report.main(["--root", str(collections)]) == 0
    assert "MedMNIST-C" in (reports / "report.md").read_text()


def test_one_data_set_predicted_again_leaves_the_others_in_the_record(collections):
    assert predict.main(["--root", str(collections), "--model", MODEL, "--dataset", "breastmnist"]) == 0
    record = PredictionRecord.read(Workspace(collections), MODEL)
    assert sorted(record.prompts) == ["breastmnist", "mammo_mass", "oct"]


def test_prompts_in_the_record_are_those_that_made_the_logits(collections):
    def predicted(*, templates, only):
        values = yaml.safe_load((collections / "params.yaml").read_text())
        values["benchmark"]["prompts"] = templates
        (collections / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        assert predict.main(["--root", str(collections), "--model", MODEL, *only]) == 0
        record = PredictionRecord.read(Workspace(collections), MODEL)
        return {dataset: of_dataset.templates for dataset, of_dataset in record.prompts.items()}

    before = predicted(templates="single", only=[])
    assert set(before.values()) == {"single"}
    mixed = predicted(templates="ensemble", only=["--dataset", "breastmnist"])
    assert mixed == before | {"breastmnist": "ensemble"}
    assert predicted(templates="single", only=[]) == before


def test_a_model_that_changed_is_not_scored_by_halves(collections, capsys):
    """Both towers' weights are read from one file, so other weights are other bytes of it."""
    arguments = ["--root", str(collections), "--model", MODEL]
    places = Workspace(collections)
    path = places.model(MODEL) / phantom_clip.WEIGHTS
    before, record = path.read_bytes(), places.prediction_record(MODEL).read_bytes()
    tensors = load(before)
    save_file({name: 1.01 * tensor for name, tensor in tensors.items()}, path)
    assert predict.main([*arguments, "--dataset", "breastmnist"]) == 0
    assert places.prediction_record(MODEL).read_bytes() != record
    assert score.main(["--root", str(collections)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "oct/test/clean.npz was predicted with other weights than" in said
    path.write_bytes(before)
    assert predict.main([*arguments, "--dataset", "breastmnist"]) == 0
    assert score.main(["--root", str(collections)]) == 0


def test_versions_in_the_record_are_those_that_made_the_logits(collections, monkeypatch):
    path = Workspace(collections).prediction_record(MODEL)
    before = path.read_bytes()
    monkeypatch.setattr(predictor, "versions", lambda: {"python": "9.9"})
    arguments = ["--root", str(collections), "--model", MODEL]
    assert predict.main(arguments) == 0
    assert path.read_bytes() == before, "nothing was predicted"
    Workspace(collections).logits(MODEL, Cell("oct", "test", "clean")).unlink()
    assert predict.main(arguments) == 0
    assert json.loads(path.read_text())["versions"] == {"python": "9.9"}
    path.write_text("{")
    assert predict.main(arguments) == 0
    assert json.loads(path.read_text())["versions"] == {"python": "9.9"}, "a damaged record is written anew"


def test_a_hole_in_a_grid_of_its_own_is_named(collections):
    path = Workspace(collections).logits(MODEL, Cell("breastmnist", "test", "speckle_noise", 4))
    path.rename(path.with_suffix(".away"))
    with pytest.raises(ValueError, match=rf"{MODEL} has no logits for breastmnist/speckle_noise_severity_4 \(test\)"):
        score.score(Workspace(collections))
    path.with_suffix(".away").rename(path)


def test_mistakes_about_collections_are_named(collections, capsys):
    arguments = ["--root", str(collections), "--model", MODEL]
    assert predict.main([*arguments, "--split", "val", "--dataset", "breastmnist"]) == 1
    assert predict.main([*arguments, "--dataset", "mammo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "error: breastmnist has no split val; have test",
        "error: params.yaml has no data set 'mammo'; have oct, mammo_mass, breastmnist",
    ]
