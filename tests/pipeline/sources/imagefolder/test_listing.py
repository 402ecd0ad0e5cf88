"""Folders as people, cameras, Macs, Windows and NAS leave them: nothing is lost without a word."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import prepare, sources
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.io.regular import is_leftover
from pipeline.sources import Clean
from pipeline.sources.imagefolder import fetch
from pipeline.workspace.paths import Workspace
from tests.faults.workspace import REPOSITORY, write_params


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, "png")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits of two classes, an image in each."""
    for split in ("val", "test"):
        for name in ("a", "b"):
            put(tmp_path / "mine" / split / name / "1.png")
    return tmp_path / "mine"


def load(folder: Path, split: str = "test") -> Clean:
    return sources.load("imagefolder", folder.name, split, root=folder.parent)


def refuse(folder: Path, *says: str) -> None:
    for work in (lambda: load(folder), lambda: fetch(folder.parent, [folder.name], "")):
        with pytest.raises(UserError) as caught:
            work()
        assert "\n" not in str(caught.value)
        for words in says:
            assert words in str(caught.value)


def test_folders_within_a_class_are_looked_into(folder: Path) -> None:
    put(folder / "test" / "b" / "patient10" / "left" / "1.png")
    put(folder / "test" / "b" / "patient2" / "1.png")
    assert load(folder).image_ids == ["a/1.png", "b/1.png", "b/patient2/1.png", "b/patient10/left/1.png"]
    assert load(folder).labels.tolist() == [0, 1, 1, 1]


def test_what_systems_leave_is_no_class_no_image_and_no_loss(folder: Path) -> None:
    names = [
        "@eaDir",
        "@EADIR",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX",
        "._1.png",
        ".thumbnails",
        "#recycle",
    ]
    before = fetch(folder.parent, ["mine"], "")
    for name in names:
        assert is_leftover(name)
        put(folder / "test" / name / "1.png")
        put(folder / "test" / "a" / f"{name}") if "." in name else put(folder / "test" / "a" / name / "2.png")
    clean = load(folder)
    assert clean.class_names == ("a", "b")
    assert clean.image_ids == ["a/1.png", "b/1.png"]
    assert clean.dropped == ()
    assert fetch(folder.parent, ["mine"], "") == before


@pytest.mark.parametrize("suffix", [".bmp", ".dcm", ".nii.gz", ""])
def test_a_class_without_images_is_refused_unless_told_so(folder: Path, suffix: str) -> None:
    (folder / "test" / "b" / "1.png").rename(folder / "test" / "b" / f"1{suffix}")
    refuse(folder, "test/b has no image: 1 files are left out", f"b/1{suffix}", ".gitkeep")
    (folder / "test" / "b" / ".gitkeep").touch()
    clean = load(folder)
    assert clean.class_names == ("a", "b")
    assert clean.labels.tolist() == [0]
    assert "mine/test/b/.gitkeep" in fetch(folder.parent, ["mine"], "")


def test_a_class_of_one_split_is_refused_unless_told_so(folder: Path) -> None:
    put(folder / "val" / "c" / "1.png")
    refuse(folder, "test has no folder for c, which val has", ".gitkeep")
    (folder / "test" / "c").mkdir()
    refuse(folder, "test/c has no image;")
    (folder / "test" / "c" / ".gitkeep").touch()
    assert load(folder).class_names == load(folder, "val").class_names == ("a", "b", "c")


def test_a_split_needs_an_image(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / "test" / name / "1.png").rename(folder / "test" / name / ".gitkeep")
    refuse(folder, "no image in ")


def test_links_are_followed_and_those_to_nothing_are_named(folder: Path, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "mount" / "c" / "7.png").parent
    for split in ("val", "test"):
        (folder / split / "c").symlink_to(elsewhere)
    (folder / "test" / "a" / "2.png").symlink_to(elsewhere / "7.png")
    assert load(folder).image_ids == ["a/1.png", "a/2.png", "b/1.png", "c/7.png"]
    assert "mine/test/c/7.png" in fetch(folder.parent, ["mine"], "")
    shutil.rmtree(elsewhere)
    refuse(folder, "/c is a link to", "which is not there")
    for split in ("val", "test"):
        (folder / split / "c").unlink()
    refuse(folder, "test/a/2.png is a link to", "which is not there")
    (folder / "test" / "a" / "2.png").unlink()
    shutil.move(folder / "val", tmp_path / "val")
    (folder / "val").symlink_to(tmp_path / "nothing")
    refuse(folder, "mine/val is no folder, or a link to one that is not there")


def test_links_that_never_end_are_named(folder: Path) -> None:
    (folder / "test" / "a" / "again").symlink_to(folder / "test")
    refuse(folder, "test/a/again", "a folder that it lies in")
    (folder / "test" / "a" / "again").unlink()
    (folder / "test" / "a" / "2.png").symlink_to("2.png")
    refuse(folder, "test/a/2.png is a link that leads back to itself")
    (folder / "test" / "a" / "2.png").unlink()
    (folder / "test" / "c").symlink_to("c")
    refuse(folder, "test/c is a link to c")


def test_pipes_sockets_and_devices_are_never_opened(folder: Path) -> None:
    path = folder / "test" / "a" / "2.png"
    os.mkfifo(path)
    refuse(folder, "test/a/2.png is a pipe, where a file is needed")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # a socket's address has at most 107 bytes
        try:
            server.bind("2.png")
        finally:
            os.chdir(before)
        refuse(folder, "test/a/2.png is a socket")
    path.unlink()
    path.symlink_to("/dev/zero")
    refuse(folder, "test/a/2.png is a device")
    path.unlink()
    os.mkfifo(folder / "test" / "a" / "notes")  # no image
    os.mkfifo(folder / "test" / "notes")
    assert load(folder).image_ids == ["a/1.png", "b/1.png"]


def test_class_names_are_the_same_however_a_disk_composes_their_letters(folder: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "mélanome"), unicodedata.normalize("NFD", "mélanome")
    put(folder / "val" / composed / "1.png")
    put(folder / "test" / apart / "1.png")
    assert load(folder).class_names == load(folder, "val").class_names == ("a", "b", composed)
    assert load(folder).image_ids[-1] == f"{apart}/1.png"
    put(folder / "test" / composed / "1.png")
    refuse(folder, "two folders that are both named")


def test_a_class_has_the_same_name_in_every_locale(folder: Path) -> None:
    put(folder / "val" / "mélanome" / "1.png")
    put(folder / "test" / "mélanome" / "1.png")
    show = "import sys; from pathlib import Path; from pipeline.sources.imagefolder.listing import list_splits as s"
    show += "; print(ascii(list(s(Path(sys.argv[1]))['test'].classes)))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # the names of files are decoded as ASCII
    command = [sys.executable, "-c", show, folder]
    shown = subprocess.run(command, env=os.environ | plain, cwd=REPOSITORY, capture_output=True, check=True)
    assert shown.stdout.strip() == rb"['a', 'b', 'm\xe9lanome']"


def test_what_lies_beside_the_splits_is_named(folder: Path) -> None:
    put(folder / "validation" / "a" / "1.png")
    put(folder / "2.png")
    put(folder / "@eaDir" / "3.png")
    reason = "in none of the folders train, val, test"
    assert load(folder).dropped == (("../2.png", reason), ("../validation/a/1.png", reason))
    assert load(folder, "val").dropped == ()


def test_names_that_are_no_text(folder: Path) -> None:
    path = folder / "test" / "a" / os.fsdecode(b"2\xff.png")
    put(path)
    assert load(folder).image_ids == ["a/1.png", "a/2\\xff.png", "b/1.png"]
    assert "mine/test/a/2\\xff.png" in fetch(folder.parent, ["mine"], "")
    path.write_bytes(b"")
    assert load(folder).dropped[0][0] == "a/2\\xff.png"
    put(folder / "test" / os.fsdecode(b"c\xff") / "1.png")
    refuse(folder, "test/c\\xff: a class's name must be UTF-8")


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12)
NAMES = _TEXT.map(lambda name: name.strip(".")).filter(lambda name: name and not is_leftover(name))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(classes=st.sets(NAMES, min_size=1, max_size=4), files=st.sets(NAMES | st.binary(min_size=1, max_size=9)))
def test_any_names_make_the_same_data_set_in_every_split(
    tmp_path: Path, classes: set[str], files: set[str | bytes]
) -> None:
    folder = tmp_path / "mine"
    shutil.rmtree(folder, ignore_errors=True)
    distinct = {unicodedata.normalize("NFC", name) for name in classes}
    names = {
        os.fsdecode(name.translate(None, b"/\0").strip(b".") or b"x") if isinstance(name, bytes) else name
        for name in files
    }
    names = {name for name in names if not is_leftover(name)} | {"1"}
    for split, form in (("val", "NFC"), ("test", "NFD")):
        for name in distinct:
            for file in names:
                put(folder / split / unicodedata.normalize(form, name) / f"{file}.png")
    clean, other = load(folder), load(folder, "val")
    assert clean.class_names == other.class_names == tuple(sorted(distinct))
    assert len(clean.image_ids) == len(names) * len(distinct)
    assert "\n".join(clean.image_ids).encode()
    assert len(fetch(folder.parent, ["mine"], "")) == 2 * len(clean.image_ids)


def test_what_is_left_out_is_said_on_the_terminal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = {"datasets": ["mine"], "columns": {"mine": "oct"}, "limit": None, "allow_overlap": True}
    write_params(tmp_path, source="imagefolder", **params)
    workspace = Workspace(tmp_path)
    shutil.copytree(folder, workspace.raw("imagefolder") / "mine")
    shutil.copytree(folder / "val", workspace.raw("imagefolder") / "mine" / "train")
    prepare.prepare(workspace, "mine", read_config(workspace), workers=1)
    assert "left out" not in capsys.readouterr().err
    for name in ("2.bmp", "3.bmp", "notes.txt"):
        (workspace.raw("imagefolder") / "mine" / "test" / "a" / name).write_bytes(b"x")
    (workspace.raw("imagefolder") / "mine" / "val" / "a" / "2.png").write_bytes(b"x")
    prepare.prepare(workspace, "mine", read_config(workspace), workers=1)
    said = capsys.readouterr().err
    assert said.startswith("warning: mine: 4 files are left out (2: its name ends in .bmp, not in .png")
    assert str(workspace.dropped("mine")) in said
    assert "test,a/2.bmp," in workspace.dropped("mine").read_text(encoding="utf-8")
    assert "val,a/2.png,cannot be read as an image" in workspace.dropped("mine").read_text(encoding="utf-8")
