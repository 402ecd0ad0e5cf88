"""Bring one file over HTTP: resumed where it stopped, tried again when it drops, checked before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests

from pipeline.errors import UserError
from pipeline.io.atomic import MARK
from pipeline.io.regular import open_regular
from pipeline.run.progress import progress

RETRIES = 6
"""How often in a row a server may fail before it is given up; a mebibyte received counts as success."""

PAUSE = 1.0
"""Seconds before the second try; doubled with every failure, to at most a minute."""

TIMEOUT = (10.0, 60.0)
"""Seconds for a connection, and between two pieces of an answer."""

PIECE = 1 << 16
"""Bytes that are received at a time: what a broken connection may lose."""

_BLOCK = 1 << 20
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_JSON_BYTES = 5_000_000
_FILE_BYTES = 64 * 2**30  # of a file whose length nobody says
_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')  # an ETag that says that bytes are equal, RFC 9110, 8.8.3

T = TypeVar("T")


class _Dropped(Exception):
    """The server or the network failed in a way that may pass; `pause` is what the server asked for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Checksums:
    """Size in bytes and checksums of a file."""

    size: int
    md5: str
    sha256: str


def checksums(path: Path) -> Checksums:
    """Read a file once, with a progress bar, and return its checksums."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open_regular(path) as file, _bar(f"check {path.name}", size := path.stat().st_size) as bar:
        while block := file.read(_BLOCK):
            md5.update(block)
            sha256.update(block)
            bar.update(len(block))
    return Checksums(size, md5.hexdigest(), sha256.hexdigest())


def download(url: str, path: Path, *, md5: str, size: int | None = None) -> Checksums:
    """Bring `url` to `path` and return its checksums; nothing stands under that name unless `md5` is right.

    What has come is kept beside it, so that the next run goes on from there. A file whose checksum is wrong is
    brought once more from its beginning, and given up if it is wrong again.

    Raises:
        UserError: the server is out of reach, refuses, lacks the file, or gives another; or the disk is full.
    """
    part = path.with_name(f"{MARK}{path.name}.part")
    tag = path.with_name(f"{MARK}{path.name}.etag")
    path.parent.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session, part.open("a+b") as file:
        for _ in range(2):
            _persist(url, lambda: _receive(session, url, file, tag, size), lambda: file.seek(0, os.SEEK_END))
            file.flush()
            sums = checksums(part)
            if sums.md5 == md5 and size in (None, sums.size):
                os.fsync(file.fileno())
                tag.unlink(missing_ok=True)
                os.replace(part, path)
                return sums
            file.truncate(0)
    part.unlink()
    tag.unlink(missing_ok=True)
    raise UserError(
        f"{without_secrets(url)} came twice with a wrong checksum (md5 {sums.md5}, expected {md5}); nothing of it was"
        " kept"
    )


def download_json(url: str) -> Any:
    """Return what a server says in JSON at `url`; UserError if it cannot be had."""

    def receive() -> bytes:
        with requests.Session() as session, _get(session, url, {}) as response:
            _check_status(response, url)
            return b"".join(_pieces(response, _JSON_BYTES))

    text = _persist(url, receive)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(
            f"{without_secrets(url)} does not answer in JSON; a proxy or login page may stand between"
        ) from None


def without_secrets(text: str) -> str:
    """Return a URL, or text with some, without user names, passwords and queries."""
    return re.sub(r"\?[^\s'\")]+", "", re.sub(r"//[^/\s]*@", "//", text))


def _persist(url: str, attempt: Callable[[], T], received: Callable[[], int] = lambda: 0) -> T:
    """Return what `attempt` returns; call it again, after a pause, while it is dropped; `received` counts bytes."""
    failures = 0
    while True:
        before = received()
        try:
            return attempt()
        except _Dropped as dropped:
            failures = 1 if received() - before >= _BLOCK else failures + 1
            if failures > RETRIES:
                raise UserError(
                    f"{without_secrets(url)} failed {failures} times in a row: {dropped}; run again later, it goes on"
                ) from None
            time.sleep(max(dropped.pause, min(PAUSE * 2 ** (failures - 1), 60.0)))


def _receive(session: requests.Session, url: str, file: BinaryIO, tag: Path, size: int | None) -> None:
    """Ask once for what is missing and append what comes; _Dropped if that is not all."""
    begun = file.seek(0, os.SEEK_END)
    if begun == size:
        return
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    if begun and tag.exists() and _STRONG.fullmatch(known := tag.read_text(encoding="latin-1")):
        headers["If-Range"] = known
    with _get(session, url, headers) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range") == f"bytes */{begun}":
                return  # all of it had come before
            file.truncate(0)
            raise _Dropped("it cannot go on from where it stopped")
        _check_status(response, url)
        begun, total = _place(response, begun, file)
        if size is not None and total is not None and total != size:
            raise _Dropped(f"it offers {total} bytes where {size} are expected")
        etag = response.headers.get("ETag", "")
        if _STRONG.fullmatch(etag):
            tag.write_text(etag, encoding="latin-1")
        else:
            tag.unlink(missing_ok=True)
        limit = size if size is not None else total
        if limit is not None:
            _check_space(Path(file.name), limit - begun)
        with _bar(urlsplit(url).path.rsplit("/", 1)[-1], limit, begun) as bar:
            for piece in _pieces(response, (_FILE_BYTES if limit is None else limit) - begun):
                _write(file, piece)
                bar.update(len(piece))
    file.flush()
    received = file.seek(0, os.SEEK_END)
    if limit is not None and received < limit:
        raise _Dropped(f"it stopped after {received} of {limit} bytes")


def _place(response: requests.Response, begun: int, file: BinaryIO) -> tuple[int, int | None]:
    """Return where the bytes of `response` belong, and how many there are in all if it says so."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != begun:
            file.truncate(0)
            raise _Dropped("it goes on from another place than asked for")
        return begun, int(match[2]) if match[2] != "*" else None
    file.truncate(0)  # the server ignores Range, or has another file than the one begun
    return 0, _number(response, "Content-Length")


def _number(response: requests.Response, header: str) -> int | None:
    match = re.fullmatch(r"[0-9]{1,18}", response.headers.get(header, ""))
    return int(match[0]) if match else None


def _get(session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
    try:
        return session.get(url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=TIMEOUT)
    except requests.exceptions.ProxyError as refused:
        raise UserError(
            f"the proxy does not let {urlsplit(url).hostname} through ({_cause(refused)}); check HTTPS_PROXY,"
            " HTTP_PROXY, ALL_PROXY and NO_PROXY"
        ) from None
    except (requests.ConnectionError, requests.Timeout) as failed:
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise _Dropped(f"no connection to {host} ({_cause(failed)})") from None
    except requests.RequestException as wrong:
        if "SOCKS" in str(wrong):
            raise UserError("a SOCKS proxy (ALL_PROXY) needs PySocks: pip install 'requests[socks]'") from None
        raise UserError(f"{without_secrets(url)} cannot be asked for ({_cause(wrong)})") from None
    except (ValueError, TypeError):  # of requests' parser
        raise UserError("HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no address of a proxy") from None


def _check_status(response: requests.Response, url: str) -> None:
    """Raise _Dropped for a status that may pass, UserError for any other that is no success."""
    status, shown = response.status_code, without_secrets(url)
    by_hand = "docs/data.md says how to bring the file by hand"
    if status in _BUSY:
        raise _Dropped(f"HTTP {status}", min(_number(response, "Retry-After") or 0, 120))
    if status in (401, 403):
        raise UserError(f"{shown} refuses access (HTTP {status}); {by_hand}")
    if status in (404, 410):
        raise UserError(f"{shown} is not there (HTTP {status}); {by_hand}")
    if status == 407:
        raise UserError("the proxy wants a name and a password (HTTP 407); put them into HTTPS_PROXY and HTTP_PROXY")
    if status not in (200, 206):
        raise UserError(f"{shown} gives an answer that is not understood (HTTP {status})")


def _pieces(response: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield what comes, at most `limit` bytes of it."""
    left = limit
    try:
        for piece in response.iter_content(PIECE):
            yield piece[:left]
            left -= len(piece[:left])
            if not left:
                return
    except requests.RequestException as failed:
        raise _Dropped(f"the connection broke ({_cause(failed)})") from None


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as failed:
        if failed.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full at {file.name}; free some space and run again, it goes on") from None
        raise


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise UserError(f"{path.parent} has {free / 1e9:.1f} GB free where {needed / 1e9:.1f} GB are still to come")


def _cause(failed: BaseException) -> str:
    text = re.sub(r"<[^>]*>|\b0x[0-9a-f]+", "", " ".join(str(failed).split()))
    return without_secrets(text)[:160] or type(failed).__name__


def _bar(what: str, total: int | None, begun: int = 0) -> Any:
    return progress(total=total, initial=begun, desc=what, unit="B", unit_scale=True, unit_divisor=1024)
