"""Addresses and proxies that cannot work are refused at once, and no password is printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.sources.conftest import refuse, run
from tests.pipeline.sources.server import RECORD_PATH, Reply, Server, corrupted, dropped, silent, status
from tests.serving import in_thread

SECRET = "pass-w0rd"


@pytest.fixture
def no_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if the program waits to try again."""

    def sleep(seconds: float) -> None:
        pytest.fail(f"waited {seconds} seconds")

    monkeypatch.setattr(time, "sleep", sleep)


def with_password(server: Server) -> str:
    return server.url.replace("http://", f"http://user:{SECRET}@")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "names no scheme"),
        ("zenodo.org", "names no scheme"),
        (f"user:{SECRET}@zenodo.org", "names no scheme"),
        (f"ftp://user:{SECRET}@zenodo.org", "begins with ftp://"),
        ("file:///data", "begins with file://"),
        ("http://", "must be http://HOST or https://HOST"),
        (f"http://user:{SECRET}@", "must be http://HOST or https://HOST"),
        (f"http://user:{SECRET}@zenodo.org:99999", "port"),
        (f"http://user:{SECRET}@zenodo.org:port", "port"),
        (f"http://user:{SECRET}@zenodo.org:0", "port"),
        (f"http://user:{SECRET}@[zenodo", "must be http://HOST or https://HOST"),
        *((f"http://zenodo.org{mark}{SECRET}", "must have no ?, # or") for mark in ("?token=", "/?", "#", "/#", "\\")),
        (f"http://user:{SECRET}@zeno do", "must be http://HOST or https://HOST"),
    ],
)
@pytest.mark.usefixtures("no_retry")
def test_an_address_that_is_none_is_refused_at_once(
    workspace: Path, capsys: pytest.CaptureFixture[str], url: str, says: str
) -> None:
    assert run(workspace, url) == 1
    said = capsys.readouterr().err
    assert says in said
    assert SECRET not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "replies",
    [
        *([status(code)] for code in (401, 403, 404, 204)),
        [status(500)] * 7,
        [corrupted] * 2,
        [silent] * 7,
        [dropped(10)] * 7,
        [status(302, Location=f"ftp://user:{SECRET}@example.org/x?signature={SECRET}")],
        [status(302, Location=f"http://user:{SECRET}@127.0.0.1:9/x?signature={SECRET}")] * 7,
    ],
)
def test_no_error_shows_a_password_or_a_signature(
    workspace: Path, server: Server, capsys: pytest.CaptureFixture[str], replies: list[Reply]
) -> None:
    server.replies = list(replies)
    assert run(workspace, with_password(server)) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert SECRET not in said


def test_no_error_about_a_record_shows_a_password(
    medimeta: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for answer in (b"<html>", b"[]", b'{"files": []}'):
        server.files[RECORD_PATH] = answer
        assert run(medimeta, with_password(server)) == 1
        assert SECRET not in capsys.readouterr().err
    del server.files[RECORD_PATH]
    assert run(medimeta, with_password(server)) == 1
    assert SECRET not in capsys.readouterr().err


class Refusing(BaseHTTPRequestHandler):
    """A proxy that lets nothing through."""

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def do_GET(self) -> None:
        self.send_error(407)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Refusing)) as server:
        yield f"127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Start without the proxies of this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.usefixtures("no_retry")
def test_a_proxy_that_refuses_is_blamed_and_not_tried_again(
    workspace: Path, capsys: pytest.CaptureFixture[str], proxy: str, no_proxy: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        no_proxy.setenv(name, f"http://user:{SECRET}@{proxy}")
    refuse(capsys, workspace, "https://mirror.invalid", "the proxy does not let mirror.invalid through")
    refuse(capsys, workspace, "http://mirror.invalid", "the proxy wants a name and a password (HTTP 407)")
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        no_proxy.setenv(name, f"http://user:{SECRET}@127.0.0.1:9")
    for scheme in ("http", "https"):
        assert run(workspace, f"{scheme}://mirror.invalid") == 1
        said = capsys.readouterr().err
        assert "the proxy does not let mirror.invalid through" in said
        assert SECRET not in said


@pytest.mark.usefixtures("no_retry")
def test_a_socks_proxy_says_what_it_needs(
    workspace: Path, capsys: pytest.CaptureFixture[str], no_proxy: pytest.MonkeyPatch
) -> None:
    no_proxy.setenv("ALL_PROXY", f"socks5h://user:{SECRET}@127.0.0.1:9")
    assert run(workspace, "https://mirror.invalid") == 1
    said = capsys.readouterr().err
    assert "SOCKS" in said
    assert SECRET not in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("no_retry")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    proxy=st.sampled_from(["", "http://", "HTTP://", "foo://", "://", "http:/", "//", "socks5://", "socks4a://"])
    .flatmap(
        lambda scheme: st.sampled_from(
            [
                "",
                "[",
                "127.0.0.1:x",
                "127.0.0.1:99999",
                "127.0.0.1:9",
                f"u:{SECRET}@",
                f"u:{SECRET}@127.0.0.1:9",
                "not a proxy",
                "[::",
            ]
        ).map(lambda rest: scheme + rest)
    )
    .filter(bool)
)
def test_any_proxy_ends_in_a_sentence(
    workspace: Path, capsys: pytest.CaptureFixture[str], no_proxy: pytest.MonkeyPatch, proxy: str
) -> None:
    for variable in ("HTTP_PROXY", "ALL_PROXY"):
        no_proxy.setenv(variable, proxy)
        assert run(workspace, "http://mirror.invalid") == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert SECRET not in said
        no_proxy.delenv(variable)
