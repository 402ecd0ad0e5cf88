"""A grid of tuned models: every point trained once, and scored under the grid's name."""

import json

import yaml

from benchmark import predict, report, score, tune
from benchmark.scoring.records import settings_of
from benchmark.tuning.records import TuneRecord
from pipeline.config.params import read_config
from pipeline.workspace.paths import Workspace


def change(root, **tuned):
    params = yaml.safe_load((root / "params.yaml").read_text())
    base = {"base": "phantom-clip", "augment": False, "epochs": 2, "rank": 2}
    params["benchmark"]["tuned"] = {"r": {**base, **tuned}}
    params["benchmark"] |= {"models": ["phantom-clip", "r"], "baseline": "phantom-clip"}
    params["benchmark"]["on_the_fly"] = True
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def run(root, stage, model):
    assert stage.main(["--root", str(root), "--model", model]) == 0


def test_a_point_that_is_added_is_trained_alone_and_all_are_scored(trained, capsys):
    change(trained, shots=[1, 2], seed=[1])
    run(trained, tune, "r")
    capsys.readouterr()
    run(trained, tune, "r")
    assert capsys.readouterr().out.count("nothing to do") == 2
    change(trained, shots=[1, 2, 3], seed=[1])
    run(trained, tune, "r")
    said = capsys.readouterr().out
    assert said.count("nothing to do") == 2
    assert said.count("shots, 2 epochs") == 1
    assert "tune r/shots3-seed1: 18 shots" in said
    for model in ("phantom-clip", "r"):
        run(trained, predict, model)
    workspace = Workspace(trained)
    scores = score.score(workspace)
    points = [f"r/shots{shots}-seed1" for shots in (1, 2, 3)]
    assert list(scores.models) == ["phantom-clip", *points]
    assert [scores.models[name].prediction.tuning.settings.shots for name in points] == [1, 2, 3]
    head = (trained / "reports" / "plots" / "severity.csv").read_text().splitlines()[0]
    assert head == "severity,phantom-clip,r", "dvc.yaml plots the names of params.yaml"
    report.report(workspace)
    assert points[0] in (trained / "reports" / "report.md").read_text()


def test_a_model_that_becomes_a_grid_is_not_trained_anew(trained, capsys):
    change(trained, shots=2, seed=7)
    run(trained, tune, "r")
    before = TuneRecord.read(Workspace(trained), "r")
    change(trained, shots=[2], seed=[7, 8])
    capsys.readouterr()
    run(trained, tune, "r")
    said = capsys.readouterr().out
    assert "tune r/shots2-seed7: r was trained with the same settings, images and base; copied" in said
    assert said.count("shots, 2 epochs") == 1
    after = TuneRecord.read(Workspace(trained), "r/shots2-seed7")
    assert after == before
    card = (Workspace(trained).adapter("r/shots2-seed7") / "README.md").read_text()
    assert "r/shots2-seed7" in card
    assert json.loads((trained / "data/models/r/shots2-seed7/live/metrics.json").read_text())


def test_all_of_val_is_tuned_on_and_the_epoch_chosen_on_train(trained, capsys):
    change(trained, percent=[100], split="val")
    run(trained, tune, "r")
    assert "the epoch is chosen on 48 images (train)" in capsys.readouterr().out
    record = TuneRecord.read(Workspace(trained), "r/percent100")
    assert record.chosen_on == "train"
    assert record.summary().shots == {"oct": 8, "mammo_mass": 8}


def test_seeds_of_a_point_are_one_setting_named_without_them(workspace):
    change(workspace, shots=[1, 2], seed=[1, 2])
    settings = settings_of(read_config(Workspace(workspace)).benchmark)
    assert {model: (setting.name, setting.seed) for model, setting in settings.items()} == {
        "phantom-clip": ("phantom-clip", None),
        **{f"r/shots{k}-seed{seed}": (f"r/shots{k}", seed) for k in (1, 2) for seed in (1, 2)},
    }
