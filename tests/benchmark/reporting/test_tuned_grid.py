"""The few-shot curve, the ranks and the mean over seeds, of scores that are made up and known."""

import itertools

import numpy as np
import pytest
import xarray as xr

from benchmark.reporting import documents, tuned_grid
from benchmark.reporting.content import Content
from benchmark.scoring import files
from benchmark.scoring.aggregation import summarise
from benchmark.scoring.records import Setting
from benchmark.tuning.records import TuningSettings, TuningSummary

from ..conftest import prediction_record

RANKS, PERCENTS, SEEDS = (8, 16), (1.0, 10.0, 100.0), (1, 2, 3)


def as_grid(scores, cube, points=None):
    """Add a tuned model for every point (rank, percent, seed); each has a known part of its pattern's errors.

    mCE falls from 70 at rank 8 and 1 % to 36 at rank 16 and 100 %; seeds are 2 points apart.
    """
    base, pattern = scores.baseline, next(m for m in scores.models if m != scores.baseline)
    cubes, models = [cube.sel(model=[base])], {base: scores.models[base]}
    settings = {base: Setting(name=base, seed=None)}
    points = list(itertools.product(RANKS, PERCENTS, SEEDS)) if points is None else points
    for rank, percent, seed in points:
        name, setting = (f"r{rank}-{percent:g}-s{k}" for k in (seed, points[0][2]))
        part = (80 - rank / 4 - 15 * np.log10(percent) - 8 + 2 * seed) / 100
        of_model = cube.sel(model=[pattern]).assign_coords(
            model=[name], setting=("model", [setting]), seed=("model", [seed])
        )
        of_base = cube.sel(model=base)
        for errors in ("error", "clean_error"):
            of_model[errors] = part * of_base[errors].expand_dims(model=[name])
        cubes.append(of_model)
        shared = {"shots": 0, "percent": percent, "base": base, "augment": True}
        tuning = TuningSummary(
            settings=TuningSettings(rank=rank, seed=seed, **shared),
            shots={},
            parameters=1,
            corruptions=(),
            best_epoch=1,
            scale=1.0,
            chosen_on="val",
        )
        prediction = prediction_record(name, tuning=tuning)
        prediction = prediction.changed(model=prediction.model.changed(title=name))
        models[name] = scores.models[pattern].changed(prediction=prediction)
        settings[name] = Setting(name=setting, seed=seed)
    cube = xr.concat(cubes, "model", data_vars="minimal")
    summaries = summarise(cube, base)
    models = {name: found.changed(summary=summaries[name]) for name, found in models.items()}
    return scores.changed(models=models, settings=settings, comparisons=()), cube


@pytest.fixture(scope="module")
def scored(first_report):
    scores = files.read_scores(first_report)
    return scores, files.read_cube(first_report, scores)


def expected(rank, percent):
    """Return the mean mCE over the three seeds."""
    return 80 - rank / 4 - 15 * np.log10(percent) - 4


def test_a_curve_has_a_point_an_amount_and_the_deviation_over_seeds(scored):
    scores, cube = as_grid(*scored)
    curves = tuned_grid.few_shot(tuned_grid.tuned_grid(cube, scores), "percent")
    assert list(curves) == ["Clean error, %", "Corrupted error, %", "mCE, base = 100"]
    lines = curves["mCE, base = 100"]
    assert list(lines) == ["rank 8", "rank 16"]
    for rank in RANKS:
        curve = lines[f"rank {rank}"]
        assert curve.x.tolist() == list(PERCENTS)
        assert curve.mean == pytest.approx([expected(rank, percent) for percent in PERCENTS])
        assert curve.deviation == pytest.approx([2.0] * 3)


def test_the_tables_have_a_row_a_setting_and_a_group_a_rank(scored):
    scores, cube = as_grid(*scored)
    settings, ranks = tuned_grid.tables_of(tuned_grid.tuned_grid(cube, scores))
    assert [column.title for column in settings.columns[:4]] == ["Setting", "percent", "rank", "seeds"]
    assert len(settings.rows) == len(RANKS) * len(PERCENTS)
    first = settings.rows[0]
    assert [cell.text for cell in first[:4]] == ["r8-1-s1", "1", "8", "3"]
    assert (first[-1].text, first[-1].interval) == (f"{expected(8, 1):.1f}", "± 2.0")
    assert ranks.groups == [("", 1), ("rank 8", 3), ("rank 16", 3)]
    assert [[row[0].text, row[3].text, row[6].text] for row in ranks.rows] == [
        [f"percent {percent:g}", *(f"{expected(rank, percent):.1f}" for rank in RANKS)] for percent in PERCENTS
    ]


def test_one_seed_has_no_deviation_and_a_hole_in_the_grid_stays_empty(scored):
    scores, cube = as_grid(*scored, points=[(8, 1.0, 1), (8, 10.0, 1), (16, 10.0, 1)])
    grid = tuned_grid.tuned_grid(cube, scores)
    settings, ranks = tuned_grid.tables_of(grid)
    assert {row[-1].interval for row in settings.rows} == {""}
    assert [[cell.text != "" for cell in row] for row in ranks.rows] == [[True] * 4 + [False] * 3, [True] * 7]
    curves = tuned_grid.few_shot(grid, "percent")
    assert list(curves["mCE, base = 100"]) == ["rank 8"], "one point is no curve"
    assert np.isnan(curves["mCE, base = 100"]["rank 8"].deviation).all()
    assert tuned_grid.few_shot(grid, "shots") == {}


def test_models_that_are_no_grid_have_no_such_part(scored):
    assert tuned_grid.tuned_grid(scored[1], scored[0]) is None
    scores, cube = as_grid(*scored, points=[(8, 1.0, 1)])
    assert tuned_grid.tuned_grid(cube, scores) is None


def test_seeds_alone_are_a_grid(scored):
    scores, cube = as_grid(*scored, points=[(8, 1.0, 1), (8, 1.0, 2)])
    (settings,) = tuned_grid.tables_of(tuned_grid.tuned_grid(cube, scores))
    assert [cell.text for cell in settings.rows[0][:2]] == ["r8-1-s1", "2"]


def test_figures_show_the_most_images_and_the_first_seed_of_every_way_to_tune(scored):
    scores, cube = as_grid(*scored)
    grid = tuned_grid.tuned_grid(cube, scores)
    assert tuned_grid.representatives(grid, scores) == ["base", "r8-100-s1", "r16-100-s1"]


def test_the_documents_show_the_grid(scored):
    content = Content(*as_grid(*scored, points=list(itertools.product(RANKS, (1.0, 10.0), (1, 2)))), [], {})
    assert "few-shot-percent" in [drawing.name for drawing in content.drawings]
    for text in (documents.html(content), documents.markdown(content), documents.latex(content)):
        assert "few-shot" in text.lower()
        assert "rank 16" in text
    assert "± 1.4" in documents.markdown(content)
    assert r"$\pm$ 1.4" in documents.latex(content)
