"""Lists in the settings of tuned models, multiplied out."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.grid import family, multiply
from pipeline.errors import UserError
from tests.pipeline.config.test_params import read

AXES = {
    "base": st.sampled_from(["phantom-clip", "clip", "hub:OWNER/NAME@0123"]),
    "rank": st.integers(1, 64),
    "percent": st.floats(0.1, 100).map(lambda value: round(value, 3)),
    "seed": st.integers(0, 2**63 - 1),
    "augment": st.booleans(),
    "learning_rate": st.floats(1e-6, 1).map(lambda value: float(f"{value:.3g}")),
    "scales": st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=2, unique=True),
}


@st.composite
def grids(draw: st.DrawFn) -> dict[str, list[Any]]:
    names = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=4, unique=True))
    return {name: draw(st.lists(AXES[name], min_size=1, max_size=3, unique_by=str)) for name in names}


@given(grids())
def test_every_combination_is_one_model_with_a_name_for_a_folder(grid: dict[str, list[Any]]) -> None:
    points = multiply("mine", {"alpha": 4, **grid})
    assert len(points) == math.prod(map(len, grid.values()))
    assert len({str(settings) for settings in points.values()}) == len(points)
    for name, settings in points.items():
        assert re.fullmatch(r"mine/[\w.+-]+", name)
        assert family(name) == "mine"
        assert settings["alpha"] == 4
        assert all(settings[axis] in values for axis, values in grid.items())


def test_names_say_the_values_and_end_with_the_seed() -> None:
    settings = {"seed": [1], "rank": [8], "percent": [7.5], "augment": [True], "scales": [[0.5, 1.0]]}
    assert [*multiply("rmedclip", settings)] == ["rmedclip/augment-true-percent7.5-rank8-scales0.5+1-seed1"]


def test_without_a_list_a_model_has_its_own_name() -> None:
    assert multiply("mine", {"rank": 8, "scales": [0.5, 1.0]}) == {"mine": {"rank": 8, "scales": [0.5, 1.0]}}


def test_a_grid_is_tuned_and_scored_under_one_name(tmp_path: Path) -> None:
    grid = {"base": "phantom-clip", "rank": [4, 8], "percent": [1, 7.5], "epochs": [2], "classes": ["own"]}
    benchmark = read(
        tmp_path, benchmark__tuned={"r": grid, "s": {}}, benchmark__models=["phantom-clip", "r", "s"]
    ).benchmark
    points = benchmark.points("r")
    assert benchmark.models == ("phantom-clip", *points, "s")
    assert [(p.rank, p.percent, p.shots, p.epochs) for p in map(benchmark.settings, points)] == [
        (4, 1.0, 0, 2),
        (8, 1.0, 0, 2),
        (4, 7.5, 0, 2),
        (8, 7.5, 0, 2),
    ]
    assert benchmark.points(points[2]) == (points[2],)
    assert benchmark.points("s") == ("s",)
    assert benchmark.points("phantom-clip") == ("phantom-clip",)


@pytest.mark.parametrize(
    ("tuned", "sentence"),
    [
        ({"rank": []}, "tuned.r.rank is an empty list"),
        ({"rank": [8, 8]}, "tuned.r.rank has a value twice"),
        ({"percent": [1, 1.0]}, "tuned.r.percent has a value twice"),
        ({"ranks": [8, 16]}, "benchmark.tuned.r/ranks8 has no 'ranks'"),
        ({"rank": [8, 0]}, "benchmark.tuned.r/rank0.rank must be at least 1, not 0"),
        ({"rank": [8, "x"]}, "rank must be a whole number, not 'x'"),
        ({"shots": [1], "percent": [1]}, "takes either shots or percent"),
        ({"split": ["train", "test"]}, "split is 'test'; have train, val"),
        ({"base": ["clip", "r"]}, "tuned.r/base-r.base is 'r', itself tuned; have clip"),
    ],
)
def test_a_wrong_grid_is_one_sentence(tuned: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        read(tmp_path, benchmark__tuned={"r": tuned}, benchmark__models=["phantom-clip"])


def test_a_grid_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'r' stands for 2 models; name one: r/rank4"):
        read(
            tmp_path,
            benchmark__tuned={"r": {"rank": [4, 8]}},
            benchmark__models=["phantom-clip", "r"],
            benchmark__baseline="r",
        )
