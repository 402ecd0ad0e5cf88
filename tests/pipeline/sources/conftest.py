"""A server, and workspaces whose source it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import fetch
from pipeline.io.atomic import is_temporary
from pipeline.sources import download, medmnist
from tests.faults.workspace import write_params
from tests.pipeline.sources.server import BODY, URL_PATH, Server, offer, release, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        running.files[URL_PATH] = BODY
        yield running


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose source is one file of MedMNIST+."""
    monkeypatch.setitem(medmnist.MD5, "breastmnist", hashlib.md5(BODY).hexdigest())
    write_params(tmp_path, source="medmnist", datasets=["breastmnist"])
    return tmp_path


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A data set of MedIMeta as Zenodo has it."""
    return release(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def medimeta(tmp_path: Path, server: Server, archive: bytes) -> Path:
    """A workspace whose source is one data set of MedIMeta, and a server that has it."""
    write_params(tmp_path, source="medimeta", datasets=["fundus"])
    offer(server, archive)
    return tmp_path


def run(root: Path, url: str) -> int:
    return fetch.main(["--root", str(root), "--base-url", url])


def receipt(root: Path) -> Any:
    return json.loads((root / "manifests" / "source.json").read_text(encoding="utf-8"))


def stray(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if is_temporary(path)]


def refuse(capsys: pytest.CaptureFixture[str], root: Path, url: str, says: str) -> None:
    assert run(root, url) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
