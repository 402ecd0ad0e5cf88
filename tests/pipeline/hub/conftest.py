"""A stand-in Hub, a tiny export to publish to it, and clients that know of nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import huggingface_hub.utils._http
import pytest

import pipeline.hub.repository
from pipeline import export, publish
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny
from tests.pipeline.hub.server import WRITE, Hub, running

REPO = "lab/MediMeta-C-phantom"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with its export, made once; tests only read it."""
    root = tmp_path_factory.mktemp("exported")
    workspace = tiny.make(root)
    assert export.main(["--root", str(root), "--workers", "2"]) == 0
    tiny.commit(workspace.root)
    return root


@pytest.fixture
def work(exported: Path, tmp_path: Path) -> Workspace:
    """Return a copy of the exported workspace that a test may change."""
    return Workspace(shutil.copytree(exported, tmp_path / "work"))


@contextmanager
def taken_for_real(home: Path) -> Iterator[Hub]:
    """Run a Hub that this process's client takes for the real one, with a token that may write."""
    with running() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(home / "no-token"))
        patch.setattr(pipeline.hub.repository, "_WAIT", 0.01)
        patch.setattr(huggingface_hub.utils._http, "time", SimpleNamespace(sleep=lambda seconds: None))
        patch.setenv("HF_TOKEN", WRITE)
        yield server


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Run an empty Hub."""
    with taken_for_real(tmp_path) as server:
        yield server


def push(workspace: Workspace, *arguments: str) -> int:
    """Publish to `REPO`, and create it if need be."""
    return publish.main(
        ["--root", str(workspace.root), "--workers", "2", "--repo", REPO, "--push", "--create", *arguments]
    )


def change(workspace: Workspace, corruption: str) -> None:
    """Build one corruption of pbc with other bytes, and everything that follows from it."""
    tiny.rewrite(workspace, "pbc", corruption, shift=1)
    tiny.verified(workspace)
    assert export.main(["--root", str(workspace.root)]) == 0
    tiny.commit(workspace.root)


def environment(home: Path, hub: Hub | None) -> dict[str, str]:
    """Return the environment of a process with empty caches that may reach `hub`, and no other one."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_TOKEN": WRITE,
        "OMP_NUM_THREADS": "1",
    }


def as_stranger(code: str, home: Path, hub: Hub | None = None, python: Path | None = None) -> str:
    """Run code in a process that cannot see this project; return what it prints."""
    home.mkdir(parents=True, exist_ok=True)
    command = [str(python or sys.executable), "-I", "-c", code]
    done = subprocess.run(command, env=environment(home, hub), cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
