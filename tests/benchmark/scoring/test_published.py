"""A baseline by its published numbers: the scores are the model's own, and what is missing is one sentence."""

import csv
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.score import score
from benchmark.scoring import files
from benchmark.scoring.evaluation import evaluate
from benchmark.scoring.published import COLUMNS, read_published
from corruptions import CORRUPTIONS
from pipeline.errors import UserError
from pipeline.sources.medmnist import CORRUPTED
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES, params

RATIOS = ("mce", "relative_mce", "clean_ratio", "mce_pooled", "relative_mce_pooled", "mce_held_out", "mbe", "mrbe")


def rows(*, error=0.2, clean=0.1, severities=(None,), balanced=True):
    """The errors of the base of `workspace`, 8 of 40 wrong under every corruption and 4 clean."""
    for dataset in CLASSES:
        yield {"dataset": dataset, "corruption": "clean", "error": clean, "balanced_error": clean if balanced else None}
        for corruption in CORRUPTIONS:
            for severity in severities:
                values = {"error": error, "balanced_error": error if balanced else None}
                yield {"dataset": dataset, "corruption": corruption, "severity": severity, **values}


def write(path, lines, columns=COLUMNS):
    with path.open("w", newline="") as handle:
        handle.write("# a paper, table 3\n")
        table = csv.DictWriter(handle, columns)
        table.writeheader()
        table.writerows(lines)
    return path


def use(root, lines=(), **benchmark):
    """Score `better` alone, by the numbers of a file."""
    write(root / "numbers.csv", lines or rows())
    values = params(baseline="numbers.csv", models=["better"], **benchmark)
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    return Workspace(root)


@pytest.mark.parametrize("severities", [(None,), (1, 2, 3, 4, 5)])
def test_numbers_give_the_scores_that_the_model_gives(workspace, severities):
    with_model = evaluate(Workspace(workspace))[0].models["better"].summary
    scores = evaluate(use(workspace, rows(severities=severities)))[0]
    for name in RATIOS:
        assert scores.models["better"].summary[name].value == pytest.approx(with_model[name].value), name
    assert scores.models["better"].summary["mce"].value == pytest.approx(75)
    assert scores.models["better"].summary["mce"].low < 75, "the model's images are drawn, the paper's numbers stand"
    assert list(scores.models) == ["better"]


def test_severities_that_differ_are_summed(workspace):
    lines = [
        line | {"error": 0.05 * line["severity"] if line.get("severity") else 0.1}
        for line in rows(severities=(1, 2, 3, 4, 5))
    ]
    scores = evaluate(use(workspace, lines))[0]
    assert scores.models["better"].summary["mce"].value == pytest.approx(100 * 0.15 / 0.15)


def test_what_is_scored_is_read_back_and_reported(workspace):
    place = use(workspace)
    score(place)
    scores = files.read_scores(place)
    cube = files.read_cube(place, scores)
    assert float(cube.base_error.mean()) == pytest.approx(0.2)
    report_text = reported(place)
    assert "baseline numbers" in report_text


def reported(place):
    """The Markdown report of a workspace whose images are not there."""
    from benchmark.reporting import documents
    from benchmark.reporting.content import Content

    scores = files.read_scores(place)
    return documents.markdown(Content(scores, files.read_cube(place, scores), [], {}))


def test_a_table_of_balanced_errors_alone_gives_be_and_no_mce(workspace):
    place = use(workspace, [line | {"error": None} for line in rows()])
    score(place)
    summary = files.read_scores(place).models["better"].summary
    assert summary["mbe"].value == pytest.approx(75)
    assert summary["mce"].value is None
    assert summary["mce"].left_out == ()
    assert "undefined" in reported(place) or "–" in reported(place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[1:], r"has no error and balanced_error of oct/clean, which is scored"),
        (
            lambda lines: lines[:-7],
            r"of mammo_mass/\w+, (mammo_mass/\w+, ){3}mammo_mass/\w+ and 2 more, which are scored",
        ),
        (lambda lines: [*lines, lines[3]], r"line 19: mammo_mass/\w+|stands there twice"),
        (lambda lines: [lines[0] | {"error": 37.2}, *lines[1:]], r"line 3: error must be at most 1, not '?37.2"),
        (lambda lines: [lines[0] | {"error": "many"}, *lines[1:]], r"line 3: error must be a number"),
        (lambda lines: [lines[0] | {"error": "nan"}, *lines[1:]], r"line 3: error must be a finite number"),
        (lambda lines: [lines[0], lines[1] | {"severity": 6}, *lines[2:]], r"line 4: severity must be at most 5"),
        (lambda lines: [lines[0], lines[1] | {"severity": 2}, *lines[2:]], r"at severity 1, .*which are scored"),
        (lambda lines: [lines[0] | {"error": None}, *lines[1:]], r"has no error and balanced_error of oct/clean"),
        (
            lambda lines: [line | {"error": None, "balanced_error": None} for line in lines],
            r"has no error of oct/clean",
        ),
        (lambda lines: [], r"has no error of oct/clean"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(workspace, change, said):
    place = use(workspace)
    write(workspace / "numbers.csv", change(list(rows())))
    with pytest.raises(UserError, match=said) as caught:
        evaluate(place)
    assert "numbers.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("columns", [("dataset", "corruption"), ("corruption", "severity", "error")])
def test_a_missing_column_is_named(workspace, columns):
    place = use(workspace)
    write(workspace / "numbers.csv", [{}], columns)
    with pytest.raises(UserError, match=r"lacks the column \w+; have dataset, corruption, severity, error, balanced"):
        evaluate(place)


def test_a_file_that_is_not_there_is_named(workspace):
    place = use(workspace)
    (workspace / "numbers.csv").unlink()
    with pytest.raises(UserError, match=r"no .*numbers.csv, which benchmark.baseline names"):
        evaluate(place)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))))
def test_any_other_file_is_one_sentence(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "junk.csv"
    path.write_text("dataset,corruption,severity,error\n" * (len(text) % 2) + text, encoding="utf-8")
    with pytest.raises(UserError):
        read_published(path, {"oct": ("contrast",)})


def test_alexnets_table_has_every_cell_of_medmnist_c():
    path = next(folder / "cards" for folder in Path(__file__).parents if (folder / "cards").is_dir())
    found = read_published(path / "baselines" / "medmnistc-alexnet.csv", dict(CORRUPTED))
    assert found.title == "medmnistc-alexnet"
    assert len(found.errors) == sum(1 + len(names) for names in CORRUPTED.values())
    assert all(row.error is None and 0 < row.balanced_error < 1 for row in found.errors)
    seven = dict.fromkeys(CORRUPTED, CORRUPTIONS)
    again = read_published(path / "baselines" / "medmnistc-alexnet.csv", seven, dict(CORRUPTED))
    assert set(again.errors) == set(found.errors), "of the seven it has some, which are in its own lists"
