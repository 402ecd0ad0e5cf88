import csv
import json

import numpy as np
import pytest
import yaml

from benchmark import score
from corruptions import CORRUPTIONS
from pipeline import manifest
from pipeline.cell import Cell
from pipeline.paths import Workspace

from .conftest import CLASSES, params, write_logits


def test_the_whole_table_by_hand(workspace):
    scores = score.score(workspace)
    base, better = (scores["models"][m]["summary"] for m in ("base", "better"))
    value = {name: line["value"] for name, line in better.items()}
    assert value["clean_error"] == pytest.approx(10)
    assert value["corrupted_error"] == pytest.approx(15)
    assert value["gap"] == pytest.approx(5)
    assert value["mce"] == pytest.approx(75)
    assert value["mce_pooled"] == pytest.approx(75)
    assert value["relative_mce"] == pytest.approx(50)
    assert value["mce_held_out"] == pytest.approx(75)
    assert value["clean_ratio"] == pytest.approx(100)
    for name in ("mce", "relative_mce", "mbe", "mrbe", "clean_ratio", "mce_pooled", "mce_trained"):
        assert base[name]["value"] == pytest.approx(100), name
        assert base[name]["low"] == pytest.approx(100), "paired: the baseline over itself is 100 in every sample"
    assert better["mce"]["low"] < 75 < better["mce"]["high"] < 100.1
    assert better["mce"]["left_out"] == []


def test_data_set_scores(workspace):
    one = score.score(workspace)["models"]["better"]["data_sets"]["mammo_mass"]
    assert one["clean"]["error"] == pytest.approx(0.1)
    # labels alternate, so four wrong are two of each class of 20
    assert one["recall"]["malignant"] == {"clean": pytest.approx(0.9), "corrupted": pytest.approx(0.85)}
    assert one["confusion"]["clean"].tolist() == [[18, 2], [2, 18]]
    assert one["confusion"]["corrupted"].sum() == 35 * 40
    assert one["corruptions"]["pixelate"]["errors"] == pytest.approx([0.15] * 5)
    assert sum(one["reliability"]["corrupted"]["images"]) == 35 * 40


def test_comparison_of_models(workspace):
    lines = score.score(workspace)["comparisons"]
    assert [(line["first"], line["second"], line["images"]) for line in lines] == [
        ("base", "better", "clean"),
        ("base", "better", "corrupted"),
    ]
    assert lines[0]["difference"] == 0
    assert lines[0]["p"] == 1
    assert lines[1]["difference"] == pytest.approx(-5)
    assert lines[1]["p"] <= lines[1]["p_holm"]


def test_an_error_free_baseline_is_named_and_the_pooled_mean_stands(workspace):
    for severity in range(1, 6):
        write_logits(Workspace(workspace), "base", "oct", f"contrast_severity_{severity}", 0)
    better = score.score(workspace)["models"]["better"]["summary"]
    assert better["mce"]["left_out"] == ["oct/contrast"]
    assert better["mce"]["value"] == pytest.approx(75)
    assert better["mce_pooled"]["left_out"] == []
    assert better["mce_pooled"]["value"] == pytest.approx((6 * 75 + 100 * 12 / 8) / 7)


def test_a_collection_is_a_mean_of_its_own(workspace):
    names = {"first": ["oct"], "second": ["mammo_mass"]}
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(collections=names)))
    for cell in score.cell_names()[1:]:
        write_logits(Workspace(workspace), "better", "oct", cell, 16)
    assert score.score(workspace)["models"]["better"]["summary"]["mce"]["value"] == pytest.approx((200 + 75) / 2)


def test_a_data_set_with_corruptions_of_its_own(workspace):
    """Two of its two corruptions at the base's 8 wrong, and the better model's 2 and 4: CE 25 and 50."""
    layout, places = Workspace(workspace), Workspace(workspace)
    facts = manifest.read_clean(layout, "oct")
    manifest.write(layout, "oct", "clean", facts | {"corruptions": ["bubble", "contrast"]})
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(collections={"a": ["mammo_mass"], "b": ["oct"]})))
    with pytest.raises(ValueError, match="base has no logits for oct/bubble_severity_1"):
        score.score(workspace)
    for severity in range(1, 6):
        for model, wrong in (("base", 8), ("better", 2)):
            write_logits(places, model, "oct", f"bubble_severity_{severity}", wrong)
        write_logits(places, "better", "oct", f"contrast_severity_{severity}", 4)
    scores = score.score(workspace)
    one = scores["models"]["better"]
    assert list(one["data_sets"]["oct"]["corruptions"]) == ["bubble", "contrast"]
    assert one["collections"]["b"]["mce"]["value"] == pytest.approx((25 + 50) / 2)
    assert one["collections"]["a"]["mce"]["value"] == pytest.approx(75)
    assert one["summary"]["mce"]["value"] == pytest.approx((75 + 37.5) / 2)
    assert one["collections"]["a"]["mce_held_out"]["value"] == pytest.approx(75)
    assert "mce_held_out" not in one["collections"]["b"], "contrast is held out, and nothing else may be trained on"
    assert score.main(["--root", str(workspace)]) == 0
    reports = places.reports
    assert json.loads((reports / "metrics.json").read_text())["better"]["b"]["mce"] == pytest.approx(37.5)
    with (reports / "plots" / "mce.csv").open() as handle:
        bars = {(row["model"], row["corruption"]): float(row["ce"]) for row in csv.DictReader(handle)}
    assert bars["better", "bubble"] == pytest.approx(25)
    assert bars["better", "contrast"] == pytest.approx((75 + 50) / 2)
    with (reports / "plots" / "severity.csv").open() as handle:
        curve = [float(row["better"]) for row in csv.DictReader(handle)]
    assert curve == pytest.approx([10, *[(15 + (5 + 10) / 2) / 2] * 5])


def test_a_hole_is_named(workspace):
    Workspace(workspace).logits("better", Cell("oct", "test", "contrast_severity_3")).unlink()
    with pytest.raises(ValueError, match=r"better has no logits for oct/contrast_severity_3 \(test\)"):
        score.score(workspace)


def test_foreign_labels_are_refused(workspace, capsys):
    labels = np.roll(np.arange(40) % 4, 1)
    write_logits(Workspace(workspace), "better", "oct", "clean", 4, labels)
    assert score.main(["--root", str(workspace)]) == 1
    assert "labels are not those of manifests/oct/clean.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((40, 3), np.float32)}, r"finite float32 \(40, 4\)"),
        ({"logits": np.full((40, 4), np.nan, np.float32)}, "finite"),
        ({"indices": np.arange(40)[::-1]}, "indices must be 0 to 39"),
    ],
)
def test_damaged_logits_are_refused(workspace, change, message):
    path = Workspace(workspace).logits("better", Cell("oct", "test", "clean"))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, **change})
    with pytest.raises(ValueError, match=message):
        score.score(workspace)


def test_logits_of_several_weights_are_refused(workspace, capsys):
    """As after predicting one data set alone with a model that was tuned anew."""
    path = Workspace(workspace).logits("better", Cell("oct", "test", "pixelate_severity_2"))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, "weights": "older"})
    assert score.main(["--root", str(workspace)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{path} was predicted with other weights than" in said
    assert "run `python -m benchmark.predict --model better`" in said


def test_a_cut_file_is_refused(workspace):
    path = Workspace(workspace).logits("better", Cell("oct", "test", "clean"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="not a whole file"):
        score.score(workspace)


def test_label_order_audit(workspace):
    found = score.score(workspace)["label_order"]
    assert list(found) == ["base"], "only models that were not tuned"
    mass = found["base"]["mammo_mass"]
    assert mass["order"] == ["malignant", "benign"]
    assert mass["own"]["clean"] == pytest.approx(0.9)
    assert mass["theirs"]["clean"] == pytest.approx(0.1), "two classes swapped: right is wrong"
    # oct: CNV, NORMAL, DME, DRUSEN instead of CNV, DME, DRUSEN, NORMAL: one of four classes keeps its place
    logits = {"clean": np.eye(4, dtype=np.float32)}
    swapped = score.label_order(logits | {"x": logits["clean"]}, np.arange(4), "oct", tuple(CLASSES["oct"]))
    assert swapped["theirs"]["clean"] == pytest.approx(0.25)


def test_written_files_agree(workspace, capsys):
    assert score.main(["--root", str(workspace)]) == 0
    assert "mce   75.0" in capsys.readouterr().out
    reports = Workspace(workspace).reports
    scores = json.loads((reports / "scores.json").read_text())
    assert json.loads((reports / "metrics.json").read_text())["better"]["mce"] == pytest.approx(75)
    with (reports / "scores.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * len(CLASSES) * (1 + 5 * len(CORRUPTIONS))
    assert scores["models"]["better"]["summary"]["mce"]["value"] == pytest.approx(75)
    with (reports / "plots" / "severity.csv").open() as handle:
        curve = [float(row["better"]) for row in csv.DictReader(handle)]
    assert curve == pytest.approx([10, 15, 15, 15, 15, 15])
    first = (reports / "scores.json").read_bytes()
    score.main(["--root", str(workspace)])
    assert (reports / "scores.json").read_bytes() == first
