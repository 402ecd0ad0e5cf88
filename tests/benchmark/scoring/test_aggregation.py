"""Ratios and means by hand, also where data sets and collections differ in their corruptions."""

import numpy as np
import pytest
import xarray as xr

from benchmark.scoring import aggregation
from benchmark.scoring.aggregation import ce, clean_ratio, defined_mean, relative_ce, summarise, undefined
from benchmark.scoring.records import Setting
from corruptions import SEVERITIES

from .cubes import COLLECTIONS, MODELS, cube_of, measured

# Hendrycks & Dietterich 2019. AlexNet's error by corruption, averaged over severities, from the released scores, in the
# order gauss, shot, impulse, defocus, glass, motion, zoom, snow, frost, fog, bright, contrast, elastic, pixel, jpeg.
ALEXNET_CLEAN = 0.435
ALEXNET = np.ravel(
    [
        [0.886428, 0.894468, 0.922640, 0.819880, 0.826268],
        [0.785948, 0.798360, 0.866816, 0.826572, 0.819324],
        [0.564592, 0.853204, 0.646056, 0.717840, 0.606500],
    ]
)
# ResNet-50's two published rows, in whole percent, and its published clean error.
RESNET_CLEAN = 0.239
RESNET_CE = np.array([80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77])
RESNET_RELATIVE_CE = np.array([104, 107, 107, 97, 126, 107, 110, 101, 97, 79, 62, 89, 146, 111, 132])


def errors_of(clean, corrupted):
    """A cube of one data set: clean errors (model,) and errors (model, corruption), alike at every severity."""
    by_severity = np.repeat(np.asarray(corrupted)[:, :, None], len(SEVERITIES), axis=2)
    models = [f"model {k}" for k in range(len(clean))]
    return xr.Dataset(
        {"error": (("model", "corruption", "severity"), by_severity), "clean_error": ("model", clean)},
        {"model": models},
    )


def test_published_imagenet_c_rows():
    # The relative row has the finer grain, so errors are read back from it and must give the other row and both means.
    errors = RESNET_RELATIVE_CE / 100 * (ALEXNET - ALEXNET_CLEAN) + RESNET_CLEAN
    cube = errors_of([ALEXNET_CLEAN, RESNET_CLEAN], [ALEXNET, errors])
    alexnet, resnet = ce(cube, "model 0").transpose("model", "corruption")
    assert np.abs(resnet - RESNET_CE).max() < 1
    assert round(float(resnet.mean()), 1) == 76.7
    assert alexnet.values == pytest.approx(np.full(15, 100))
    alexnet, resnet = relative_ce(cube, "model 0")
    assert round(float(resnet.mean()), 1) == 105.0
    assert alexnet.values == pytest.approx(np.full(15, 100))


def cube_by_severity(clean, errors):
    return xr.Dataset(
        {"error": (("model", "severity"), errors), "clean_error": ("model", clean)}, {"model": ["base", "own"]}
    )


def test_ce_sums_over_severities_before_it_divides():
    assert ce(cube_by_severity([0, 0], [[0.2, 0.2], [0.1, 0.5]]), "base").sel(model="own") == pytest.approx(150)
    relative = relative_ce(cube_by_severity([0.1, 0.2], [[0.2, 0.3], [0.3, 0.5]]), "base").sel(model="own")
    assert relative == pytest.approx(100 * 0.4 / 0.3)


@pytest.mark.parametrize("base", [[0.2, 0.2], [0.1, 0.2]], ids=["no worse", "better"])
def test_relative_ce_is_undefined_where_the_baseline_does_not_get_worse(base):
    assert np.isnan(relative_ce(cube_by_severity([0.2, 0.1], [base, [0.5, 0.5]]), "base")).all()


def test_ce_is_undefined_where_the_baseline_makes_no_error():
    models = {
        "base": {"a": measured(4, contrast=0, pixelate=8)},
        "better": {"a": measured(4, contrast=4, pixelate=4)},
    }
    cube = cube_of(models, {"all": ("a",)})
    ratio = ce(cube, "base")
    assert undefined(ratio) == ("a/contrast",)
    assert np.isnan(ratio.sel(model="better", corruption="contrast")).all()
    mce = summarise(cube, "base")["better"]["mce"]
    assert (mce.value, mce.left_out) == (50, ("a/contrast",))


def test_a_mean_leaves_out_what_is_undefined_and_what_a_sample_lacks():
    values = xr.DataArray(
        [[1.0, 1.0], [3.0, np.nan], [np.nan, 7.0]],
        dims=("dataset", "sample"),
        coords={"dataset": ["a", "b", "c"], "sample": [0, 1]},
    )
    assert defined_mean(values, "dataset").values.tolist() == [2.0, 1.0], "c has no point estimate, so no sample counts"
    assert undefined(values) == ("c",)
    assert np.isnan(defined_mean(values.sel(dataset=["c"]), "dataset")).all()


def values(models=MODELS, **grid):
    summary = summarise(cube_of(models, COLLECTIONS, **grid), "base")
    return {model: {name: line.value for name, line in lines.items()} for model, lines in summary.items()}


def test_every_data_set_is_averaged_over_its_own_corruptions():
    scores = values()
    # a: 50, 100; b: 100, 50; c: 50, 150; ours 75, theirs 100
    assert scores["better"]["mce"] == pytest.approx((75 + 100) / 2)
    # ours: contrast 12/16, pixelate 15/20; theirs as above
    assert scores["better"]["mce_pooled"] == pytest.approx((75 + 100) / 2)
    assert scores["better"]["clean_error"] == pytest.approx(100 * (4 / 40 + 2 / 40) / 2)
    assert scores["better"]["clean_ratio"] == pytest.approx((100 + 50) / 2)
    assert scores["base"]["mce"] == 100
    assert "mce_held_out" not in scores["base"]


def test_a_corruption_that_a_data_set_lacks_is_absent_and_not_undefined():
    cube = cube_of(MODELS, COLLECTIONS)
    assert undefined(ce(cube, "base")) == ()
    assert not cube.present.sel(dataset="c", corruption="pixelate")
    assert np.isnan(cube.error.sel(dataset="c", corruption="pixelate")).all()


def test_groups_of_corruptions_count_where_they_are():
    scores = values(held_out=("contrast",), trained=("pixelate",))["better"]
    assert scores["mce_held_out"] == pytest.approx(((50 + 100) / 2 + 150) / 2)
    # "theirs" has none of those that may be trained on; its stain is neither
    assert scores["mce_trained"] == pytest.approx((100 + 50) / 2)
    assert scores["mce_pooled_trained"] == pytest.approx(75)
    alone = aggregation.by_collection(
        cube_of(MODELS, COLLECTIONS, held_out=("contrast",), trained=("pixelate",)), "base"
    )
    assert alone["ours"]["better"]["mce_held_out"].value == pytest.approx(75)
    assert "mce_held_out" not in alone["theirs"]["better"], "there is nothing that may be trained on"


def test_tables_of_a_paper():
    cube = cube_of(MODELS, COLLECTIONS).sel(sample=0)
    ratio = ce(cube, "base").sel(model="better")
    assert defined_mean(ratio, "dataset").to_series().to_dict() == pytest.approx(
        {"contrast": 100.0, "pixelate": 75.0, "stain": 50.0}
    )
    by_dataset = defined_mean(ratio, "corruption")
    assert by_dataset.to_series().to_dict() == pytest.approx({"a": 75.0, "b": 75.0, "c": 100.0})
    assert aggregation.by_modality(by_dataset).to_series().to_dict() == pytest.approx({"eyes": 100.0, "skin": 75.0})
    assert clean_ratio(cube, "base").sel(model="better").to_series().to_dict() == pytest.approx(
        {"a": 100.0, "b": 100.0, "c": 50.0}
    )


def test_mean_and_deviation_over_seeds():
    errors = {"base": (8, None), "zeta": (4, 1), "zeta-2": (7, 2), "alpha": (6, 1)}
    models = {model: {"a": measured(4, contrast=wrong)} for model, (wrong, _) in errors.items()}
    settings = {model: Setting(name=model.removesuffix("-2"), seed=seed) for model, (_, seed) in errors.items()}
    cube = cube_of(models, {"all": ("a",)}, settings=settings).sel(sample=0)
    table = aggregation.over_seeds(defined_mean(ce(cube, "base"), "corruption").sel(dataset="a"))
    assert table.setting.values.tolist() == ["base", "zeta", "alpha"], "in the order of params.yaml"
    assert table["mean"].values == pytest.approx([100, (50 + 87.5) / 2, 75])
    assert table.seeds.values.tolist() == [1, 2, 1]
    assert table["std"].values == pytest.approx([np.nan, np.std([50, 87.5], ddof=1), np.nan], nan_ok=True)
