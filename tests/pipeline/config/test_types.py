"""Every value of params.yaml, found by walking the models: a new one is tried by itself."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.config.params import Config, Counts
from pipeline.errors import UserError
from tests.pipeline.config.test_params import PARAMS, read

MAY_BE_ZERO = ("seed", "shots", "percent", "weight_decay", "warmup", "dropout", *Counts.model_fields)
"""Numbers of which zero makes sense: `prepare` refuses a split without images, as far as it is used."""

NAMES = {"tuned": "rmedclip"}
"""The name that stands for all names of a mapping, where it is not this one: mine."""


def leaves(kind: Any = Config, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the place of every single value in params.yaml and its type, also within lists and mappings."""
    arguments = [argument for argument in get_args(kind) if argument not in (NoneType, ...)]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from leaves(field.annotation, (*place, name))
    elif get_origin(kind) is dict:
        yield from leaves(arguments[1], (*place, NAMES.get(str(place[-1]), "mine")))
    elif get_origin(kind) is tuple:
        yield from leaves(arguments[0], (*place, 0))
    elif get_origin(kind) in (Annotated, UnionType):
        yield from leaves(arguments[0], place)
    else:
        yield place, kind


LEAVES = dict(leaves())
NUMBERS = [place for place, kind in LEAVES.items() if kind in (int, float)]


def read_with(root: Path, place: tuple[str | int, ...], value: object) -> Config:
    """Read the project's params.yaml with one value changed; a place within a list is a list of one."""
    required = {
        "published": {"mine": {"repo": "owner/name", "file": "model.pth"}},
        "probes": {"mine": {"base": "encoder:x", "head": "linear"}},
    }
    *sections, key = place[:-1] if place[-1] == 0 else place
    section = changes = {**PARAMS, "benchmark": PARAMS["benchmark"] | required}
    for part in sections:
        section[part] = dict(section.get(part, {}))
        section = section[part]
    section[key] = [value] if place[-1] == 0 else value
    return read(root, **changes)


def dotted(place: tuple[str | int, ...]) -> str:
    return ".".join(map(str, place))


def test_numbers_within_lists_and_mappings_are_among_those_that_are_tried() -> None:
    places = set(map(dotted, LEAVES))
    assert {"counts.val", "columns.mine", "datasets.0", "benchmark.tune.scales.0", "benchmark.models.0"} <= places
    assert {"benchmark.tuned.rmedclip.rank", "benchmark.tuned.rmedclip.scales.0", "benchmark.weights.mine"} <= places
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("place", LEAVES, ids=dotted)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=st.sampled_from([math.nan, math.inf, -math.inf, -1, -0.5, 10**30, 1e300, True, [1], {}]))
def test_every_value_has_a_kind_and_every_number_a_range(
    tmp_path: Path, place: tuple[str | int, ...], value: object
) -> None:
    if LEAVES[place] is bool and value is True:
        value = 1
    if "tuned" in place and value == [1]:
        value = [] if place[-1] else "all"  # a list with something in it is a grid
    with pytest.raises(UserError) as caught:
        read_with(tmp_path, place, value)
    assert dotted(place) in str(caught.value)


@pytest.mark.parametrize("value", [0, 1e-300])
@pytest.mark.parametrize("place", NUMBERS, ids=dotted)
def test_zero_and_almost_zero_are_refused_where_they_make_no_sense(
    tmp_path: Path, place: tuple[str | int, ...], value: float
) -> None:
    if place[-1] in MAY_BE_ZERO:
        with contextlib.suppress(UserError):  # whose sentence is of shots and percent, or of a whole number
            read_with(tmp_path, place, value)
    else:
        with pytest.raises(UserError, match=rf"{re.escape(dotted(place))} must be (at least|a whole number)"):
            read_with(tmp_path, place, value)
