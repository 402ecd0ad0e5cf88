"""Somebody's own images: their card says what their owner says, and nothing of the data sets of the same name."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline import export
from pipeline.hub.card import adapter_card, escaped
from pipeline.workspace import datasets
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny
from tests.pipeline.hub.test_card import card_of

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
Streams = pytest.CaptureFixture[str]

OWN = {
    "title": "Slides of our laboratory",
    "license": "other",
    "license_name": "laboratory-licence",
    "license_link": "https://example.org/licence",
    "citation": "@misc{lab2026slides}",
    "contact": "slides@example.org",
    "homepage": "https://example.org/slides",
    "caveats": ["From one microscope."],
}


def exported(root: Path, own: dict[str, object] | None = None) -> Workspace:
    """Return the export of a folder of images whose data sets have the names of two of the seven."""
    workspace = tiny.make(root, source="imagefolder")
    if own is not None:
        (root / "cards").mkdir()
        (root / "cards" / "own.yaml").write_text(yaml.safe_dump(own))
    assert export.main(["--root", str(root)]) == 0
    return workspace


@pytest.fixture(scope="module")
def unsaid(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an export of images of which their owner says nothing."""
    return exported(tmp_path_factory.mktemp("unsaid"))


def test_what_the_owner_does_not_say_is_not_stated(unsaid: Workspace) -> None:
    metadata, text = card_of(unsaid)
    assert (metadata["license"], metadata["license_name"]) == ("other", "not-stated")
    assert "- **Licence:** not stated" in text
    assert "- pbc: not stated" in text
    assert "MediMeta-C" not in metadata["pretty_name"]


def test_a_folder_with_the_name_of_a_known_data_set_is_not_taken_for_it(unsaid: Workspace) -> None:
    _, text = card_of(unsaid)
    for name in tiny.CLASSES:
        known = datasets.card(name)
        for words in (known.title, known.origin.name, known.origin.url, known.origin.citation, *known.caveats):
            assert words.strip() not in text
    assert datasets.collection("medimeta").citation.strip() not in text
    assert "de-identified" not in text
    croissant = (unsaid.export / "croissant.json").read_text()
    assert "woerner" not in croissant
    assert "MedIMeta" not in croissant


def test_the_card_says_what_the_owner_says(tmp_path: Path) -> None:
    metadata, text = card_of(exported(tmp_path, {"pbc": OWN, "mammo_mass": OWN}))
    assert metadata["license"] == "other"
    assert metadata["license_name"] == OWN["license_name"]
    assert metadata["license_link"] == OWN["license_link"]
    for value in (OWN["title"], OWN["citation"], OWN["contact"], OWN["homepage"], "From one microscope."):
        assert str(value) in text


def test_a_card_of_no_data_set_is_warned_of(tmp_path: Path, capsys: Streams) -> None:
    exported(tmp_path, {"pbc": OWN, "mamo_mass": OWN})
    assert "warning: cards/own.yaml speaks of 'mamo_mass', of which no images" in capsys.readouterr().err


def test_data_sets_of_several_licences_say_each(tmp_path: Path) -> None:
    metadata, text = card_of(exported(tmp_path, {"pbc": {"license": "cc-by-4.0"}}))
    assert (metadata["license"], metadata["license_name"]) == ("other", "by-data-set")
    assert "- pbc: cc-by-4.0" in text
    assert "- mammo\\_mass: not stated" in text.replace("mammo_mass:", "mammo\\_mass:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pbc: {licence: mit}", "pbc: it has no 'licence'; have title, license,"),
        ("pbc: {license: other}", "license_name goes with `license: other`"),
        ("pbc: {license_name: mine}", "license_name goes with `license: other`"),
        ("pbc: {title: 3}", "pbc: title must be text, not 3"),
        ("pbc: [", "is not YAML"),
        ("[pbc]", "must hold names and values"),
        ("pbc:", "it must be a mapping"),
    ],
)
def test_a_wrong_own_card_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path, capsys: Streams) -> None:
    workspace = tiny.make(tmp_path, source="imagefolder")
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "own.yaml").write_text(text)
    assert export.main(["--root", str(workspace.root)]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence
    assert "own.yaml" in sentence


@pytest.mark.parametrize(
    "name",
    [
        "ill/Doe_John_1970-01-01.png",
        "ill/DOE^JOHN.png",
        "ill/19700101.png",
        "ill/scan 01.02.1970.png",
        "ill/4711008150.png",
        "ill/M\u00fcller, Bj\u00f6rn.png",
        "ill/Doe_John/1.png",
        "ill/scan_1970-1-9.png",
        "ill/3 January 1970.png",
        "ill/1970_Okt_03/left.png",
        "ill/01dec1970.png",
    ],
)
def test_names_of_files_that_may_tell_who_is_shown_are_warned_of_and_not_published(
    name: str, tmp_path: Path, capsys: Streams
) -> None:
    workspace = tiny.make(tmp_path, source="imagefolder")
    rows = workspace.rows("pbc")
    quoted = f'"{name}"'
    rows.write_text(rows.read_text().replace("pbc-test-1", quoted), encoding="utf-8")
    assert export.main(["--root", str(workspace.root)]) == 0
    said = capsys.readouterr().err
    assert "warning: pbc: the names of 1 of 7 files" in said
    assert "mammo_mass" not in said
    person = name.removeprefix("ill/").removesuffix(".png").encode()
    for path in workspace.export.rglob("*"):
        assert path.is_dir() or person not in path.read_bytes()
    table = pq.read_table(workspace.export / "data/pbc/test/contrast_severity_4-00000-of-00001.parquet")
    assert table["image_id"].to_pylist() == [f"{index:06d}" for index in range(5)]
    assert name in rows.read_text(encoding="utf-8")


def test_names_of_classes_that_may_tell_who_is_shown_are_warned_of(tmp_path: Path, capsys: Streams) -> None:
    workspace = tiny.make(tmp_path, source="imagefolder", classes={"pbc": ["Doe_John", "well", "ill"]})
    assert export.main(["--root", str(workspace.root)]) == 0
    assert "warning: pbc: the names of data sets and classes are published, and 'Doe_John'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ill/1.png", "well/img_0042.jpg", "ill/IM-0001-0002.png", "a/left eye.png"])
def test_plain_names_are_not_warned_of(name: str, tmp_path: Path, capsys: Streams) -> None:
    workspace = tiny.make(tmp_path, source="imagefolder")
    rows = workspace.rows("pbc")
    rows.write_text(rows.read_text().replace("pbc-test-1", name))
    assert export.main(["--root", str(workspace.root)]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_pngs_carry_pixels_and_nothing_else(unsaid: Workspace) -> None:
    """EXIF, comments and the like would stand in other chunks."""
    for path in (unsaid.export / "data").rglob("*.parquet"):
        for image in pq.read_table(path)["image"].to_pylist():
            content, kinds = image["bytes"][8:], []
            while content:
                length = int.from_bytes(content[:4], "big")
                kinds.append(content[4:8])
                content = content[12 + length :]
            assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
            assert re.fullmatch(r"\w+_severity_\d/\d{6}\.png", image["path"])


NAMES = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "<b>x</b>",
        "a|b",
        "*a*",
        "_a_",
        "__0__",
        "`x`",
        "[a](http://b)",
        "# a",
        "a\nb",
        "&amp;",
        "\\",
        "a\\|b",
        "$x$",
        "~~a~~",
    ]
)


@given(name=NAMES)
def test_text_of_others_is_shown_as_it_is(name: str) -> None:
    (shown,) = re.findall("<td>(.*?)</td>", MARKDOWN.render(f"| a |\n|---|\n| x {escaped(name)} x |"), re.DOTALL)
    plain = " ".join(re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]", " ", f"x {name} x").split())
    assert " ".join(html.unescape(shown).split()) == plain


@given(name=NAMES, value=NAMES)
def test_a_card_is_one_table_whatever_the_names(name: str, value: str) -> None:
    text = adapter_card("mine", base=name, facts={value: name, "seed": "1"}, licence=value)
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["library_name"] == "peft"
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(re.sub(r"\\.", "", row).count("|") == 3 for row in rows)
