import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmark import report, score
from benchmark.models import records
from benchmark.reporting import documents, figures, provenance, sections, svg, tables
from benchmark.reporting.examples import examples
from benchmark.reporting.figures import Interval
from corruptions import CORRUPTIONS
from pipeline.cell import Cell
from pipeline.io import npz
from pipeline.paths import Workspace

from .conftest import CLASSES, COUNT, labels_of


@pytest.fixture
def reported(workspace):
    layout = Workspace(workspace)
    for name in CLASSES:
        images = np.random.default_rng(0).integers(0, 256, (COUNT, 224, 224, 3), np.uint8)
        with npz.write(layout.npz(Cell(name, "test")), labels_of(name), (224, 224, 3)) as writer:
            writer.append(images)
    assert score.main(["--root", str(workspace)]) == 0
    assert report.main(["--root", str(workspace)]) == 0
    return Workspace(workspace).reports


class Page(HTMLParser):
    """Collects what a page would load, and its nesting."""

    def __init__(self):
        super().__init__()
        self.loads, self.open, self.ids, self.links = [], [], set(), []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.loads += [values[key] for key in ("src", "srcset", "data", "poster") if key in values]
        if tag == "link":
            self.loads.append(values.get("href"))
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and values["href"].startswith("#"):
            self.links.append(values["href"][1:])
        if tag not in ("meta", "img", "br", "link", "path", "line", "circle", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_needs_nothing_else(reported):
    html = (reported / "index.html").read_text()
    page = Page()
    page.feed(html)
    assert page.loads
    assert all(load.startswith("data:image/jpeg;base64,") for load in page.loads)
    assert "<script" not in html
    assert not re.search(r"url\(|@import", html)
    assert set(page.links) <= page.ids
    assert page.open == []
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)
    assert len(re.findall("<svg", html)) >= 12


def test_the_page_shows_the_scores(reported):
    html = (reported / "index.html").read_text()
    assert "75.0<small>" in html
    assert "say nothing of clinical use" in html
    assert len(re.findall("<img", html)) == len(CLASSES) * (1 + len(CORRUPTIONS))
    for name in CLASSES["oct"]:
        assert name in html


def test_a_picture_is_the_cells_own(reported):
    """From its file if that is there, and from a corruption made anew if not."""
    root = reported.parent
    layout = Workspace(root)
    shown = {"oct": ["contrast"]}
    (one,) = examples(root, ["base", "better"], "test", shown)
    assert (one["truth"], one["index"]) == ("DME", 1)
    assert [tile["corruption"] for tile in one["tiles"]] == ["clean", "contrast"]
    assert one["tiles"][1]["answers"] == [
        {"model": "base", "answer": "DRUSEN", "right": False},
        {"model": "better", "answer": "DRUSEN", "right": False},
    ]
    with npz.write(layout.npz(Cell("oct", "test", "contrast", 3)), labels_of("oct"), (224, 224, 3)) as writer:
        writer.append(np.full((COUNT, 224, 224, 3), 200, np.uint8))
    (read,) = examples(root, ["base"], "test", shown)
    pictures = [tile["picture"] for found in (one, read) for tile in found["tiles"]]
    assert pictures[0] == pictures[2]
    image = Image.open(io.BytesIO(base64.b64decode(pictures[3].partition(",")[2])))
    assert image.getextrema() == ((200, 200),) * 3
    assert pictures[1] != pictures[3]


def test_the_tables_agree_in_every_form(reported):
    values = json.loads((reported / "scores.json").read_text())["models"]["better"]["summary"]
    mce, low, high = (f"{values['mce'][key]:.1f}" for key in ("value", "low", "high"))
    markdown = (reported / "report.md").read_text()
    assert f"**{mce}** ({low}–{high})" in markdown
    assert "| base | mammo_mass | 90.0 | 10.0 | 80.0 | 20.0 |" in markdown, "two classes swapped: right is wrong"
    assert rf"\textbf{{{mce}}} ({low}--{high})" in (reported / "report.tex").read_text()
    with (reported / "report.csv").open() as handle:
        row = {line["model"]: line for line in csv.DictReader(handle)}["better"]
    assert [f"{float(row[key]):.1f}" for key in ("mce", "mce_low", "mce_high")] == [mce, low, high]
    assert (row["ece_clean_low"], row["ece_clean"] != "") == ("", True)


def test_the_baseline_over_itself_has_no_interval(reported):
    html = (reported / "index.html").read_text()
    assert "100.0<small></small>" in html
    assert "100.0–100.0" not in html


def test_what_was_scored_is_written_down():
    file = {"name": "w.bin", "repo": "someone/clip", "revision": "c0ffee", "sha256": "5ea1", "origin": None}
    known = records()["rmedclip"]
    record = {
        "model": {**vars(known), "bert": None, "files": [file, {**file, "repo": None, "origin": "https://there"}]},
        "base": "biomedclip",
        "logit_scale": 84.9,
        "view": vars(known.preprocessing),
        "weights_sha256": "f00d",
        "versions": {"python": "3.11", "torch": "2.13"},
        "device": "cuda",
        "settings": {
            "settings": {"rank": 8, "seed": 1},
            "shots": {"oct": 64},
            "parameters": 12345,
            "corruptions": ["contrast"],
            "best_epoch": 3,
            "scale": 0.8,
            "chosen_on": "rest of train, and val",
        },
    }
    lines = provenance.model(record)
    assert ("File", "w.bin of someone/clip at c0ffee, SHA-256 5ea1") in lines
    assert ("File", "w.bin of https://there, SHA-256 5ea1") in lines
    found = dict(lines)
    assert (found["Base"], found["Licence"], found["Image tower, SHA-256"]) == ("biomedclip", "MIT", "f00d")
    assert found["Images"].startswith("224 px bicubic, shorter side, centre crop; mean 0.4815")
    assert (found["Tuned"], found["Shots"], found["Parameters trained"]) == ("rank 8, seed 1", "oct 64", "12,345")
    assert found["Kept"] == "epoch 3, 0.8 of its update, chosen on rest of train, and val, neither tuned on nor scored"
    assert found["Versions"] == "python 3.11, torch 2.13"
    bare = provenance.model({"model": {"name": "m"}, "versions": {"numpy": "2"}})
    assert bare == [("Base", "itself"), ("Versions", "numpy 2")]


def test_two_collections_with_other_corruptions_stand_apart(reported):
    scores = json.loads((reported / "scores.json").read_text())
    scores["collections"] = {"ours": ["oct"], "theirs": ["mammo_mass"]}
    for found in scores["models"].values():
        found["collections"] = {"ours": found["summary"], "theirs": {**found["summary"], "mce": {"value": 12.3}}}
        theirs = found["data_sets"]["mammo_mass"]["corruptions"]
        found["data_sets"]["mammo_mass"]["corruptions"] = {"stain": theirs["contrast"], "pixelate": theirs["pixelate"]}
    ours, theirs = sections.grids(scores)
    assert ours == ("ours", ["oct"], list(CORRUPTIONS))
    assert theirs == ("theirs", ["mammo_mass"], ["pixelate", "stain"])
    html = report.page(scores, [])
    assert html.count("<h3>theirs</h3>") == 3
    assert html.count("Scores, theirs") == html.count("More scores, ours") == 1
    assert html.count("12.3<small></small>") == len(scores["models"])
    assert html.count("mammo_mass, stain: 20.0") == 1
    markdown, latex = documents.text(scores), documents.latex(scores)
    assert "CE by corruption, mean over data sets of theirs" in markdown
    assert markdown.count("**12.3**") == latex.count(r"\textbf{12.3}") == len(scores["models"])
    assert r"\label{tab:medimeta-c-theirs}" in latex
    rows = list(csv.DictReader(io.StringIO(tables.comma_separated(sections.summaries(scores), tables.MAIN))))
    assert [row["collection"] for row in rows] == ["", "", "ours", "ours", "theirs", "theirs"]
    assert {row["mce"] for row in rows[4:]} == {"12.3000"}


def test_a_data_set_without_a_corruption_is_a_dash(reported):
    scores = json.loads((reported / "scores.json").read_text())
    for found in scores["models"].values():
        del found["data_sets"]["mammo_mass"]["corruptions"]["contrast"]
    assert sections.own_corruptions(scores)["mammo_mass"] == [c for c in CORRUPTIONS if c != "contrast"]
    html = report.page(scores, [])
    assert html.count("mammo_mass, contrast: undefined") == len(scores["models"])


def test_what_is_left_out_is_named_with_its_reason(reported):
    scores = json.loads((reported / "scores.json").read_text())
    for found in scores["models"].values():
        found["summary"]["mce"]["left_out"] = ["oct/contrast"]
        for key in ("relative_mce", "mrbe"):
            found["summary"][key]["left_out"] = ["oct/contrast", "oct/pixelate"]
    assert documents.left_out(scores) == [
        ("mCE", "makes no error", "oct/contrast"),
        ("Relative mCE and rBE", "does not get worse", "oct/contrast, oct/pixelate"),
    ]
    assert "Relative mCE and rBE: without oct/contrast, oct/pixelate, where the baseline does not" in documents.text(
        scores
    )


def test_a_report_without_scores_says_what_to_run(workspace, capsys):
    assert report.main(["--root", str(workspace)]) == 1
    assert "run `python -m benchmark.score` first" in capsys.readouterr().err


def test_an_undefined_value_is_a_dash():
    models = {"m": {"summary": {column.key: {"value": None, "low": None, "high": None} for column in tables.MAIN}}}
    assert {cell.value for cell in tables.cells(models, tables.MAIN)["m"]} == {"–"}
    assert not any(cell.best for cell in tables.cells(models, tables.MAIN)["m"])
    drawing = figures.forest({"m": Interval(None, None, None)}, mark=100, label="x")
    assert "undefined" in drawing
    ElementTree.fromstring(figures.heat_map(["a"], ["b"], [[None]], top=50, label="x"))


def test_best_is_the_lowest_or_the_highest():
    summary = {column.key: {"value": 10.0} for column in tables.MAIN}
    other = {column.key: {"value": 20.0} for column in tables.MAIN}
    rows = tables.cells({"a": {"summary": summary}, "b": {"summary": other}}, tables.MAIN)
    best = {c.key: (a.best, b.best) for c, a, b in zip(tables.MAIN, rows["a"], rows["b"], strict=True)}
    assert best["mce"] == (True, False)
    assert best["auroc_clean"] == (False, True)


def test_an_interval_below_zero_is_no_row_of_dashes():
    summary = {column.key: {"value": 1.0, "low": -17.04, "high": 101.5} for column in tables.MAIN}
    assert tables.cells({"m": {"summary": summary}}, tables.MAIN)["m"][0].interval == "−17.0 to 101.5"
    assert "$-$17.0 to 101.5" in tables.latex(["h", "v"], [["a", "−17.0 to 101.5"]], caption="c", label="l")


def test_below_zero_looks_alike_everywhere(reported):
    """The first model is worse by 5 points under corruption, and every form says so with a true minus sign."""
    assert tables.number(-0.04) == "−0.0"
    scores = json.loads((reported / "scores.json").read_text())
    line = scores["comparisons"][1]
    low, high = (f"{line[key]:+.1f}".replace("-", "−") for key in ("low", "high"))
    assert f"<td>−5.0<small>{low} to {high}</small></td>" in report.page(scores, [])
    assert f"| −5.0 ({low} to {high}) |" in documents.text(scores)
    summary = {column.key: {"value": -0.3} for column in tables.MAIN}
    assert {cell.value for cell in tables.cells({"m": {"summary": summary}}, tables.MAIN)["m"]} == {"−0.3"}


def test_tables_escape_what_they_must():
    lines = tables.markdown(["a", "b"], [["x|y", "1"]]).splitlines()
    assert lines[1:] == ["| --- | ---: |", r"| x\|y | 1 |"]
    assert tables.markdown(["a", "b"], [], words=2).splitlines()[1] == "| --- | --- |"
    assert r"a\_b\% & \textbf{1--2} \\" in tables.latex(["h", "v"], [["a_b%", "**1–2**"]], caption="c", label="l")


def test_drawings_escape_names():
    drawing = figures.confusion(["<b>", "&"], [[1, 0], [0, 2]], label='"quoted"')
    assert ElementTree.fromstring(drawing).attrib["aria-label"] == '"quoted"'


LONG = "RobustMedCLIP ResNet-50 (published)"


@pytest.mark.parametrize(
    "drawing",
    [
        figures.forest({LONG: Interval(50, 40, 60), "b": Interval(100, None, None)}, mark=100, label="x"),
        figures.radar(["a", LONG, "b", LONG], {"m": [10.0, 20.0, 30.0, 40.0]}, label="x"),
        figures.recall_bars([LONG, "b"], {"m": [(1.0, 0.5), (0.5, 0.2)]}, label="x"),
        figures.heat_map([LONG], ["c"], [[1.0]], top=5, label="x"),
    ],
    ids=["forest", "radar", "recall", "heat"],
)
def test_long_names_stay_inside(drawing):
    picture = ElementTree.fromstring(drawing)
    (name, *_) = (e for e in picture.iter("{http://www.w3.org/2000/svg}text") if e.text == LONG)
    width, size = 0.62 * len(LONG) * float(name.get("font-size")), float(picture.get("width"))  # as DejaVu Sans has it
    x, anchor = float(name.get("x")), name.get("text-anchor")
    assert (x - width if anchor == "end" else x) >= 0
    assert (x + width if anchor == "start" else x) <= size


@pytest.mark.parametrize(("value", "top"), [(0, 1), (7, 10), (61, 100), (0.3, 0.5), (23, 25)])
def test_nice_ceiling(value, top):
    assert svg.nice_ceiling(value) == pytest.approx(top)
