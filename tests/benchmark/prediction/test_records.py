"""record.json of a model's logits: as it was written, or one sentence."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.prediction.records import PredictionRecord
from pipeline.io.records import write_record
from pipeline.workspace.paths import Workspace
from tests.benchmark.conftest import prediction_record, refusal

REMEDY = ": run `python -m benchmark.predict --model mine`"
DEEP = b"[" * 100_000


@pytest.fixture
def path(tmp_path):
    """A record that is whole."""
    path = Workspace(tmp_path).prediction_record("mine")
    write_record(path, prediction_record("mine"))
    return path


def is_refused(path, content):
    """Read another content; what is no record is a sentence that names the file and what to do."""
    path.write_bytes(content)
    sentence = refusal(lambda: PredictionRecord.read(Workspace(path.parents[3]), "mine"))
    assert sentence is None or (sentence.startswith(f"{path}: ") and sentence.endswith(REMEDY))
    return sentence is not None


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"{}", b"null", b"3", b"\xff\xfe", b"\0", b'{"model": ' + DEEP, DEEP, b'{"a": 1}', b"9" * 9999],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_what_is_no_record_is_a_sentence(path, content):
    assert is_refused(path, content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_edit_or_cut_is_a_record_or_a_sentence(path, data):
    write_record(path, prediction_record("mine"))
    whole = path.read_bytes()
    assert is_refused(path, whole[: data.draw(st.integers(0, len(whole) - 3))])
    place = data.draw(st.integers(0, len(whole) - 1))
    is_refused(path, whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + 1 :])
    fields = json.loads(whole)
    section = data.draw(st.sampled_from([fields, fields["model"]]))
    section[data.draw(st.sampled_from([*section, "new"]))] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
            max_leaves=4,
        )
    )
    is_refused(path, json.dumps(fields).encode())
