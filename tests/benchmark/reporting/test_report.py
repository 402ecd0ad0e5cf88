"""The whole report of a workspace that is scored."""

import csv
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import yaml

from benchmark import report, score
from benchmark.prediction.records import PredictionRecord
from benchmark.scoring import files
from corruptions import CORRUPTIONS
from pipeline.io.records import write_record
from pipeline.workspace import manifest

from ..conftest import CLASSES, params, write_logits
from .conftest import Page


def test_the_page_needs_nothing_else(reported):
    html = (reported.reports / "index.html").read_text()
    page = Page(html)
    assert page.loads
    assert all(load.startswith("data:image/jpeg;base64,") for load in page.loads)
    assert "<script" not in html
    assert "@import" not in html
    assert page.open == []
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) >= 12
    for drawing in drawings:
        assert ElementTree.fromstring(drawing).attrib["aria-label"]


def test_ids_of_the_figures_do_not_mix(reported):
    page = Page((reported.reports / "index.html").read_text())
    assert len(page.ids) == len(set(page.ids)) > 20
    assert set(page.links) <= set(page.ids)


def test_the_page_shows_the_scores(reported):
    html = (reported.reports / "index.html").read_text()
    assert "75.0<small>" in html
    assert "say nothing of clinical use" in html
    assert len(re.findall("<img", html)) == len(CLASSES) * (1 + len(CORRUPTIONS))
    for name in CLASSES["oct"]:
        assert name in html
    assert "<title>oct, pixelate: 20.0</title>" in html


def test_every_figure_is_a_pdf_that_the_documents_name(reported):
    names = sorted(path.name for path in (reported.reports / "figures").iterdir())
    assert len(names) == 5 + 1 + 2 * len(CLASSES)
    for document, form in (("report.md", "(figures/{})"), ("report.tex", "{{figures/{}}}")):
        text = (reported.reports / document).read_text()
        assert all(form.format(name) in text for name in names)


def test_the_tables_agree_in_every_form(reported):
    mce = files.read_scores(reported).models["better"].summary["mce"]
    value, low, high = (f"{number:.1f}" for number in (mce.value, mce.low, mce.high))
    markdown = (reported.reports / "report.md").read_text()
    assert f"**{value}** ({low}–{high})" in markdown
    assert "| Base | mammo_mass | 90.0 | 10.0 | 80.0 | 20.0 |" in markdown, "two classes swapped: right is wrong"
    assert rf"\textbf{{{value}}} ({low}--{high})" in (reported.reports / "report.tex").read_text()
    with (reported.reports / "report.csv").open() as handle:
        row = {line["model"]: line for line in csv.DictReader(handle)}["better"]
    assert [f"{float(row[key]):.1f}" for key in ("mce", "mce_low", "mce_high")] == [value, low, high]
    assert (row["ece_clean_low"], row["ece_clean"] != "") == ("", True)


@pytest.mark.parametrize("document", ["index.html", "report.md", "report.tex"])
@pytest.mark.parametrize("title", ["Errors by modality", "CE by corruption", "Clean error and mCE by data set"])
def test_every_document_has_the_parts(reported, document, title):
    text = (reported.reports / document).read_text()
    assert title in text
    assert "mammography" in text


def test_the_baseline_over_itself_has_no_interval(reported):
    markdown = (reported.reports / "report.md").read_text()
    assert "| 100.0 |" in markdown
    assert "100.0–100.0" not in markdown


def test_the_same_scores_give_the_same_bytes(copied):
    first = {path: path.read_bytes() for path in copied.reports.rglob("*") if path.is_file()}
    code = "import matplotlib, sys; matplotlib.rcParams['font.size'] = 20; from benchmark import report; report.main()"
    environment = {"PYTHONHASHSEED": "7", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=copied.root, env=environment)
    assert {path: path.read_bytes() for path in first} == first


def test_two_collections_with_other_corruptions_stand_apart(copied):
    """Of the second collection only contrast and one of its own, at which the better model is right twice as often."""
    clean = manifest.read_clean(copied, "mammo_mass")
    manifest.write(copied, clean.changed(corruptions=("stain", "contrast")))
    for severity in range(1, 6):
        for model, wrong in (("base", 8), ("better", 4)):
            write_logits(copied, model, "mammo_mass", f"stain_severity_{severity}", wrong)
            write_logits(copied, model, "mammo_mass", f"contrast_severity_{severity}", wrong)
    for corruption in ("stain", "contrast"):
        for path in (copied.release / "oct" / "test").glob("clean.npz"):
            target = copied.release / "mammo_mass" / "test" / f"{corruption}_severity_3.npz"
            target.write_bytes(path.read_bytes())
    collections = {"ours": ["oct"], "theirs": ["mammo_mass"]}
    copied.params.write_text(yaml.safe_dump(params(collections=collections)))
    assert score.main(["--root", str(copied.root)]) == 0
    assert report.main(["--root", str(copied.root)]) == 0
    html = (copied.reports / "index.html").read_text()
    assert html.count("<h3>Scores, theirs</h3>") == html.count("<h3>More scores, ours</h3>") == 1
    assert html.count("<h3>Error by severity, %, theirs</h3>") == 1
    assert html.count("<title>mammo_mass, stain: 20.0</title>") == 1
    assert "<title>mammo_mass, pixelate" not in html
    markdown, latex = ((copied.reports / name).read_text() for name in ("report.md", "report.tex"))
    assert "## CE by corruption of theirs, base = 100" in markdown
    assert "**50.0**" in markdown
    assert r"\label{tab:scores-theirs}" in latex
    assert (copied.reports / "figures" / "severity-theirs.pdf").is_file()
    with (copied.reports / "report.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["collection"] for row in rows] == ["", "", "ours", "ours", "theirs", "theirs"]
    assert [float(row["mce"]) for row in rows[4:]] == [100, 50]


def test_a_data_set_without_a_corruption_is_a_dash(copied):
    clean = manifest.read_clean(copied, "mammo_mass")
    manifest.write(copied, clean.changed(corruptions=tuple(c for c in CORRUPTIONS if c != "contrast")))
    assert score.main(["--root", str(copied.root)]) == 0
    assert report.main(["--root", str(copied.root)]) == 0
    html = (copied.reports / "index.html").read_text()
    assert html.count("<title>mammo_mass, contrast: undefined</title>") == 4, "error and CE"
    assert html.count('alt="mammo_mass, contrast"') == 0


def test_one_model_has_no_comparisons(copied):
    copied.params.write_text(yaml.safe_dump(params(models=["base"])))
    assert score.main(["--root", str(copied.root)]) == 0
    assert report.main(["--root", str(copied.root)]) == 0
    for name in ("index.html", "report.md", "report.tex"):
        assert "omparisons" not in (copied.reports / name).read_text()
    page = Page((copied.reports / "index.html").read_text())
    assert set(page.links) <= set(page.ids)


HOSTILE = "=<b>A|B</b> & \\x{y} 50% `c` *d* $e$ #f ~g\n\n2nd \x07\x1b[31m"


def test_names_are_escaped_in_every_form(copied):
    record = PredictionRecord.read(copied, "better")
    write_record(
        copied.prediction_record("better"), record.changed(model=record.model.changed(title=HOSTILE, notes=HOSTILE))
    )
    clean = manifest.read_clean(copied, "oct")
    manifest.write(copied, clean.changed(class_names=(*clean.class_names[:-1], HOSTILE)))
    assert score.main(["--root", str(copied.root)]) == 0
    assert report.main(["--root", str(copied.root)]) == 0
    shown = "=<b>A|B</b> & \\x{y} 50% `c` *d* $e$ #f ~g 2nd"

    html = (copied.reports / "index.html").read_text()
    page = Page(html)
    assert page.text.count(shown) > 5
    assert html.count("<b>A") == 0
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)

    markdown = (copied.reports / "report.md").read_text()
    lines = [line for line in markdown.splitlines() if "A\\|B" in line]
    assert len(lines) > 5
    header, rule, *rows = [line for line in markdown.splitlines() if line.startswith("|")][:4]
    columns = len(re.findall(r"(?<!\\)\|", header))
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in (rule, *rows)} == {columns}
    assert all(f"\\{mark}" in lines[0] for mark in "<`*|")

    latex = (copied.reports / "report.tex").read_text()
    escaped = (
        r"=\textless{}b\textgreater{}A\textbar{}B\textless{}/b\textgreater{} \& \textbackslash{}x\{y\} 50\% `c` *d*"
    )
    assert escaped + r" \$e\$ \#f \textasciitilde{}g 2nd" in latex
    for text in (html, markdown, latex):
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_a_formula_is_text_in_the_spreadsheet(copied):
    values = yaml.safe_load(copied.params.read_text())
    values["benchmark"]["collections"] = {"=1+1": ["oct"], "b": ["mammo_mass"]}
    copied.params.write_text(yaml.safe_dump(values))
    assert score.main(["--root", str(copied.root)]) == 0
    assert report.main(["--root", str(copied.root)]) == 0
    with (copied.reports / "report.csv").open() as handle:
        assert {row["collection"] for row in csv.DictReader(handle)} == {"", "'=1+1", "b"}


def test_a_report_without_scores_says_what_to_run(tmp_path, capsys):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params()))
    assert report.main(["--root", str(tmp_path)]) == 1
    assert "run `python -m benchmark.score`" in capsys.readouterr().err


def test_reporting_imports_neither_torch_nor_models():
    code = (
        "import sys, benchmark.report; quick = set(sys.modules); import benchmark.reporting.documents\n"
        "import benchmark.reporting.examples\n"
        "assert not {'matplotlib', 'jinja2', 'PIL'} & quick, 'imported before there is work'\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'torch' or name == 'matplotlib.pyplot']\n"
        "assert not [name for name in sys.modules if name.startswith('benchmark.models')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
