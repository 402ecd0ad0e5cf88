"""What somebody edited, cut or named oddly is a sentence, or is written so that a spreadsheet shows it."""

import copy
import csv
import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.scoring import files
from benchmark.scoring.evaluation import evaluate
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}), st.just([{}])
)


def places(value, path=()):
    """Yield the path of every value in a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def parent_of(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


@pytest.fixture
def document(workspace):
    place = Workspace(workspace)
    files.write(place, *evaluate(place))
    return place, json.loads(place.scores.read_text())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_edited_record_is_read_or_refused_in_a_sentence(document, data):
    place, whole = document
    edited = copy.deepcopy(whole)
    path = data.draw(st.sampled_from([path for path in places(whole) if path]))
    parent = parent_of(edited, path)
    kind = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "replace":
        parent[path[-1]] = data.draw(JUNK)
    elif kind == "remove":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent["added"] = data.draw(JUNK)
    else:
        parent.append(data.draw(JUNK))
    place.scores.write_text(json.dumps(edited))
    try:
        files.read_cube(place, files.read_scores(place))
    except UserError as refused:
        said = str(refused)
    else:
        return
    assert "run `python -m benchmark.score`" in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"a": ' * 5000, "\udcff", '{"baseline": NaN}'])
def test_what_is_no_record_is_refused(document, text):
    place, _ = document
    place.scores.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"scores.json.*run `python -m benchmark.score`"):
        files.read_scores(place)


@given(names=st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])), min_size=1))
@settings(deadline=None)
def test_no_name_is_a_formula(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    files.write_csv(path, pd.DataFrame({"model": names, "value": [-1.0] * len(names)}))
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))[1:]
    assert [row[1] for row in rows] == ["-1"] * len(names), "numbers stay numbers"
    for name, (written, _) in zip(names, rows, strict=True):
        assert written in (name, f"'{name}")
        assert not written.startswith(("=", "+", "-", "@", "\t"))
