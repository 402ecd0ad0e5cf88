"""Bring one file over HTTP: resumed where it stopped, tried again when it drops, checked before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests

from pipeline.errors import UserError
from pipeline.io.atomic import MARK
from pipeline.run.progress import progress

RETRIES = 6
"""How often in a row a server may fail before it is given up; a mebibyte received counts as success."""

PAUSE = 1.0
"""Seconds before the second try; doubled with every failure, to at most a minute."""

TIMEOUT = (10.0, 60.0)
"""Seconds for a connection, and between two pieces of an answer."""

_BLOCK = 1 << 20
_PIECE = 1 << 16  # what a broken connection may lose
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_ANSWER_BYTES = 5_000_000
_BYTES = 64 * 2**30  # of a file whose length nobody says
_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')  # an ETag that says that bytes are equal, RFC 9110, 8.8.3


class _Dropped(Exception):
    """The server or the network failed in a way that may pass; `pause` is what the server asked for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Sums:
    """Size in bytes and checksums of a file."""

    size: int
    md5: str
    sha256: str


def checksums(path: Path) -> Sums:
    """Read a file once, with a progress bar, and return its checksums."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file, _bar(f"check {path.name}", size) as bar:
        while block := file.read(_BLOCK):
            md5.update(block)
            sha256.update(block)
            bar.update(len(block))
    return Sums(size, md5.hexdigest(), sha256.hexdigest())


def download(url: str, path: Path, *, md5: str, size: int | None = None) -> Sums:
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
        for last in (False, True):
            _fill(session, url, file, tag, size)
            file.flush()
            sums = checksums(part)
            if sums.md5 == md5 and size in (None, sums.size):
                os.fsync(file.fileno())
                tag.unlink(missing_ok=True)
                os.replace(part, path)
                return sums
            file.truncate(0)
            if last:
                part.unlink()
                tag.unlink(missing_ok=True)
                raise UserError(
                    f"{url} came twice with a wrong checksum (md5 {sums.md5}, expected {md5}); nothing of it was kept"
                )
    raise AssertionError("the loop ends by return or raise")


def answer(url: str) -> Any:
    """Return what a server says in JSON at `url`; UserError if it cannot be had."""
    failures = 0
    with requests.Session() as session:
        while True:
            try:
                with _get(session, url, {}) as response:
                    _raise_for(response, url)
                    text = b"".join(_pieces(response, _ANSWER_BYTES))
                return json.loads(text)
            except (ValueError, RecursionError):
                raise UserError(f"{url} does not answer in JSON; a proxy or login page may stand between") from None
            except _Dropped as dropped:
                failures = _wait(url, dropped, failures + 1)


def _fill(session: requests.Session, url: str, file: BinaryIO, tag: Path, size: int | None) -> None:
    """Append to `file` until it has all bytes of `url`."""
    failures = 0
    while True:
        before = file.seek(0, os.SEEK_END)
        if size is not None and before == size:
            return
        try:
            _receive(session, url, file, tag, size)
            return
        except _Dropped as dropped:
            came = file.seek(0, os.SEEK_END) - before
            failures = _wait(url, dropped, 1 if came >= _BLOCK else failures + 1)


def _receive(session: requests.Session, url: str, file: BinaryIO, tag: Path, size: int | None) -> None:
    """Ask once for what is missing and append what comes; _Dropped if that is not all."""
    begun = file.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    if begun and tag.exists() and _STRONG.fullmatch(known := tag.read_bytes().decode("latin-1")):
        headers["If-Range"] = known
    with _get(session, url, headers) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range") == f"bytes */{begun}":
                return  # all of it had come before
            file.truncate(0)
            raise _Dropped("it cannot go on from where it stopped")
        _raise_for(response, url)
        begun, total = _place(response, begun, file)
        if size is not None and total is not None and total != size:
            raise _Dropped(f"it offers {total} bytes where {size} are expected")
        etag = response.headers.get("ETag", "")
        if _STRONG.fullmatch(etag):
            tag.write_text(etag)
        else:
            tag.unlink(missing_ok=True)
        limit = size if size is not None else total
        if limit is not None:
            _check_space(Path(file.name), limit - begun)
        with _bar(urlsplit(url).path.rsplit("/", 1)[-1], limit, begun) as bar:
            for piece in _pieces(response, (_BYTES if limit is None else limit) - begun):
                _write(file, piece)
                bar.update(len(piece))
    file.flush()
    came = file.seek(0, os.SEEK_END)
    if limit is not None and came < limit:
        raise _Dropped(f"it stopped after {came} of {limit} bytes")


def _place(response: requests.Response, begun: int, file: BinaryIO) -> tuple[int, int | None]:
    """Return where the bytes of `response` belong, and how many there are in all if it says so."""
    if response.status_code == 206:
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != begun:
            file.truncate(0)
            raise _Dropped("it goes on from another place than asked for")
        return begun, int(found[2]) if found[2] != "*" else None
    file.truncate(0)  # the server ignores Range, or has another file than the one begun
    return 0, _number(response, "Content-Length")


def _number(response: requests.Response, header: str) -> int | None:
    found = re.fullmatch(r"[0-9]{1,18}", response.headers.get(header, ""))
    return int(found[0]) if found else None


def _get(session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
    try:
        return session.get(url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as failed:
        raise _Dropped(f"no connection to {urlsplit(url).netloc} ({_cause(failed)})") from None
    except requests.RequestException as wrong:
        raise UserError(f"{url} cannot be asked for ({_cause(wrong)})") from None


def _raise_for(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in _BUSY:
        raise _Dropped(f"HTTP {status}", min(_number(response, "Retry-After") or 0, 120))
    if status in (401, 403):
        raise UserError(f"{url} refuses access (HTTP {status}); docs/data.md says how to bring the file by hand")
    if status in (404, 410):
        raise UserError(f"{url} is not there (HTTP {status}); docs/data.md says how to bring the file by hand")
    if status not in (200, 206):
        raise UserError(f"{url} gives an answer that is not understood (HTTP {status})")


def _pieces(response: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield what comes, at most `limit` bytes of it."""
    left = limit
    try:
        for piece in response.iter_content(_PIECE):
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


def _wait(url: str, dropped: _Dropped, failures: int) -> int:
    if failures > RETRIES:
        raise UserError(f"{url} failed {failures} times in a row: {dropped}; run again later, it goes on") from None
    time.sleep(max(dropped.pause, min(PAUSE * 2 ** (failures - 1), 60.0)))
    return failures


def _cause(failed: BaseException) -> str:
    text = re.sub(r"<[^>]*>|\b0x[0-9a-f]+", "", " ".join(str(failed).split()))
    return text[:160] or type(failed).__name__


def _bar(what: str, total: int | None, begun: int = 0) -> Any:
    return progress(total=total, initial=begun, desc=what, unit="B", unit_scale=True, unit_divisor=1024)
