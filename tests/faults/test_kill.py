"""kill -9 at random moments: no partial file ever has a final name, and a rerun ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import corrupt, prepare
from tests.faults import workspace
from tests.faults.workspace import DATASET, REPOSITORY, contents, leftovers
from tests.pipeline.sources.server import offer, release, serving

Run = Callable[..., dict[str, Any]]
COUNTS = {"train": 1, "val": 1, "test": 1, "pretrain": 1, "pretest": 1}


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return a function that runs a stage in a fork and may kill it."""
    command = [sys.executable, "-m", "tests.faults.zygote"]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"NO_PROXY": "127.0.0.1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def run(module: str, root: Path, *arguments: str, after: float | None = None) -> dict[str, Any]:
            argv = ["--root", str(root), *arguments]
            asked.write(json.dumps({"module": module, "argv": argv, "after": after}) + "\n")
            asked.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield run
        asked.close()


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Return a workspace that has its clean images."""
    root = tmp_path / "start"
    root.mkdir()
    return workspace.make(root, val=2, test=4, counts=COUNTS)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a workspace from prepare to corrupt."""
    root = tmp_path / "start"
    root.mkdir()
    workspace.write_params(root, counts=COUNTS)
    assert prepare.main(["--root", str(root), "--dataset", DATASET]) == 0
    assert corrupt.main(["--root", str(root), "--all"]) == 0
    return root


def kill_again_and_again(
    forked: Run,
    start: Path,
    module: str,
    *arguments: str,
    kills: int,
    early: float = 0,
    passing: Callable[[str, bytes], bool] = lambda name, content: False,
) -> set[int]:
    """Kill a stage at random moments, anew from `start` whenever it was not killed in time; then let it end.

    Return the numbers of unfinished files that the kills left: several if some came while it wrote.

    Args:
        forked: runs a stage.
        start: the workspace.
        module: the stage.
        arguments: of its command.
        kills: how often; more if none of them came while it wrote, where `early` is 0.
        early: fraction of its time that is always left to it, for stages that write at their end.
        passing: whether a file may have such a content, neither the old nor the last one, on the way.
    """
    undisturbed, killed = (start.parent / name for name in ("undisturbed", "killed"))
    shutil.copytree(start, undisturbed)
    shutil.copytree(start, killed)
    ended = forked(module, undisturbed, *arguments)
    assert ended["status"] == 0
    expected, before, longest = contents(undisturbed), contents(start), ended["seconds"]
    chance = random.Random(module)
    midway, shown = 0, set()
    for _ in range(6 * kills):
        ended = forked(module, killed, *arguments, after=chance.uniform(early * longest, longest))
        for name, content in contents(killed).items():
            whole = content in (expected.get(name), before.get(name)) or passing(name, content)
            assert whole, f"{name} is neither the old file nor the new"
        if ended["status"] == -9:
            midway += 1
            shown.add(len(leftovers(killed)))
        else:
            longest = ended["seconds"]
            shutil.rmtree(killed)
            shutil.copytree(start, killed)
        if midway >= kills and (early or len(shown) > 1):
            break
    assert midway >= kills
    assert forked(module, killed, *arguments)["status"] == 0
    assert contents(killed) == expected
    assert not leftovers(killed)
    return shown


def often(few: int) -> pytest.MarkDecorator:
    """Run a test with `few` kills, and with fifty where there is time."""
    return pytest.mark.parametrize("kills", [few, pytest.param(50, marks=pytest.mark.slow)])


@often(12)
@pytest.mark.parametrize("corruption", ["gaussian_noise", "pixelate"])
def test_corrupt(forked: Run, clean: Path, corruption: str, kills: int) -> None:
    named = ("--dataset", DATASET, "--corruption", corruption)
    shown = kill_again_and_again(forked, clean, "corrupt", *named, "--workers", "2", "--batch", "1", kills=kills)
    assert len(shown) > 1


@often(8)
def test_prepare(forked: Run, clean: Path, kills: int) -> None:
    shown = kill_again_and_again(forked, clean, "prepare", "--dataset", DATASET, "--workers", "2", kills=kills)
    assert len(shown) > 1


@often(6)
def test_export(forked: Run, built: Path, kills: int) -> None:
    def saved(name: str, content: bytes) -> bool:
        return name == "metrics/export.json" and json.loads(content)["build"] is None

    assert len(kill_again_and_again(forked, built, "export", "--workers", "2", kills=kills, passing=saved)) > 1


@often(3)
def test_verify(forked: Run, built: Path, kills: int) -> None:
    # Its one file is so quickly written that hardly a kill meets it.
    kill_again_and_again(forked, built, "verify", "--workers", "2", kills=kills, early=0.9)


@often(8)
def test_fetch(forked: Run, tmp_path: Path, kills: int) -> None:
    archive = release(tmp_path)

    def brought(name: str, content: bytes) -> bool:
        return name == "data/raw/medimeta/fundus.zip" and content == archive

    start = tmp_path / "start"
    start.mkdir()
    workspace.write_params(start, source="medimeta", datasets=["fundus"])
    with serving() as server:
        offer(server, archive)
        shown = kill_again_and_again(forked, start, "fetch", "--base-url", server.url, kills=kills, passing=brought)
    assert len(shown) > 1
