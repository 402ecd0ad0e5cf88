import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from benchmark import score
from benchmark.prediction.logits import read_logits, write_logits
from benchmark.scoring import files
from benchmark.scoring.aggregation import ce
from benchmark.scoring.evaluation import evaluate
from benchmark.scoring.measure import label_order
from corruptions import CORRUPTIONS
from pipeline.errors import UserError
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace
from tests.benchmark import conftest
from tests.benchmark.conftest import CLASSES, params


def scored(root):
    return evaluate(Workspace(root))[0]


def write(root, model, cell, wrong, labels=None):
    conftest.write_logits(Workspace(root), model, cell.dataset, cell.name, wrong, labels)


def test_the_main_table_by_hand(workspace):
    scores = scored(workspace)
    base, better = (scores.models[model].summary for model in ("base", "better"))
    value = {name: line.value for name, line in better.items()}
    assert value["clean_error"] == pytest.approx(10)
    assert value["corrupted_error"] == pytest.approx(15)
    assert value["gap"] == pytest.approx(5)
    assert value["mce"] == pytest.approx(75)
    assert value["mce_pooled"] == pytest.approx(75)
    assert value["relative_mce"] == pytest.approx(50)
    assert value["mce_held_out"] == pytest.approx(75)
    assert value["clean_ratio"] == pytest.approx(100)
    for name in ("mce", "relative_mce", "mbe", "mrbe", "clean_ratio", "mce_pooled", "mce_trained"):
        assert base[name].value == 100, name
        assert base[name].low == base[name].high == 100, "paired: the baseline over itself is 100 in every sample"
    assert better["mce"].low < 75 < better["mce"].high < 100.1
    assert better["mce"].left_out == ()


def test_one_data_set(workspace):
    scores, cube = evaluate(Workspace(workspace))
    one = scores.models["better"].datasets["mammo_mass"]
    # labels alternate, so four wrong are two of each class of 20
    assert (one.recall["malignant"].clean, one.recall["malignant"].corrupted) == (0.9, 0.85)
    assert one.confusion["clean"] == ((18, 2), (2, 18))
    assert np.sum(one.confusion["corrupted"]) == 35 * 40
    assert sum(one.reliability["corrupted"].images) == 35 * 40
    cells = cube.sel(model="better", dataset="mammo_mass", sample=0)
    assert cells.clean_error == pytest.approx(0.1)
    assert cells.error.sel(corruption="pixelate").values == pytest.approx([0.15] * 5)
    assert scores.datasets["mammo_mass"].per_class == (20, 20)


def test_comparison_of_models(workspace):
    clean, corrupted = scored(workspace).comparisons
    assert (clean.first, clean.second, clean.images, corrupted.images) == ("base", "better", "clean", "corrupted")
    assert (clean.difference, clean.p) == (0, 1)
    assert corrupted.difference == pytest.approx(-5)
    assert corrupted.p <= corrupted.p_holm


def test_an_error_free_baseline_is_named_and_the_pooled_mean_stands(workspace):
    for severity in range(1, 6):
        write(workspace, "base", Cell("oct", "test", "contrast", severity), 0)
    better = scored(workspace).models["better"].summary
    assert better["mce"].left_out == ("oct/contrast",)
    assert better["mce"].value == pytest.approx(75)
    assert better["mce_pooled"].left_out == ()
    assert better["mce_pooled"].value == pytest.approx((6 * 75 + 100 * 12 / 8) / 7)


def test_a_collection_is_a_mean_of_its_own(workspace):
    names = {"second": ["oct"], "first": ["mammo_mass"]}
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(collections=names), sort_keys=False))
    for cell in cells_of("oct", "test"):
        write(workspace, "better", cell, 4 if cell.is_clean else 16)
    scores = scored(workspace)
    better = scores.models["better"]
    assert better.summary["mce"].value == pytest.approx((200 + 75) / 2)
    assert {name: summary["mce"].value for name, summary in better.collections.items()} == {"second": 200, "first": 75}
    assert list(scores.datasets) == ["oct", "mammo_mass"]


def test_a_data_set_with_corruptions_of_its_own(workspace):
    """Two of its two corruptions at the base's 8 wrong, and the better model's 2 and 4: CE 25 and 50."""
    place = Workspace(workspace)
    clean = manifest.read_clean(place, "oct").changed(corruptions=("bubble", "contrast"))
    manifest.write(place, clean)
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(collections={"a": ["mammo_mass"], "b": ["oct"]})))
    with pytest.raises(UserError, match="base has no logits for oct/bubble_severity_1"):
        scored(workspace)
    for severity in range(1, 6):
        for model, wrong in (("base", 8), ("better", 2)):
            write(workspace, model, Cell("oct", "test", "bubble", severity), wrong)
        write(workspace, "better", Cell("oct", "test", "contrast", severity), 4)
    assert score.main(["--root", str(workspace)]) == 0
    scores = files.read_scores(place)
    cube = files.read_cube(place, scores)
    better = scores.models["better"]
    assert scores.datasets["oct"].corruptions == ("bubble", "contrast")
    assert ce(cube, "base").sel(model="better", dataset="oct", corruption="bubble") == pytest.approx(25)
    assert cube.corruption.values[cube.present.sel(dataset="oct")].tolist() == ["contrast", "bubble"]
    assert better.collections["b"]["mce"].value == pytest.approx((25 + 50) / 2)
    assert better.collections["a"]["mce"].value == pytest.approx(75)
    assert better.summary["mce"].value == pytest.approx((75 + 37.5) / 2)
    assert better.collections["a"]["mce_held_out"].value == pytest.approx(75)
    assert "mce_held_out" not in better.collections["b"], "contrast is held out, and nothing else may be trained on"
    assert json.loads((place.reports / "metrics.json").read_text())["better"]["b"]["mce"] == pytest.approx(37.5)
    with (place.reports / "plots" / "mce.csv").open() as handle:
        bars = {(row["model"], row["corruption"]): float(row["ce"]) for row in csv.DictReader(handle)}
    assert bars["better", "bubble"] == pytest.approx(25)
    assert bars["better", "contrast"] == pytest.approx((75 + 50) / 2)
    with (place.reports / "plots" / "severity.csv").open() as handle:
        curve = [float(row["better"]) for row in csv.DictReader(handle)]
    assert curve == pytest.approx([10, *[(15 + (5 + 10) / 2) / 2] * 5])


def test_a_hole_is_named(workspace):
    Workspace(workspace).logits("better", Cell("oct", "test", "contrast", 3)).unlink()
    with pytest.raises(UserError, match=r"better has no logits for oct/contrast_severity_3 \(test\)"):
        scored(workspace)


def test_foreign_labels_are_refused(workspace, capsys):
    write(workspace, "better", Cell("oct", "test"), 4, np.roll(np.arange(40) % 4, 1))
    assert score.main(["--root", str(workspace)]) == 1
    assert "labels are not those of manifests/oct/clean.json" in capsys.readouterr().err


def nan_logits(count):
    logits = np.zeros((40, 4), np.float32)
    logits[0, :count] = np.nan, np.inf
    return logits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((40, 3), np.float32)}, r"logits must be float32 \(40, 4\), not float32 \(40, 3\)"),
        ({"logits": np.zeros((40, 4))}, "not float64"),
        ({"logits": nan_logits(2)}, "2 of 160 logits are NaN or infinite; better or its weights are broken"),
        ({"indices": np.arange(40)[::-1]}, "indices must be 0 to 39"),
        ({"labels": np.zeros(40)}, "labels are not those"),
        ({"weights": "older"}, r"was predicted with other weights than .*record.json names; run `python -m"),
    ],
)
def test_what_is_not_the_cells_logits_is_refused(workspace, change, message):
    path = Workspace(workspace).logits("better", Cell("oct", "test", "pixelate", 2))
    write_logits(path, read_logits(path)._replace(**change))
    with pytest.raises(UserError, match=message):
        scored(workspace)


def test_a_cut_file_is_refused(workspace):
    path = Workspace(workspace).logits("better", Cell("oct", "test"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="not a whole file"):
        scored(workspace)


def test_a_split_of_one_class_is_scored_without_auroc(workspace, capsys):
    """Which says why, while all that has a value keeps it."""
    labels = np.zeros(40, np.int64)
    conftest.write_manifest(Workspace(workspace), "oct", {"test": conftest.entry(labels)})
    for model in ("base", "better"):
        for cell in cells_of("oct", "test"):
            write(workspace, model, cell, 4 if cell.is_clean else 6, labels)
    assert score.main(["--root", str(workspace)]) == 0
    assert "oct has no auroc: every image is of class 'CNV'" in capsys.readouterr().out
    scores = files.read_scores(Workspace(workspace))
    assert scores.datasets["oct"].undefined == {
        "auroc": "every image is of class 'CNV', and AUROC needs images of at least two classes"
    }
    assert scores.datasets["mammo_mass"].undefined == {}
    better = scores.models["better"].summary
    assert better["auroc_clean"].left_out == better["auroc_corrupted"].left_out == ("oct",)
    assert better["auroc_clean"].value == pytest.approx(90)
    assert better["clean_balanced_error"].value == pytest.approx(10)
    assert better["mce"].value == pytest.approx((100 + 75) / 2)


def test_no_auroc_at_all_is_a_dash(workspace, capsys):
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(collections={"a": ["oct"]})))
    labels = np.zeros(40, np.int64)
    conftest.write_manifest(Workspace(workspace), "oct", {"test": conftest.entry(labels)})
    for model in ("base", "better"):
        for cell in cells_of("oct", "test"):
            write(workspace, model, cell, 0, labels)
    assert score.main(["--root", str(workspace)]) == 0
    assert "mce -" in capsys.readouterr().out, "the baseline makes no error"
    better = files.read_scores(Workspace(workspace)).models["better"].summary
    assert better["auroc_clean"].value is better["mce"].value is better["mce"].low is None
    assert json.loads((Workspace(workspace).reports / "metrics.json").read_text())["better"]["mce"] is None


def test_one_image_of_a_class_has_an_interval_from_the_samples_that_have_it(workspace):
    labels = np.zeros(40, np.int64)
    labels[7] = 1
    conftest.write_manifest(Workspace(workspace), "mammo_mass", {"test": conftest.entry(labels)})
    for model in ("base", "better"):
        for cell in cells_of("mammo_mass", "test"):
            write(workspace, model, cell, 4, labels)
    auroc = scored(workspace).models["better"].summary["auroc_clean"]
    assert auroc.low <= auroc.value <= auroc.high
    assert auroc.left_out == ()


def test_label_order_audit(workspace):
    scores = scored(workspace)
    assert scores.models["better"].label_order == {}, "only models that were not tuned"
    mass = scores.models["base"].label_order["mammo_mass"]
    assert mass.order == ("malignant", "benign")
    assert mass.own.clean == pytest.approx(0.9)
    assert mass.theirs.clean == pytest.approx(0.1), "two classes swapped: right is wrong"
    # oct: CNV, NORMAL, DME, DRUSEN instead of CNV, DME, DRUSEN, NORMAL: one of four classes keeps its place
    logits = np.stack([np.eye(4, dtype=np.float32)] * 2)
    swapped = label_order(logits, np.arange(4), CLASSES["oct"], ["CNV", "NORMAL", "DME", "DRUSEN"])
    assert swapped.theirs.clean == pytest.approx(0.25)
    assert label_order(logits, np.arange(4), ["a", "b", "c", "d"], ["CNV"]).theirs is None


def test_models_that_differ_by_their_seed_share_a_setting(workspace):
    tuned = {"better": {"base": "base", "rank": 8}, "best": {"base": "base", "seed": 2}, "last": {"base": "base"}}
    tuned["last"]["rank"] = 4
    (workspace / "params.yaml").write_text(
        yaml.safe_dump(params(tuned=tuned, models=["base", "best", "better", "last"]))
    )
    place = Workspace(workspace)
    for model in ("best", "last"):
        conftest.write_record(place.prediction_record(model), conftest.prediction_record(model))
        for cell in (cell for name in CLASSES for cell in cells_of(name, "test")):
            write(workspace, model, cell, 5)
    settings = scored(workspace).settings
    assert {model: (setting.name, setting.seed) for model, setting in settings.items()} == {
        "base": ("base", None),
        "best": ("best", 2),
        "better": ("best", 1),
        "last": ("last", 1),
    }


def test_the_files_agree(workspace, capsys):
    assert score.main(["--root", str(workspace)]) == 0
    assert "mce   75.0" in capsys.readouterr().out
    place = Workspace(workspace)
    scores, cube = evaluate(place)
    assert files.read_scores(place) == scores
    xr.testing.assert_equal(files.read_cube(place, scores), cube.sel(sample=0, drop=True))
    assert json.loads((place.reports / "metrics.json").read_text())["better"]["mce"] == pytest.approx(75)
    table = pd.read_csv(place.reports / "scores.csv")
    assert len(table) == 2 * len(CLASSES) * (1 + 5 * len(CORRUPTIONS)) * 4
    pd.testing.assert_frame_equal(table, pd.read_parquet(place.reports / "scores.parquet"), rtol=1e-8)
    with (place.reports / "plots" / "severity.csv").open() as handle:
        curve = [float(row["better"]) for row in csv.DictReader(handle)]
    assert curve == pytest.approx([10, 15, 15, 15, 15, 15])
    paths = [path for path in place.reports.rglob("*") if path.is_file()]
    first = [path.read_bytes() for path in paths]
    score.main(["--root", str(workspace)])
    assert [path.read_bytes() for path in paths] == first


def test_files_of_different_runs_are_refused(workspace):
    assert score.main(["--root", str(workspace)]) == 0
    place = Workspace(workspace)
    scores = files.read_scores(place)
    path = place.reports / "scores.parquet"
    table = pd.read_parquet(path)
    for damaged in (table[table.model != "better"], table.drop(columns="metric"), pd.concat([table, table])):
        damaged.to_parquet(path)
        with pytest.raises(UserError, match=r"scores.parquet is not the table of .*scores.json .*benchmark.score"):
            files.read_cube(place, scores)
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"scores.parquet is not the table"):
        files.read_cube(place, scores)
    path.unlink()
    with pytest.raises(UserError, match=r"no .*scores.parquet: run `python -m benchmark.score`"):
        files.read_cube(place, scores)


def test_a_spreadsheet_shows_names_and_does_not_compute_them(tmp_path):
    path = tmp_path / "table.csv"
    files.write_csv(
        path, pd.DataFrame({"=model": ["=cmd|' /C calc'!A0", "@x", "-1+2", "plain"], "value": [-1.5, 2, 3, np.nan]})
    )
    assert path.read_text().splitlines() == ["'=model,value", "'=cmd|' /C calc'!A0,-1.5", "'@x,2", "'-1+2,3", "plain,"]


def test_help_does_not_import_what_only_the_work_needs():
    code = "import sys, benchmark.score; print(sorted({'xarray', 'pandas', 'torch', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_scoring_needs_no_torch():
    code = (
        "import sys, benchmark.scoring.files, benchmark.scoring.evaluation;"
        " print({'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_docs_examples_run(workspace, monkeypatch):
    assert score.main(["--root", str(workspace)]) == 0
    text = (Path(__file__).parents[3] / "docs" / "scores.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "read_cube" in block)
    monkeypatch.chdir(workspace)
    results = {}
    exec(example.replace('"rmedclip"', '"better"').replace("over_seeds(over", "result = over_seeds(over"), results)
    assert results["result"]["mean"].sel(setting="better") == pytest.approx(75)
