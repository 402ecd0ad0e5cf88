"""Stages that DVC runs: signals at random moments, a DVC that is killed, and two runs in one workspace."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.faults import workspace
from tests.faults.workspace import REPOSITORY, contents, corrupt_command, leftovers, run

CORRUPTIONS = ("gaussian_noise", "zoom_blur")
SECONDS = 15
"""That DVC and its stage may take to end, on a machine with other work."""


class Repository:
    """A workspace with a DVC stage for each of `CORRUPTIONS`."""

    def __init__(self, root: Path, *, test: int, shell: str = "/bin/bash") -> None:
        self.root = workspace.make(root, test=test)
        dvc = Path(sys.executable).with_name("dvc")
        path = f"{dvc.parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = os.environ | {"PATH": path, "SHELL": shell, "PYTHONPATH": str(REPOSITORY)}
        self._dvc = str(dvc)
        stages = {
            corruption: {
                "cmd": " ".join(["python", *corrupt_command(Path(), "--batch", "1", corruption=corruption)[1:]]),
                "deps": [f"data/MediMeta-C/pbc/{split}/clean.npz" for split in ("val", "test")],
                "outs": [
                    f"data/MediMeta-C/pbc/{split}/{corruption}_severity_{severity}.npz"
                    for split in ("val", "test")
                    for severity in range(1, 6)
                ],
            }
            for corruption in CORRUPTIONS
        }
        (self.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        for command in (["git", "init", "-q"], [self._dvc, "init", "-q"], [self._dvc, "config", "cache.type", "copy"]):
            subprocess.run(command, cwd=self.root, env=self._environment, check=True)

    def start(self) -> subprocess.Popen[str]:
        """Start `dvc repro` as the leader of a process group, as a terminal does."""
        return subprocess.Popen(
            [self._dvc, "repro"],
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def repro(self) -> str:
        """Run `dvc repro` to its end and return what it says."""
        with self.start() as process:
            said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
        return said

    def stage(self) -> int:
        """Return the process that runs a stage of this workspace; 0 if there is none."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    is_stage = b"pipeline.corrupt" in (folder / "cmdline").read_bytes().split(b"\0")
                    if is_stage and (folder / "cwd").resolve() == self.root.resolve():
                        return int(folder.name)
                except OSError:
                    continue
        return 0

    def mend(self) -> bool:
        """Delete DVC's file of locks if DVC was ended while it wrote it, as docs/operations.md says; say whether."""
        locks = self.root / ".dvc" / "tmp" / "rwlock"
        is_torn = locks.exists() and not locks.read_text().endswith("}")
        if is_torn:
            locks.unlink()
        return is_torn

    def forget(self) -> None:
        """Let the next run make every stage anew."""
        for path in [*self.root.glob("data/**/*_severity_*.npz"), self.root / "dvc.lock"]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs", ignore_errors=True)


@pytest.fixture(autouse=True)
def control_c() -> Iterator[None]:
    """Let processes that a test starts take Ctrl-C: a shell's background jobs ignore it, and so do their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, dict[str, bytes], float]:
    """Return a repository, the files of its undisturbed run, and the seconds that such a run takes."""
    repository = Repository(tmp_path_factory.mktemp("built"), test=24)
    repository.repro()  # compiles the kernels
    repository.forget()
    started = time.monotonic()
    repository.repro()
    return repository, contents(repository.root / "data"), time.monotonic() - started


@pytest.mark.parametrize("moments", [4, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_dvc_and_its_stage(
    built: tuple[Repository, dict[str, bytes], float], number: signal.Signals, moments: int
) -> None:
    """It goes to the whole process group, as Ctrl-C in a terminal does and as a cluster ends a job.

    Every second one comes while a stage runs.
    """
    repository, expected, longest = built
    random_state, met, torn = random.Random(number), 0, 0
    for moment in range(moments):
        repository.forget()
        with repository.start() as process:
            while moment % 2 and not repository.stage() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(random_state.uniform(0, longest / 4 if moment % 2 else longest))
            met += bool(repository.stage())
            if process.poll() is None:
                os.killpg(process.pid, number)
            said = process.communicate(timeout=SECONDS)[0]  # ends when all that write to it have ended
        assert not repository.stage(), said
        torn += repository.mend()
        assert contents(repository.root / "data").items() <= expected.items()
    print(f"{met} of {moments} met a stage, {torn} tore DVC's file of locks")
    assert met >= moments / 8
    assert torn <= 1 + moments / 10
    repository.repro()
    assert contents(repository.root / "data") == expected
    assert not leftovers(repository.root / "data")


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
@pytest.mark.parametrize("writes", [False, True])
def test_a_stage_ends_when_dvc_is_killed(tmp_path: Path, shell: str, writes: bool) -> None:
    """Some shells become the stage, others wait for it; and DVC may be gone before the stage has looked for it."""
    repository = Repository(tmp_path, test=400, shell=shell)
    with repository.start() as process:
        deadline = time.monotonic() + 120
        while not repository.stage() or (writes and not leftovers(tmp_path / "data")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=SECONDS)
    assert not repository.stage()
    assert not leftovers(tmp_path / "data")
    assert not list(tmp_path.glob(f"data/**/test/{CORRUPTIONS[0]}*")), "the stage went on to its end"


def test_a_stage_without_dvc_watches_nothing() -> None:
    look = "import threading; from pipeline.run import parent; parent.end_with_dvc(); print(threading.active_count())"
    assert run([sys.executable, "-c", look]).stdout == "1\n"


def test_two_runs_at_once_make_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "together").mkdir()
    alone, together = workspace.make(tmp_path / "alone", test=40), workspace.make(tmp_path / "together", test=40)
    assert run(corrupt_command(alone)).returncode == 0
    command = corrupt_command(together, "--batch", "2")
    both = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    assert contents(together) == contents(alone)
    assert not leftovers(together)


@pytest.mark.slow
def test_dvc_twice_at_once(tmp_path: Path) -> None:
    """DVC lets one in, or makes the other wait; a further run has nothing left to do."""
    repository = Repository(tmp_path, test=6)
    both = [repository.start() for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert 0 in [process.returncode for process in both], said
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "lock" in text, text
        assert "Traceback" not in text
    assert "up to date" in repository.repro()
    assert not leftovers(tmp_path / "data")
