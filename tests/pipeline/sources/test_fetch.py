"""What each source needs is brought and unpacked, or a sentence says why not."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import fetch, sources
from pipeline.sources import medimeta as medimeta_source
from pipeline.workspace.cell import RELEASED, Cell
from pipeline.workspace.paths import Workspace
from tests.faults.workspace import write_params
from tests.pipeline.sources.conftest import receipt, refuse, run
from tests.pipeline.sources.release import write_release
from tests.pipeline.sources.server import RECORD_PATH, Server, dropped


def test_medimeta_is_brought_unpacked_and_read(medimeta: Path, server: Server) -> None:
    server.replies = [dropped(1000)]
    assert run(medimeta, server.url) == 0
    raw = Workspace(medimeta).raw("medimeta")
    assert sorted(path.name for path in raw.iterdir()) == ["fundus"]
    assert sorted(receipt(medimeta)["files"]) == [
        "fundus/annotations.csv",
        "fundus/images.hdf5",
        "fundus/info.yaml",
        *(f"fundus/splits/{split}.txt" for split in ("test", "train", "val")),
        "fundus/task_labels/disease presence.npy",
    ]
    assert sources.load("medimeta", "fundus", "test", root=raw).labels.tolist() == [0, 1, 0]
    server.asked.clear()
    assert run(medimeta, server.url) == 0
    assert server.asked == []


def test_an_unpacked_file_that_changed_is_noticed(
    medimeta: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(medimeta, server.url) == 0
    path = Workspace(medimeta).raw("medimeta") / "fundus" / "splits" / "val.txt"
    path.write_text("images/000001.tiff", encoding="utf-8")
    refuse(capsys, medimeta, server.url, "val.txt is not as it was fetched; delete")
    for damaged in ("{", '{"files": [1]}', "[" * 100_000, '{"files": {"info.yaml": 1}}'):
        (path.parents[1] / "receipt.json").write_text(damaged, encoding="utf-8")
        refuse(capsys, medimeta, server.url, f"delete {path.parents[1]} and run again")


def test_a_release_put_there_by_hand_is_taken_as_it_is(medimeta: Path, server: Server) -> None:
    write_release(Workspace(medimeta).raw("medimeta"), "fundus")
    assert run(medimeta, server.url) == 0
    assert server.asked == []
    assert len(receipt(medimeta)["files"]) == 6


def test_an_archive_is_kept_until_it_is_unpacked(
    medimeta: Path, server: Server, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = Workspace(medimeta).raw("medimeta")
    raw.mkdir(parents=True)
    (raw / "fundus.zip").write_bytes(b"another")
    refuse(capsys, medimeta, server.url, "fundus.zip is not the one on Zenodo")
    (raw / "fundus.zip").write_bytes(archive)
    (raw / ".tmp-fundus.0123abcd").write_bytes(b"")
    (raw / ".tmp-fundus.0123abcd.d" / "new").mkdir(parents=True)
    (raw / ".tmp-fundus.0123abcd.d" / "new" / "half").write_text("of a run that was killed", encoding="utf-8")
    server.asked.clear()
    assert run(medimeta, server.url) == 0
    assert [path for path, *_ in server.asked] == [RECORD_PATH]
    assert sorted(path.name for path in raw.iterdir()) == ["fundus"]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b"<html>log in</html>", "does not answer in JSON"),
        (b"[" * 100_000, "does not answer in JSON"),
        (b'{"files": [{"key": "fundus.zip"}]}', "does not list files as Zenodo does"),
        (b"[]", "does not list files as Zenodo does"),
        (b'{"files": []}', "has no fundus.zip; it has"),
        (b'{"files": [{"key": "fundus.zip", "size": Infinity, "checksum": ""}]}', "does not list files as Zenodo does"),
    ],
)
def test_a_record_must_list_the_archive(
    medimeta: Path, server: Server, capsys: pytest.CaptureFixture[str], said: bytes, says: str
) -> None:
    server.files[RECORD_PATH] = said
    refuse(capsys, medimeta, server.url, says)


_VALUES = st.none() | st.integers() | st.floats() | st.sampled_from(["fundus.zip", "", "md5:", [], {}])
_LINES = st.fixed_dictionaries({"key": _VALUES, "size": st.integers() | _VALUES, "checksum": _VALUES})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(said=st.fixed_dictionaries({"files": st.lists(_LINES | _VALUES, max_size=3)}) | _VALUES)
def test_any_record_lists_the_archive_or_is_refused(
    medimeta: Path, server: Server, capsys: pytest.CaptureFixture[str], said: object
) -> None:
    server.files[RECORD_PATH] = json.dumps(said).encode()
    refuse(capsys, medimeta, server.url, str(medimeta_source.RECORD))


def test_unknown_data_sets_are_refused_before_anything_is_asked(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in ("medimeta", "medmnist"):
        write_params(tmp_path, source=source, datasets=["mine"])
        refuse(capsys, tmp_path, server.url, f"{source} has no data set 'mine'; have ")
    assert server.asked == []


def test_phantom_and_image_folders_bring_nothing(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(tmp_path)
    assert run(tmp_path, server.url) == 0
    assert receipt(tmp_path) == {"source": "phantom", "files": {}}

    write_params(tmp_path, source="imagefolder", datasets=["mine"])
    refuse(capsys, tmp_path, server.url, "mine; put images into it as <split>/<class>/*.png")
    image = Workspace(tmp_path).raw("imagefolder") / "mine" / "val" / "a" / "1.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"one")
    assert run(tmp_path, server.url) == 0
    first = receipt(tmp_path)
    assert first["files"] == {"mine/val/a/1.png": {"size": 3, "sha256": hashlib.sha256(b"one").hexdigest()}}
    (image.parent / "2.bmp").write_bytes(b"left out, which prepare has to say")
    assert run(tmp_path, server.url) == 0
    assert list(receipt(tmp_path)["files"]) == ["mine/val/a/1.png", "mine/val/a/2.bmp"]
    image.write_bytes(b"two")
    assert run(tmp_path, server.url) == 0
    assert receipt(tmp_path) != first
    assert server.asked == []


@pytest.mark.parametrize("place", ["mine", "mine/val", "mine/val/a", "mine/val/a/patient"])
def test_a_link_to_a_folder_is_refused_since_dvc_sees_nothing_behind_it(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    write_params(tmp_path, source="imagefolder", datasets=["mine"])
    raw = Workspace(tmp_path).raw("imagefolder")
    image = raw / "mine" / "val" / "a" / "patient" / "1.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"one")
    (raw / place).rename(tmp_path / "elsewhere")
    (raw / place).symlink_to(tmp_path / "elsewhere")
    refuse(capsys, tmp_path, server.url, f"imagefolder/{place} is a link to a folder, and DVC sees no change behind it")
    (raw / place).unlink()
    subprocess.run(["cp", "-rs", tmp_path / "elsewhere", raw / place], check=True)  # as the sentence says
    assert run(tmp_path, server.url) == 0
    assert list(receipt(tmp_path)["files"]) == ["mine/val/a/patient/1.png"]
    raw.rename(tmp_path / "all")
    raw.symlink_to(tmp_path / "all")
    assert run(tmp_path, server.url) == 0


def test_names_that_git_would_keep_are_warned_of(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(tmp_path, source="imagefolder", datasets=["mine"])
    for name in ("a/1.png", "a/Doe_John/2.png"):
        path = Workspace(tmp_path).raw("imagefolder") / "mine" / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"one")
    assert run(tmp_path, server.url) == 0
    said = capsys.readouterr().err
    assert "warning: 1 names of files or folders, such as 'mine/val/a/Doe_John/2.png'" in said
    assert "manifests/source.json" in said


@pytest.mark.parametrize("source", ["imagefolder", "medmnist"])
@pytest.mark.parametrize(
    "state", [set(some) for n in range(5) for some in itertools.combinations(("listed", "there", "made", "tracked"), n)]
)
def test_nothing_is_brought_that_is_listed_and_not_needed(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str], source: str, state: set[str]
) -> None:
    """A build that was pulled has the clean images of data sets whose own files are elsewhere."""
    dataset, place = {"imagefolder": ("mine", "mine"), "medmnist": ("breastmnist", "breastmnist_224.npz")}[source]
    write_params(tmp_path, source=source, datasets=[dataset])
    workspace, raw = Workspace(tmp_path), Workspace(tmp_path).raw(source)
    raw.mkdir(parents=True)
    listed = workspace.manifests / "source.json"
    listed.parent.mkdir()
    name = place if source == "medmnist" else f"{place}/val/a/1.png"
    files = {name: {"size": 1, "sha256": "0" * 64}, f"{dataset}_2/val/a/1.png": {"size": 1, "sha256": "1" * 64}}
    listed.write_text(json.dumps({"source": source if "listed" in state else "phantom", "files": files}))
    before = listed.read_text()
    if "there" in state:
        (raw / place).touch()  # which is no folder, and not MedMNIST's file
    if "tracked" in state:
        (raw / f"{place}.dvc").touch()
    if "made" in state:
        for path in (workspace.rows(dataset), *(workspace.npz(Cell(dataset, split)) for split in RELEASED)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    is_kept = {"listed"} < state and "there" not in state
    code = fetch.main(["--root", str(tmp_path), "--base-url", server.url, "--unless-prepared"])
    assert code == (0 if is_kept else 1)
    if is_kept:
        assert receipt(tmp_path)["files"] == {name: files[name]}
        assert f"{raw} has no {dataset}" in capsys.readouterr().out
        assert run(tmp_path, server.url) == 1, "by hand it is brought"
    else:
        assert listed.read_text() == before


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fetch.main(["--help"])
    assert ended.value.code == 0
    assert "--base-url" in capsys.readouterr().out
