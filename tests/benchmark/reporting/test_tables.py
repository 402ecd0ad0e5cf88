"""Tables from numbers and from the scores' record, and how each form escapes what stands in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.reporting import documents, tables
from benchmark.reporting.tables import Column, Entry, Table
from benchmark.scoring import files
from benchmark.scoring.records import Estimate

LOW, HIGH = Column("a", better="low"), Column("b", better="high")


def row(*values):
    return [Estimate(value=value) for value in values]


def texts(cells):
    return [cell.text for cell in cells]


def test_an_undefined_value_is_a_dash_and_never_the_best():
    (first,) = tables.numeric([Entry("m")], [row(None, 3.0)], [LOW, HIGH])
    assert texts(first) == ["m", "–", "3.0"]
    first, second = tables.numeric([Entry("m"), Entry("n")], [row(None), row(9.0)], [LOW])
    assert (first[1].is_best, second[1].is_best) == (False, True)


def test_best_is_the_lowest_or_the_highest_as_printed():
    labels = [Entry("m"), Entry("n"), Entry("o")]
    first, second, third = tables.numeric(labels, [row(10.0, 1.0), row(20.0, 2.01), row(10.04, 1.99)], [LOW, HIGH])
    assert [cell.is_best for cell in (*first[1:], *second[1:], *third[1:])] == [True, False, False, True, True, True]


def test_an_interval_below_zero_is_no_row_of_dashes():
    estimate = Estimate(value=1.0, low=-17.04, high=101.5)
    ((_, cell),) = tables.numeric([Entry("m")], [[estimate]], [LOW])
    assert cell.interval == "−17.0 to 101.5"
    assert documents.escape_latex(cell.interval) == "$-$17.0 to 101.5"


def test_numbers_have_a_true_minus_sign():
    assert tables.number(-0.04) == "−0.0"
    assert tables.number(float("nan")) == tables.number(None) == "–"
    assert tables.number(2025, "d") == "2025"


def test_groups_span_neighbouring_columns():
    columns = [Column("m"), Column("x", group="g"), Column("y", group="g"), Column("z", group="h")]
    assert Table(tables.slug("t"), "t", columns, []).groups == [("", 1), ("g", 2), ("h", 1)]
    assert Table(tables.slug("t"), "t", columns[:1], []).groups == []


def test_what_is_left_out_is_named_with_its_reason(reported):
    scores = files.read_scores(reported)
    models = {}
    for name, found in scores.models.items():
        summary = {key: value.changed(left_out=()) for key, value in found.summary.items()}
        summary["mce"] = summary["mce"].changed(left_out=("oct/contrast",))
        for key in ("relative_mce", "mrbe"):
            summary[key] = summary[key].changed(left_out=("oct/contrast", "oct/pixelate"))
        models[name] = found.changed(summary=summary)
    oct_only = scores.datasets["oct"].changed(undefined={"auroc": "every image is of class '<CNV>'"})
    sets = dict(scores.datasets) | {"oct": oct_only}
    assert tables.left_out(scores.changed(models=models, datasets=sets)) == [
        ("mCE", "oct/contrast", "the baseline makes no error there and the ratio is undefined"),
        (
            "Relative mCE and rBE",
            "oct/contrast, oct/pixelate",
            "the baseline does not get worse there and the ratio is undefined",
        ),
        ("AUROC clean and AUROC corrupted", "oct", "every image is of class '<CNV>'"),
    ]


def test_many_columns_without_a_value_stay_apart(reported):
    """With a corruption set they have commas in their names."""
    scores = files.read_scores(reported)
    keys = [key for key in scores.models["base"].summary if key in tables.RELATIVE]
    lacking = {key: scores.models["base"].summary[key].changed(left_out=("oct/contrast",)) for key in keys}
    models = {name: found.changed(summary=found.summary | lacking) for name, found in scores.models.items()}
    titles = [names for names, cells, _ in tables.left_out(scores.changed(models=models)) if cells == "oct/contrast"]
    assert "Relative mCE; Pooled relative mCE; rBE" in titles


def test_a_ratio_without_any_value_has_its_reason(reported):
    scores = files.read_scores(reported)
    models = {
        name: found.changed(
            summary={key: value.changed(left_out=()) for key, value in found.summary.items()}
            | {"mce": found.summary["mce"].changed(value=None, low=None, high=None, left_out=())}
        )
        for name, found in scores.models.items()
    }
    why = "the baseline makes no error, and nothing can be divided by that"
    assert tables.left_out(scores.changed(models=models)) == [("mCE", "a value", why)]


def test_comparisons_say_below_zero_alike(reported):
    scores = files.read_scores(reported)
    table = tables.comparisons(scores, {name: Entry(name) for name in scores.models})
    assert texts(table.rows[1])[:4] == ["base", "better", "corrupted", "−5.0"]
    line = scores.comparisons[1]
    assert table.rows[1][3].interval == f"{line.low:+.1f} to {line.high:+.1f}".replace("-", "−")
    assert [row[5].is_best for row in table.rows] == [line.p_holm < 0.05 for line in scores.comparisons]


@pytest.mark.parametrize(
    ("words", "markdown", "latex"),
    [
        ("a|b", r"a\|b", r"a\textbar{}b"),
        ("mammo_mass", "mammo_mass", r"mammo\_mass"),
        ("_x_ *y*", r"\_x\_ \*y\*", r"\_x\_ *y*"),
        ("&amp; R&D", r"\&amp; R&D", r"\&amp; R\&D"),
        ("1–2 % ±", "1–2 % ±", r"1--2 \% $\pm$"),
        ("<i>\\", r"\<i\>\\", r"\textless{}i\textgreater{}\textbackslash{}"),
    ],
)
def test_each_form_has_its_own_escapes(words, markdown, latex):
    assert documents.escape_markdown(words) == markdown
    assert documents.escape_latex(words) == latex


@given(st.text())
def test_escaped_words_cannot_leave_their_place(words):
    line = tables.one_line(words)
    assert line.isprintable()
    markdown = documents.escape_markdown(line)
    unescaped = markdown.replace("\\\\", "")
    assert unescaped.count("|") == unescaped.count("\\|")
    latex = documents.escape_latex(line)
    depth = 0
    for before, character in zip("\\" + latex, latex, strict=False):
        depth += {"{": 1, "}": -1}.get(character, 0) if before != "\\" else 0
        assert depth >= 0
    assert depth == 0
