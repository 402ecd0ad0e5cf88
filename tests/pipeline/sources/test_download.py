"""One file from a bad server: whole under its name, or a sentence; the next run goes on."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import fetch
from pipeline.errors import UserError
from pipeline.io.atomic import is_temporary
from pipeline.sources import download, medmnist
from tests.pipeline.sources.conftest import receipt, refuse, run, stray
from tests.pipeline.sources.server import (
    BODY,
    NAME,
    PIECE,
    URL_PATH,
    Handler,
    Reply,
    Server,
    corrupted,
    deaf,
    dropped,
    elsewhere,
    final,
    packed,
    silent,
    status,
    truncated,
)


@pytest.mark.parametrize(
    ("replies", "places"),
    [
        ([], [0]),
        ([dropped(20 * PIECE)], [0, 20 * PIECE]),
        ([dropped(20 * PIECE), dropped(9 * PIECE), dropped(1)], [0, 20 * PIECE, 29 * PIECE, 29 * PIECE]),
        ([dropped(20 * PIECE), deaf], [0, 20 * PIECE]),
        ([dropped(20 * PIECE), elsewhere] * 2, [0, 20 * PIECE, 0, 20 * PIECE, 0]),
        ([status(500), status(503, Retry_After="0"), silent], [0, 0, 0, 0]),
        ([dropped(20 * PIECE), status(502), status(416)], [0, 20 * PIECE, 20 * PIECE, 0]),
        ([truncated], [0, 0]),
        ([corrupted], [0, 0]),
        ([status(503, Retry_After="²"), packed, final(200, Content_Length="²")], [0, 0, 0]),
    ],
)
def test_a_bad_server_is_asked_until_the_file_is_whole(
    workspace: Path, server: Server, replies: list[Reply], places: list[int]
) -> None:
    server.replies = list(replies)
    assert run(workspace, server.url) == 0
    path = workspace / "data" / "raw" / "medmnist" / NAME
    assert path.read_bytes() == BODY
    assert receipt(workspace) == {
        "source": "medmnist",
        "files": {NAME: {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}},
    }
    assert [begun for _, begun, _ in server.asked] == places
    assert stray(workspace) == []


def test_a_second_run_asks_nothing_and_gives_the_same_receipt(workspace: Path, server: Server) -> None:
    assert run(workspace, server.url) == 0
    first = (workspace / "manifests" / "source.json").read_bytes()
    server.asked.clear()
    assert run(workspace, server.url) == 0
    assert server.asked == []
    assert (workspace / "manifests" / "source.json").read_bytes() == first


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        ([corrupted] * 2, "came twice with a wrong checksum"),
        ([truncated] * 2, "came twice with a wrong checksum"),
        ([status(500)] * 7, "failed 7 times in a row: HTTP 500"),
        ([silent] * 7, "no connection to 127.0.0.1"),
        ([dropped(10)] * 7, "failed 7 times in a row: "),
        ([status(403)], "refuses access (HTTP 403)"),
        ([status(404)], "is not there (HTTP 404)"),
        ([status(302, Location="ftp://example.org/x")], "cannot be asked for"),
        ([status(204)], "not understood (HTTP 204)"),
    ],
)
def test_what_cannot_be_had_leaves_nothing_under_its_name(
    workspace: Path, server: Server, capsys: pytest.CaptureFixture[str], replies: list[Reply], says: str
) -> None:
    server.replies = list(replies)
    refuse(capsys, workspace, server.url, says)
    assert not (workspace / "data" / "raw" / "medmnist" / NAME).exists()
    assert not (workspace / "manifests" / "source.json").exists()


def test_the_next_run_goes_on_where_the_last_one_gave_up(workspace: Path, server: Server) -> None:
    server.replies = [dropped(40 * PIECE), *[silent] * 7]
    assert run(workspace, server.url) == 1
    server.asked.clear()
    server.replies = []
    assert run(workspace, server.url) == 0
    assert server.asked == [(URL_PATH, 40 * PIECE, f'"{hashlib.md5(BODY).hexdigest()}"')]
    assert stray(workspace) == []


def test_a_file_that_changed_meanwhile_is_brought_from_its_beginning(
    workspace: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [dropped(40 * PIECE), *[silent] * 7]
    assert run(workspace, server.url) == 1
    server.files[URL_PATH] = BODY[::-1]
    monkeypatch.setitem(medmnist.MD5, "breastmnist", hashlib.md5(BODY[::-1]).hexdigest())
    assert run(workspace, server.url) == 0
    assert (workspace / "data" / "raw" / "medmnist" / NAME).read_bytes() == BODY[::-1]


def test_a_download_that_was_whole_but_never_named_is_kept(workspace: Path, server: Server) -> None:
    folder = workspace / "data" / "raw" / "medmnist"
    folder.mkdir(parents=True)
    (folder / f".tmp-{NAME}.part").write_bytes(BODY)
    assert run(workspace, server.url) == 0
    assert [begun for _, begun, _ in server.asked] == [len(BODY)]


def test_a_file_of_another_content_is_not_touched(
    workspace: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workspace / "data" / "raw" / "medmnist" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    refuse(capsys, workspace, server.url, "is not the one on Zenodo; delete it and run again")
    assert path.read_bytes() == b"mine"


def test_no_server_no_space_and_a_second_run_at_once_end_in_a_sentence(
    workspace: Path, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(capsys, workspace, "http://127.0.0.1:9", "no connection to 127.0.0.1:9")
    refuse(capsys, workspace, "zenodo", "--base-url names no scheme")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
        refuse(capsys, workspace, server.url, "0.0 GB free where 0.0 GB are still to come")
    with fetch._locked(workspace / "data" / "raw" / "medmnist"):
        refuse(capsys, workspace, server.url, "another run is fetching into")
    assert run(workspace, server.url) == 0


def test_a_full_disk_ends_in_a_sentence() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(UserError, match="the disk is full"):
        download._write(full, b"x")


def fetch_forever(root: Path, url: str) -> None:
    download.PAUSE = 0.001
    run(root, url)


def test_killed_in_the_middle_it_leaves_no_file_and_goes_on(workspace: Path, server: Server) -> None:
    stalled, release = threading.Event(), threading.Event()

    def stall(handler: Handler, body: bytes, begun: int) -> None:
        dropped(2_000_000)(handler, body, begun)
        stalled.set()
        release.wait(20)

    server.replies = [stall]
    child = multiprocessing.get_context("fork").Process(target=fetch_forever, args=(workspace, server.url))
    child.start()
    part = workspace / "data" / "raw" / "medmnist" / f".tmp-{NAME}.part"
    assert stalled.wait(20)
    while not (part.exists() and part.stat().st_size >= 1_000_000):
        child.join(0.01)
    child.kill()
    child.join()
    release.set()
    assert [path.name for path in part.parent.iterdir() if not is_temporary(path)] == []
    assert run(workspace, server.url) == 0
    assert server.asked[-1][1] >= 1_000_000
    assert stray(workspace) == []


def test_what_a_crash_left_beside_it_is_not_trusted(workspace: Path, server: Server) -> None:
    folder = workspace / "data" / "raw" / "medmnist"
    folder.mkdir(parents=True)
    (folder / f".tmp-{NAME}.part").write_bytes(bytes(5))
    (folder / f".tmp-{NAME}.etag").write_bytes(b"\0\xff\r\n")
    assert run(workspace, server.url) == 0
    assert server.asked == [(URL_PATH, 5, None), (URL_PATH, 0, None)]
    assert (folder / NAME).read_bytes() == BODY


def test_a_file_put_there_by_hand_ends_its_download(workspace: Path, server: Server) -> None:
    server.replies = [dropped(40 * PIECE), *[silent] * 7]
    assert run(workspace, server.url) == 1
    assert len(stray(workspace)) == 2
    (workspace / "data" / "raw" / "medmnist" / NAME).write_bytes(BODY)
    assert run(workspace, server.url) == 0
    assert stray(workspace) == []


_NUMBERS = st.sampled_from(["0", "5", "-1", "²", "1e9", "9" * 30, str(len(BODY)), str(len(BODY) - 1), "x"])
_STATUSES = st.sampled_from([200, 206, 301, 304, 401, 416, 429, 500, 999])
_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content_Length": _NUMBERS,
        "Retry_After": _NUMBERS,
        "ETag": st.sampled_from(['""', '"a"', "W/", '"a', "\xff"]),
        "Content_Encoding": st.sampled_from(["gzip", "deflate", "identity", "gzip, gzip", "?"]),
        "Transfer_Encoding": st.sampled_from(["chunked", "?"]),
        "Location": st.sampled_from(["", "//", "http://[", "?", "\xff", "http://127.0.0.1:9"]),
        "Content_Range": st.builds("bytes {}-{}/{}".format, _NUMBERS, _NUMBERS, _NUMBERS) | st.just("?"),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(answers=st.lists(st.tuples(_STATUSES, _HEADERS), max_size=9))
def test_any_answers_end_in_the_file_or_a_sentence(
    workspace: Path,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[int, dict[str, str]]],
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # as long as a server asks for
    path = workspace / "data" / "raw" / "medmnist" / NAME
    path.unlink(missing_ok=True)
    server.replies = [final(code, **headers) for code, headers in answers]
    if run(workspace, server.url) == 0:
        assert path.read_bytes() == BODY
        assert stray(workspace) == []
    else:
        assert capsys.readouterr().err.count("\n") == 1
        assert not path.exists()
