import numpy as np
import pytest
import xarray as xr

from benchmark.scoring.cube import COLUMNS, combine, from_tidy, tidy
from benchmark.scoring.measure import METRICS

from .cubes import COLLECTIONS, LABELS, MODELS, cube_of, grid_of, measured


def test_the_tidy_table_has_a_row_a_cell_and_metric_and_comes_back():
    cube = cube_of(MODELS, COLLECTIONS)
    table = tidy(cube)
    assert list(table.columns) == COLUMNS
    cells = 3 * (1 + 2 * 5)  # three data sets, each with two corruptions
    assert len(table) == 2 * cells * len(METRICS)
    row = table.set_index(COLUMNS[:-1])["value"]
    assert row["better", "c", "stain", 3, "error"] == pytest.approx(10 / 40)
    assert row["better", "c", "clean", 0, "error"] == pytest.approx(2 / 40)
    assert ("better", "c", "pixelate", 3, "error") not in row.index
    xr.testing.assert_equal(from_tidy(table, grid_of(MODELS, COLLECTIONS)), cube.sel(sample=0, drop=True))


def test_the_order_is_that_of_the_grid():
    models = {"zeta": MODELS["base"], "alpha": MODELS["better"]}
    collections = {"theirs": ("c",), "ours": ("b", "a")}
    cube = from_tidy(tidy(cube_of(models, collections)), grid_of(models, collections))
    assert cube.model.values.tolist() == ["zeta", "alpha"]
    assert cube.dataset.values.tolist() == ["c", "b", "a"]
    assert cube.corruption.values.tolist() == ["stain", "contrast", "pixelate"]
    assert cube.error.sel(model="alpha", dataset="c", corruption="stain", severity=5) == pytest.approx(10 / 40)


def test_a_hole_is_never_averaged_over():
    grid = grid_of(MODELS, COLLECTIONS)
    scores = {model: {name: one.scores for name, one in by_name.items()} for model, by_name in MODELS.items()}
    lacking = scores["better"]["c"].drop_sel(severity=4)
    with pytest.raises(ValueError, match=r"better/c/contrast at severity 4 and 1 more have no error"):
        combine(scores | {"better": scores["better"] | {"c": lacking}}, grid)
    table = tidy(cube_of(MODELS, COLLECTIONS))
    lost = (table.model == "base") & (table.dataset == "a") & (table.severity == 0)
    with pytest.raises(ValueError, match="base/a/clean has no error"):
        from_tidy(table[~lost], grid)


def test_a_metric_that_is_undefined_has_a_row_without_a_value():
    models = {"base": {"a": measured(4, np.zeros_like(LABELS), contrast=8)}}
    table = tidy(cube_of(models, {"all": ("a",)}))
    assert table[table.metric == "auroc"].value.isna().all()
    assert table[table.metric != "auroc"].value.notna().all()


def test_balanced_error_weighs_classes_alike():
    """Of 30 images of one class and 10 of the other, the first two and the first five of the second are wrong."""
    labels = np.repeat([0, 1], [30, 10])
    one = measured([0, 1], labels, contrast=[0, 1, 30, 31, 32, 33, 34]).scores.sel(sample=0)
    assert one.clean_balanced_error == pytest.approx((2 / 30) / 2)
    assert one.balanced_error.values == pytest.approx(np.full((1, 5), (2 / 30 + 5 / 10) / 2))
    assert one.error.values == pytest.approx(np.full((1, 5), 7 / 40))
