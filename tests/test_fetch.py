"""Fetching from a server on this machine that truncates, corrupts, drops, ignores, refuses and recovers."""

import hashlib
import json
import multiprocessing
import shutil
import threading
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import UserError, download, fetch, sources
from pipeline.layout import Layout
from tests.sources.release import write_release

REPOSITORY = Path(__file__).parents[1]
BODY = np.random.default_rng(0).integers(0, 256, 3_500_000, np.uint8).tobytes()
NAME = "breastmnist_224.npz"
PIECE = download._PIECE
URL_PATH = f"/records/10519652/files/{NAME}"

Reply = Callable[["Handler", bytes, int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with the next of its server's `replies`, and with the whole file when they are used up."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        ranged = self.headers.get("Range")
        begun = int(ranged.removeprefix("bytes=").removesuffix("-")) if ranged else 0
        self.server.asked.append((self.path, begun, self.headers.get("If-Range")))
        body = self.server.files.get(self.path)
        if body is None:
            self.send(404, b"no such file")
            return
        reply = self.server.replies.pop(0) if self.server.replies and "/api/" not in self.path else honest
        reply(self, body, begun)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server with files by their paths, replies to give first, and a list of what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, int, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up."""


def honest(handler: Handler, body: bytes, begun: int) -> None:
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    if not begun or handler.headers.get("If-Range") not in (None, tag):
        handler.send(200, body, ETag=tag)
    elif begun >= len(body):
        handler.send(416, b"", Content_Range=f"bytes */{len(body)}")
    else:
        place = f"bytes {begun}-{len(body) - 1}/{len(body)}"
        handler.send(206, body[begun:], Content_Range=place, ETag=tag)


def dropped(after: int) -> Reply:
    """Promise everything that is missing and hang up after so many bytes of it."""

    def reply(handler: Handler, body: bytes, begun: int) -> None:
        rest = body[begun:]
        place = {"Content_Range": f"bytes {begun}-{len(body) - 1}/{len(body)}"} if begun else {}
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        handler.send(206 if begun else 200, rest[:after], Content_Length=str(len(rest)), ETag=tag, **place)
        handler.close_connection = True

    return reply


def truncated(handler: Handler, body: bytes, begun: int) -> None:
    handler.send(200, body[: len(body) // 2])


def corrupted(handler: Handler, body: bytes, begun: int) -> None:
    handler.send(200, body[:1000] + bytes([body[1000] ^ 1]) + body[1001:])


def deaf(handler: Handler, body: bytes, begun: int) -> None:
    handler.send(200, body)


def elsewhere(handler: Handler, body: bytes, begun: int) -> None:
    handler.send(206, body[begun - 1 :], Content_Range=f"bytes {begun - 1}-{len(body) - 1}/{len(body)}")


def silent(handler: Handler, body: bytes, begun: int) -> None:
    handler.close_connection = True


def status(code: int, **headers: str) -> Reply:
    return lambda handler, body, begun: handler.send(code, b"sorry", **headers)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        running.files[URL_PATH] = BODY
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose source is one file of MedMNIST+."""
    monkeypatch.setitem(fetch.MEDMNIST_MD5, "breastmnist", hashlib.md5(BODY).hexdigest())
    write_params(tmp_path, source="medmnist", datasets=["breastmnist"])
    return tmp_path


def write_params(root: Path, **changes: Any) -> None:
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    (root / "params.yaml").write_text(yaml.safe_dump({**params, **changes}))


def run(root: Path, url: str) -> int:
    return fetch.main(["--root", str(root), "--base-url", url])


def receipt(root: Path) -> Any:
    return json.loads((root / "manifests" / "source.json").read_text())


def stray(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.name.startswith(".tmp-")]


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


def refuse(capsys: pytest.CaptureFixture[str], root: Path, url: str, says: str) -> None:
    assert run(root, url) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


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
    monkeypatch.setitem(fetch.MEDMNIST_MD5, "breastmnist", hashlib.md5(BODY[::-1]).hexdigest())
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
    refuse(capsys, workspace, "zenodo", "cannot be asked for")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
        refuse(capsys, workspace, server.url, "0.0 GB free where 0.0 GB are still to come")
    with fetch._alone(workspace / "data" / "raw" / "medmnist"):
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
    assert [path.name for path in part.parent.iterdir() if not path.name.startswith(".tmp-")] == []
    assert run(workspace, server.url) == 0
    assert server.asked[-1][1] >= 1_000_000
    assert stray(workspace) == []


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A data set of MedIMeta as Zenodo has it: in a folder, with each image as a TIFF beside images.hdf5."""
    root = tmp_path_factory.mktemp("archive")
    folder = write_release(root, "fundus", chunks=(4, 224, 224, 3))
    (folder / "images").mkdir()
    (folder / "images" / "000000.tiff").write_bytes(b"not needed")
    (folder / "annotations.csv").write_text("filepath\n")
    with zipfile.ZipFile(root / "fundus.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.mkdir("fundus")
        for path in sorted(folder.rglob("*")):
            made.write(path, path.relative_to(root))
    return (root / "fundus.zip").read_bytes()


@pytest.fixture
def medimeta(tmp_path: Path, server: Server, archive: bytes) -> Path:
    """A workspace whose source is one data set of MedIMeta, and a server that has it."""
    write_params(tmp_path, source="medimeta", datasets=["fundus"])
    offer(server, archive)
    return tmp_path


def offer(server: Server, archive: bytes) -> None:
    listed = {"key": "fundus.zip", "size": len(archive), "checksum": f"md5:{hashlib.md5(archive).hexdigest()}"}
    server.files["/api/records/7884735"] = json.dumps({"files": [listed, {**listed, "key": "aml.zip"}]}).encode()
    server.files["/records/7884735/files/fundus.zip"] = archive


def test_medimeta_is_brought_unpacked_and_read(medimeta: Path, server: Server) -> None:
    server.replies = [dropped(1000)]
    assert run(medimeta, server.url) == 0
    raw = Layout(medimeta).raw("medimeta")
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
    path = Layout(medimeta).raw("medimeta") / "fundus" / "splits" / "val.txt"
    path.write_text("images/000001.tiff")
    refuse(capsys, medimeta, server.url, "val.txt is not as it was fetched; delete")
    (path.parents[1] / "receipt.json").write_text("{")
    refuse(capsys, medimeta, server.url, "is not as it was fetched; delete")


def test_a_release_put_there_by_hand_is_taken_as_it_is(medimeta: Path, server: Server) -> None:
    write_release(Layout(medimeta).raw("medimeta"), "fundus")
    assert run(medimeta, server.url) == 0
    assert server.asked == []
    assert len(receipt(medimeta)["files"]) == 6


def test_an_archive_is_kept_until_it_is_unpacked(
    medimeta: Path, server: Server, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = Layout(medimeta).raw("medimeta")
    raw.mkdir(parents=True)
    (raw / "fundus.zip").write_bytes(b"another")
    refuse(capsys, medimeta, server.url, "fundus.zip is not the one on Zenodo")
    (raw / "fundus.zip").write_bytes(archive)
    (raw / ".tmp-fundus").mkdir()
    (raw / ".tmp-fundus" / "half").write_text("of a run that was killed")
    server.asked.clear()
    assert run(medimeta, server.url) == 0
    assert [path for path, *_ in server.asked] == ["/api/records/7884735"]
    assert sorted(path.name for path in raw.iterdir()) == ["fundus"]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b"<html>log in</html>", "does not answer in JSON"),
        (b"[" * 100_000, "does not answer in JSON"),
        (b'{"files": [{"key": "fundus.zip"}]}', "does not list files as Zenodo does"),
        (b"[]", "does not list files as Zenodo does"),
        (b'{"files": []}', "has no fundus.zip; it has"),
    ],
)
def test_a_record_must_list_the_archive(
    medimeta: Path, server: Server, capsys: pytest.CaptureFixture[str], said: bytes, says: str
) -> None:
    server.files["/api/records/7884735"] = said
    refuse(capsys, medimeta, server.url, says)


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
    image = Layout(tmp_path).raw("imagefolder") / "mine" / "val" / "a" / "1.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"one")
    (image.parent / "notes.txt").write_text("not an image")
    assert run(tmp_path, server.url) == 0
    first = receipt(tmp_path)
    assert first["files"] == {"mine/val/a/1.png": {"size": 3, "sha256": hashlib.sha256(b"one").hexdigest()}}
    image.write_bytes(b"two")
    assert run(tmp_path, server.url) == 0
    assert receipt(tmp_path) != first
    assert server.asked == []


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fetch.main(["--help"])
    assert ended.value.code == 0
    assert "--base-url" in capsys.readouterr().out
