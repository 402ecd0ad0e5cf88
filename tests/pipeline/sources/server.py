"""A server on this machine that truncates, corrupts, drops, ignores, refuses and recovers, and what it has."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.sources import download, medimeta, medmnist
from tests.pipeline.sources.release import write_release
from tests.serving import in_thread

BODY = np.random.default_rng(0).integers(0, 256, 3_500_000, np.uint8).tobytes()
NAME = "breastmnist_224.npz"
PIECE = download.PIECE
URL_PATH = f"/records/{medmnist.RECORD}/files/{NAME}"
RECORD_PATH = f"/api/records/{medimeta.RECORD}"

Reply = Callable[["Handler", bytes, int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with the next of its server's `replies`, and with the whole file when they are used up."""

    protocol_version = "HTTP/1.1"
    server: Server

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


def packed(handler: Handler, body: bytes, begun: int) -> None:
    handler.send(200, body, Content_Encoding="gzip")


def final(code: int, **headers: str) -> Reply:
    """Send the whole file with any status and headers, and hang up."""

    def reply(handler: Handler, body: bytes, begun: int) -> None:
        handler.close_connection = True
        handler.send(code, body, **headers)

    return reply


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server in a thread."""
    with in_thread(Server()) as server:
        yield server


def offer(server: Server, archive: bytes) -> None:
    """Have `server` list and send an archive of MedIMeta's fundus."""
    listed = {"key": "fundus.zip", "size": len(archive), "checksum": f"md5:{hashlib.md5(archive).hexdigest()}"}
    server.files[RECORD_PATH] = json.dumps({"files": [listed, {**listed, "key": "aml.zip"}]}).encode()
    server.files[f"/records/{medimeta.RECORD}/files/fundus.zip"] = archive


def release(folder: Path) -> bytes:
    """Return fundus as Zenodo has it, made in `folder`: a folder, with each image as a TIFF beside images.hdf5."""
    written = write_release(folder, "fundus", chunks=(4, 224, 224, 3))
    (written / "images").mkdir()
    (written / "images" / "000000.tiff").write_bytes(b"not needed")
    (written / "annotations.csv").write_text("filepath\n", encoding="utf-8")
    with zipfile.ZipFile(folder / "fundus.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.mkdir("fundus")
        for path in sorted(written.rglob("*")):
            made.write(path, path.relative_to(folder))
    return (folder / "fundus.zip").read_bytes()
