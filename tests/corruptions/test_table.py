"""The severity table: literals that DVC can read, complete, sourced, and matched by a kernel in every backend."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import corruptions
from corruptions import BACKENDS, CORRUPTIONS, EXTENDED, PROFILES, SEVERITIES, Strength, spec, strength, table
from corruptions.spec import find_kernel
from tests.corruptions import doc_tables

ROWS: list[tuple[str, dict[str, Any]]] = []
SETS: tuple[Any, ...] = (table.STRENGTHS, table.EXTENDED_STRENGTHS)
for _rows in SETS:
    for _name, _row in _rows["imagenet-c"].items():
        ROWS.append((f"imagenet-c {_name}", dict(_row)))
        if _rows["modality"][_name] != "imagenet-c":
            of_kinds = {column: row for column, row in _rows["modality"][_name].items() if row != "imagenet-c"}
            ROWS.extend((f"modality {_name} {column}", dict(row)) for column, row in of_kinds.items())
KERNELS: dict[str, Any] = {**table.KERNELS, **table.EXTENDED_KERNELS}


def _assignments() -> Iterator[tuple[str, Any]]:
    for statement in ast.parse(inspect.getsource(table)).body:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            yield target.id, ast.literal_eval(statement.value)
        else:
            # DVC reads assignments; anything else would be a rule that it cannot see.
            assert isinstance(statement, ast.Expr)
            assert isinstance(statement.value, ast.Constant)


def test_every_assignment_is_a_literal() -> None:
    literals = dict(_assignments())
    assert set(literals) == {
        "BYTES_VERSION",
        "STRENGTHS",
        "COLUMNS",
        "KERNELS",
        "EXTENDED_STRENGTHS",
        "EXTENDED_KERNELS",
    }
    assert {name: getattr(table, name) for name in literals} == literals


def test_dvc_reads_the_table_as_parameters() -> None:
    serialize = pytest.importorskip("dvc.utils.serialize")
    read = serialize.parse_py(inspect.getsource(table), "corruptions/table.py")
    assert read["STRENGTHS"] == table.STRENGTHS


@pytest.mark.parametrize(("title", "row"), ROWS, ids=[title for title, _ in ROWS])
def test_row_has_a_kernel_a_source_and_five_strengths(title: str, row: dict[str, Any]) -> None:
    assert row["kernel"]
    assert isinstance(row["source"], str)
    strengths = {name: values for name, values in row.items() if name not in ("kernel", "source")}
    assert strengths
    for values in strengths.values():
        assert len(values) == len(SEVERITIES)
    grades = list(zip(*strengths.values(), strict=True))
    assert len({str(grade) for grade in grades}) == len(SEVERITIES), f"{title}: two severities are the same"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("title", "row"), ROWS, ids=[title for title, _ in ROWS])
def test_every_backend_has_the_kernel_with_the_parameters_of_the_row(
    title: str, row: dict[str, Any], backend: str
) -> None:
    try:
        kernel = find_kernel(backend, row["kernel"])
    except corruptions.BackendUnavailable as missing:
        pytest.skip(str(missing))
    parameters = inspect.signature(kernel).parameters
    named = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    draws = Strength(row["kernel"], {}, "").draws
    assert list(parameters) == ["images", *draws, *named], title
    required = {name for name in named if parameters[name].default is inspect.Parameter.empty}
    assert required == set(row) - {"kernel", "source"}, title


def test_every_data_set_has_a_column_in_every_row() -> None:
    for name in (*CORRUPTIONS, *EXTENDED):
        for dataset in table.COLUMNS:
            for severity in SEVERITIES:
                assert strength(name, severity, profile="modality", column=dataset).parameters
    for rows in SETS:
        assert list(rows["modality"]) == list(rows["imagenet-c"])
    assert not set(CORRUPTIONS) & set(EXTENDED)


def test_strengths_of_both_profiles_at_places_that_are_easy_to_swap() -> None:
    assert strength("motion_blur", 5).parameters == {"radius": 20, "sigma": 15}
    assert strength("contrast", 1).kernel == "channel_mean"
    assert strength("pixelate", 3).parameters == {"percent": 40}
    assert strength("zoom_blur", 5).parameters["percents"] == list(range(100, 131, 3))
    assert strength("zoom_blur", 2, profile="modality", column="oct") == strength("zoom_blur", 2)
    assert strength("brightness", 1, profile="modality", column="fundus") == ("scale", {"percent": 90}, "MM")
    assert strength("motion_blur", 4, profile="modality", column="pbc").parameters == {"radius": 10, "sigma": 9}
    assert strength("impulse_noise", 4, profile="modality", column="pneumonia").parameters == {"amount": 0.017}


def test_a_row_whose_kernel_is_missing_says_where_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"kernel": "haze", "density": [1, 2, 3, 4, 5], "source": "new"}
    monkeypatch.setitem(spec._ROWS["imagenet-c"], "haze", row)
    images = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(NotImplementedError, match=r"KERNELS in corruptions/table\.py has no kernel 'haze'"):
        corruptions.corrupt(images, "haze", 1, dataset="oct", split="val", seed=0)
    monkeypatch.setitem(table.KERNELS, "haze", {"module": "levels", "draws": [], "identity": {"density": 0}})
    with pytest.raises(
        NotImplementedError, match=r"corruptions\.cpu\.levels has no kernel 'haze', which the table names"
    ):
        corruptions.corrupt(images, "haze", 1, dataset="oct", split="val", seed=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_says_its_types_its_shapes_and_its_source(kernel: str, backend: str) -> None:
    doc = inspect.getdoc(find_kernel(backend, kernel)) or ""
    assert "uint8 (N, H, W, C)" in doc
    assert any(tag in doc for tag in ("[HD]", "[MM]", "[new]"))
    for draws in Strength(kernel, {}, "").draws:
        assert f"`{draws}` " in doc


def test_every_kernel_of_the_table_is_used_and_has_an_identity() -> None:
    assert {row["kernel"] for _, row in ROWS} == set(KERNELS)
    for _, row in ROWS:
        assert set(KERNELS[row["kernel"]]["identity"]) <= set(row)


def test_profiles_and_backends_are_the_documented_ones() -> None:
    assert PROFILES == ("imagenet-c", "modality")
    assert BACKENDS == ("cpu", "gpu", "literature")


def test_the_page_shows_this_table() -> None:
    page = doc_tables.PAGE.read_text(encoding="utf-8")
    assert doc_tables.filled(page) == page, "run: python -m tests.corruptions.doc_tables --write"


def test_the_page_names_every_kernel_and_corruption() -> None:
    page = doc_tables.PAGE.read_text(encoding="utf-8")
    for name in {*CORRUPTIONS, *EXTENDED, *(row["kernel"] for _, row in ROWS)}:
        assert name in page
