"""kill -9 at random moments: no partial file ever has a final name, and a rerun ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import workspace
from tests.faults.workspace import DATASET, REPOSITORY, contents, leftovers

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return a function that runs a stage in a fork and may kill it."""
    command = [sys.executable, "-m", "tests.faults.zygote"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
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


def kill_again_and_again(forked: Run, tmp_path: Path, module: str, *arguments: str, kills: int) -> None:
    start, undisturbed, killed = (tmp_path / name for name in ("start", "undisturbed", "killed"))
    start.mkdir()
    workspace.make(start, val=2, test=4, counts=dict.fromkeys(("train", "val", "test", "pretrain", "pretest"), 1))
    shutil.copytree(start, undisturbed)
    shutil.copytree(start, killed)
    assert forked(module, undisturbed, *arguments)["status"] == 0
    expected, before = contents(undisturbed), contents(start)
    longest = forked(module, undisturbed, *arguments)["seconds"]
    chance = random.Random(module)
    midway, shown = 0, set()
    for _ in range(6 * kills):
        ended = forked(module, killed, *arguments, after=chance.uniform(0, longest))
        for name, content in contents(killed).items():
            assert content in (expected.get(name), before.get(name)), f"{name} is neither the old file nor the new"
        if ended["status"] == -9:
            midway += 1
            shown.add(len(leftovers(killed)))
        else:
            longest = ended["seconds"]
        if midway == kills:
            break
    assert midway == kills
    assert len(shown) > 1, "some were killed while they wrote"
    assert forked(module, killed, *arguments)["status"] == 0
    assert contents(killed) == expected
    assert not leftovers(killed)


CORRUPT = ("--dataset", DATASET, "--corruption", "gaussian_noise", "--workers", "2", "--batch", "1")


def test_corrupt_survives(forked: Run, tmp_path: Path) -> None:
    kill_again_and_again(forked, tmp_path, "corrupt", *CORRUPT, kills=12)


def test_prepare_survives(forked: Run, tmp_path: Path) -> None:
    kill_again_and_again(forked, tmp_path, "prepare", "--dataset", DATASET, "--workers", "1", kills=8)


@pytest.mark.slow
@pytest.mark.parametrize("corruption", ["motion_blur", "pixelate"])
def test_corrupt_survives_fifty_times(forked: Run, tmp_path: Path, corruption: str) -> None:
    arguments = [corruption if word == "gaussian_noise" else word for word in CORRUPT]
    kill_again_and_again(forked, tmp_path, "corrupt", *arguments, kills=50)


@pytest.mark.slow
def test_prepare_survives_fifty_times(forked: Run, tmp_path: Path) -> None:
    kill_again_and_again(forked, tmp_path, "prepare", "--dataset", DATASET, "--workers", "2", kills=50)
