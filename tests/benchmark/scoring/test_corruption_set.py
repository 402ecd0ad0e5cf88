"""The scores of corruptions beside the seven: apart from the others, which stay as they were to the last digit."""

import json

import pandas as pd
import pytest
import yaml

from benchmark import score
from benchmark.reporting import tables
from benchmark.reporting.tables import Entry
from benchmark.scoring import cube as cubes
from benchmark.scoring import files
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline.workspace.paths import Workspace
from tests.benchmark.conftest import CLASSES, params, write_logits

WRONG = {"speckle_noise": {"base": 10, "better": 12}, "brightness_up": {"base": 20, "better": 5}}
"""Of 40 images, by corruption and model; of the seven the base has 8 wrong and the better one 6."""


def scored(root, corruption_set, **benchmark):
    """Score the workspace with a corruption_set; return the record and the cube that the report reads."""
    (root / "params.yaml").write_text(yaml.safe_dump(params(**benchmark) | {"corruption_set": corruption_set}))
    assert score.main(["--root", str(root)]) == 0
    scores = files.read_scores(Workspace(root))
    return scores, files.read_cube(Workspace(root), scores)


@pytest.fixture
def root(workspace):
    for corruption, by_model in WRONG.items():
        for model, wrong in by_model.items():
            for name in CLASSES:
                for severity in SEVERITIES:
                    write_logits(Workspace(workspace), model, name, f"{corruption}_severity_{severity}", wrong)
    return workspace


def test_the_set_is_apart_and_the_other_scores_stay(root):
    core, _ = scored(root, "core")
    metrics = (root / "reports" / "metrics.json").read_bytes()
    columns = set(pd.read_csv(root / "reports" / "scores.csv")["corruption"])
    assert columns == {"clean", *CORRUPTIONS}
    both, cube = scored(root, list(WRONG))
    for name, model in both.models.items():
        of_set = {key: model.summary.pop(key) for key in tables.OF_SET}
        assert model == core.models[name]
        assert of_set["mce_set"].value == pytest.approx({"base": 100, "better": (120 + 25) / 2}[name])
        assert of_set["relative_mce_set"].value == pytest.approx(
            {"base": 100, "better": (400 / 3 + 100 / 16) / 2}[name]
        )
    assert both.comparisons == core.comparisons
    assert set(cube.corruption.values) == {*CORRUPTIONS, *WRONG}
    assert set(cubes.extended(cube).corruption.values) == set(WRONG)
    assert list(cubes.core(cube).corruption.values) == list(CORRUPTIONS)
    with_set = json.loads((root / "reports" / "metrics.json").read_bytes())
    assert with_set["better"].pop("mce_set") == pytest.approx(72.5)
    del with_set["base"]["mce_set"]
    assert with_set == json.loads(metrics)
    assert {*CORRUPTIONS, *WRONG} < set(pd.read_csv(root / "reports" / "scores.csv")["corruption"])
    scored(root, "core")
    assert (root / "reports" / "metrics.json").read_bytes() == metrics


def test_the_set_is_what_params_name_be_it_of_the_seven(root):
    scores, _ = scored(root, ["speckle_noise", "pixelate"])
    assert scores.models["better"].summary["mce_set"].value == pytest.approx((120 + 75) / 2)
    assert scores.datasets["oct"].extended == ("speckle_noise",)
    scores, cube = scored(root, {"oct": ["contrast"], "mammo_mass": ["brightness_up"]})
    assert scores.models["better"].summary["mce_set"].value == pytest.approx((75 + 25) / 2)
    assert not cube.present.sel(dataset="oct", corruption="brightness_up")
    scores, cube = scored(root, ["contrast"])
    assert scores.models["better"].summary["mce_set"].value == pytest.approx(75)
    assert cubes.extended(cube) is None


def test_a_held_out_one_counts_among_the_held_out(root):
    scores, _ = scored(root, list(WRONG), held_out=["contrast", "speckle_noise"])
    summary = scores.models["better"].summary
    assert summary["mce_held_out"].value == pytest.approx((75 + 120) / 2)
    assert summary["mce_trained"].value == pytest.approx(75)
    assert summary["mce"].value == pytest.approx(75)


@pytest.mark.parametrize("corruption_set", ["core", ["speckle_noise"]])
def test_a_held_out_one_that_is_not_built_is_refused(root, capsys, corruption_set):
    """Else the mean over held-out corruptions would be one over the others."""
    held_out = ["contrast", "brightness_up"]
    (root / "params.yaml").write_text(yaml.safe_dump(params(held_out=held_out) | {"corruption_set": corruption_set}))
    assert score.main(["--root", str(root)]) == 1
    assert "benchmark.held_out has brightness_up, which no data set that is scored has" in capsys.readouterr().err
    scored(root, {"oct": ["brightness_up"]}, held_out=held_out)


def test_what_was_built_and_not_predicted_is_missed(root, capsys):
    (root / "params.yaml").write_text(yaml.safe_dump(params() | {"corruption_set": list(WRONG)}))
    Workspace(root).predictions("better").joinpath("oct", "test", "speckle_noise_severity_2.npz").unlink()
    assert score.main(["--root", str(root)]) == 1
    assert "speckle_noise_severity_2" in capsys.readouterr().err


def test_a_published_baseline_need_not_have_them(root, capsys):
    rows = [f"{name},{c},,0.2" for name in CLASSES for c in CORRUPTIONS]
    lines = ["dataset,corruption,severity,error", *(f"{name},clean,,0.1" for name in CLASSES), *rows]
    (root / "numbers.csv").write_text("\n".join(lines))
    options = {"baseline": "numbers.csv", "models": ["base", "better"]}
    scores, _ = scored(root, list(WRONG), **options)
    assert scores.models["better"].summary["mce_set"].value is None
    assert scores.models["better"].summary["mce"].value == pytest.approx(75)
    more = [f"{name},{c},,0.5" for name in CLASSES for c in WRONG]
    (root / "numbers.csv").write_text("\n".join(lines + more))
    scores, _ = scored(root, list(WRONG), **options)
    assert scores.models["better"].summary["mce_set"].value == pytest.approx(100 * (12 + 5) / 2 / 20)
    (root / "numbers.csv").write_text("\n".join(lines + [row.replace(",,", ",1,") for row in more]))
    scores, _ = scored(root, list(WRONG), **options)
    assert scores.models["better"].summary["mce_set"].value is None, "one severity of five is no score"
    (root / "numbers.csv").write_text("\n".join([*lines[:3], *more]))
    scores, _ = scored(root, list(WRONG), **options)
    summary = scores.models["better"].summary
    assert summary["mce"].value is None, "the set is enough"
    assert summary["mce_set"].value == pytest.approx(100 * (12 + 5) / 2 / 20)
    (root / "numbers.csv").write_text("\n".join([*lines[:-1], *more[:-1]]))
    assert score.main(["--root", str(root)]) == 1
    assert "has no error of mammo_mass/pixelate, which is scored" in capsys.readouterr().err


def test_the_tables_have_the_set_in_columns_of_its_own(root):
    scores, cube = scored(root, list(WRONG))
    labels = {model: Entry(model) for model in scores.models}
    more = list(tables.main_tables(scores, labels))[1]
    assert "mCE, corruption set" in [column.title for column in more.columns]
    by_name = {table.name: table for table in tables.paper_tables(cube, scores, labels)}
    titles = [column.title for column in by_name["ce-by-corruption-extended"].columns]
    assert titles == ["Model", "speckle noise", "brightness up", "mean"]
    assert [cell.text for cell in by_name["ce-by-corruption-extended"].rows[1]] == ["better", "120.0", "25.0", "72.5"]
    assert by_name["ce-by-corruption"].rows[1][-1].text == "75.0"
    assert "mce_set" in tables.frame(scores)
    assert "mce_set" not in tables.frame(scored(root, "core")[0])
