"""Every figure, drawn from plain numbers."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from benchmark.reporting import figures, style
from benchmark.reporting.figures import Curve, Interval
from benchmark.scoring.metrics import Reliability

LONG = "RobustMedCLIP ResNet-50 (published)"
HOSTILE = '<b> & "quoted" $x_1$ {y}'
SVG = "{http://www.w3.org/2000/svg}"
NAN = float("nan")


def drawings(name):
    """Every kind of figure, with `name` wherever a name can stand."""
    looks = style.looks([name, "b"], "b")
    bins = Reliability(np.array([0.2, NAN, 0.9]), np.array([0.3, NAN, 0.8]), np.array([3, 0, 7]))
    curve = Curve(np.array([1.0, 10.0]), np.array([90.0, 70.0]), np.array([2.0, NAN]))
    notes = {name: "ECE 10.1 % clean, 20.2 % corrupted"}
    spokes = [name, "x", "y", f"{name}2"]
    intervals = {name: Interval(50, 40, 60), "b": Interval(100, NAN, NAN)}
    return {
        "forest": figures.forest({name: intervals, "t": intervals}, {name: 100, "t": 100}, looks),
        "heat": figures.heat_map({name: [[1.0, NAN]], "t": [[2.0, 3.0]]}, [name], ["c", name], top=5),
        "severity": figures.severity({name: {name: [1, 2, 3], "b": [3, 4, 5]}}, looks, top=5),
        "radar": figures.radar({name: (spokes, {name: [10, 20, 30, 100], "b": [4, 3, NAN, 1]})}, looks),
        "trend": figures.trend({name: {name: curve, "b": curve}}, looks, x="images a class"),
        "reliability": figures.reliability({name: {"clean": bins, "corrupted": bins}}, notes),
        "recall": figures.recall({name: {name: [(1, 0.5), (0.5, NAN)], "b": [(1, 1), (NAN, 0)]}}, [name, "k"], looks),
        "confusion": figures.confusion({name: [[1, 0], [0, 0]], "t": [[1, 2], [3, 4]]}, [name, "k"]),
    }


@pytest.fixture(scope="module")
def long_names():
    return drawings(LONG)


@pytest.mark.parametrize("kind", drawings("a"))
def test_long_names_stay_inside(long_names, kind):
    figure = long_names[kind]
    inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert inside.x0 >= -0.01
    assert inside.x1 <= width + 0.01
    assert inside.y0 >= -0.01
    assert inside.y1 <= height + 0.01


@pytest.mark.parametrize(("kind", "figure"), drawings(HOSTILE).items())
def test_names_are_escaped_and_shown_as_they_are(kind, figure):
    pictures = [ElementTree.fromstring(svg) for svg in style.svgs(figure, HOSTILE, kind)]
    assert all(picture.attrib["aria-label"].startswith(HOSTILE) for picture in pictures)
    assert any(text.text == HOSTILE for text in pictures[0].iter(f"{SVG}text"))


def test_panels_of_a_page_need_nothing_of_each_other():
    """Matplotlib writes a mark once a figure; in the page every panel has its own."""
    lines = {"a": [1, 2, 3], "b": [2, 3, 4]}
    figure = figures.severity({"s": lines, "t": lines}, style.looks(["a", "b"]), top=5)
    first, second = style.svgs(figure, "label", "name")
    for svg in (first, second):
        ids = re.findall(r'id="([^"]+)"', svg)
        used = re.findall(r'(?:href="|url\()#([\w-]+)', svg)
        assert ids
        assert set(ids) == set(used)
    assert not set(re.findall(r'id="([^"]+)"', first)) & set(re.findall(r'id="([^"]+)"', second))
    assert "font-family" not in first
    assert re.search(r"<title>a, clean: 1.0 %</title>", first)


def test_undefined_is_said():
    drawn = drawings("a")
    assert "a, a: undefined" in style.svgs(drawn["heat"], "x", "x")[0]
    undefined = figures.forest({"t": {"m": Interval(NAN, NAN, NAN)}}, {"t": 100}, style.looks(["m"]))
    assert ">undefined<" in style.svgs(undefined, "x", "x")[0]


def test_a_pdf_embeds_its_fonts_and_has_no_date():
    pdf = style.pdf(drawings("a")["heat"])
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


def test_the_callers_settings_change_nothing():
    def drawn():
        return {kind: (style.svgs(f, "l", "n"), style.pdf(f)) for kind, f in drawings("a").items()}

    first = drawn()
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False, "pdf.fonttype": 3}):
        assert drawn() == first
        assert matplotlib.rcParams["font.size"] == 30


def test_the_baseline_is_grey_and_no_two_models_look_alike():
    names = [f"m{k}" for k in range(12)]
    looks = style.looks(names, "m3")
    assert looks["m3"].colour == style.BASELINE
    assert len(set(looks.values())) == len(names)
    assert list(looks) == names


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (7, 8), (61, 80), (0.3, 0.32), (23, 24), (100, 100), (100.1, 120), (44.9, 60)]
)
def test_ceiling(value, top):
    assert style.ceiling([value, NAN, 0]) == pytest.approx(top)


def test_a_script_that_the_font_lacks_is_no_warning():
    code = "\n".join(
        [
            "import warnings; warnings.simplefilter('error')",
            "from benchmark.reporting import figures, style",
            "figure = figures.confusion({'模型': [[1]]}, ['類'])",
            "assert '模型' in style.svgs(figure, '', 'x')[0]; style.pdf(figure)",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True)
