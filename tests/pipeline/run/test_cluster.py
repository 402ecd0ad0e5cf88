"""corrupt --all on a dask cluster: a scheduler and two workers, each a process of its own, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from corruptions import CORRUPTIONS, PROFILES
from pipeline import corrupt
from pipeline.errors import UserError
from pipeline.run import cluster
from tests.faults import workspace
from tests.faults.workspace import REPOSITORY, contents, leftovers, run

Start = Callable[..., subprocess.Popen[bytes]]


class Cluster:
    """Processes of a dask cluster; `address` is its scheduler's."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text().rstrip().endswith("}")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        from distributed import Client

        self.client: Any = stack.enter_context(Client(scheduler_file=str(file), set_as_default=False))
        self.address: str = self.client.scheduler.address

    def worker(self, folder: Path = REPOSITORY) -> subprocess.Popen[bytes]:
        """Start a worker of one thread that imports what lies in `folder`."""
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder)]
        return self._start("worker", self.address, *options, folder=folder)

    def _start(self, *arguments: str, folder: Path = REPOSITORY) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def wait_for(self, workers: int) -> None:
        self.client.wait_for_workers(workers, timeout=60)


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace that was built without a cluster."""
    root = workspace.make(tmp_path_factory.mktemp("alone"), test=48)
    assert corrupt.main(["--root", str(root), "--all", "--workers", "2"]) == 0
    return root


def on_cluster(root: Path, address: str) -> list[str]:
    python = [sys.executable, "-m", "pipeline.corrupt", "--root", str(root), "--all"]
    return [*python, "--backend-parallel", "dask", "--scheduler", address]


def test_a_worker_is_killed_and_nothing_is_lost(started: Cluster, alone: Path, tmp_path: Path) -> None:
    root = workspace.make(tmp_path, test=48)
    victim, _ = started.worker(), started.worker()
    started.wait_for(2)
    with subprocess.Popen(on_cluster(root, started.address), cwd=REPOSITORY, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while len(leftovers(root)) < 6:  # both workers write: five files a task
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.002)
        victim.send_signal(signal.SIGKILL)
        said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, said
    assert contents(root) == contents(alone)
    assert not leftovers(root)


def test_a_worker_without_the_project_is_named(started: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other" / "pipeline"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('raise ImportError("not here")')
    started.worker(other.parent)
    started.wait_for(1)
    root = tmp_path / "workspace"
    root.mkdir()
    ended = run(on_cluster(workspace.make(root), started.address))
    workspace.check_sentence(
        ended, 1, "worker tcp://127.0.0.1:", "cannot import medimeta-c", "install the same version"
    )
    assert not leftovers(root)


def test_no_worker_and_no_scheduler(
    started: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    root = workspace.make(tmp_path)
    with pytest.raises(UserError, match=r"no worker after 0 s; `dask worker ADDRESS` starts one"):
        list(cluster.everywhere("x:y", [()], {}, root=root, scheduler=started.address))
    for address, words in (("tcp://127.0.0.1:1", "no dask scheduler answers"), ("nowhere://x", "no dask scheduler")):
        asked = ["--root", str(root), "--all", "--backend-parallel", "dask", "--scheduler", address]
        assert corrupt.main(asked) == 1
        said = capsys.readouterr().err
        assert words in said
        assert address in said


@pytest.mark.parametrize("during", ["examination", "task"])
def test_all_workers_die(started: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str) -> None:
    """Waiting has an end."""
    root = workspace.make(tmp_path)
    worker = started.worker()
    started.wait_for(1)
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    if during == "examination":
        monkeypatch.setattr(cluster, "_examination", lambda: lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    work = cluster.everywhere("tests.pipeline.run.tasks:sleep", [(60,)], {}, root=root, scheduler=started.address)

    def kill() -> None:
        while during == "task" and not any(started.client.processing().values()):
            time.sleep(0.01)
        if during == "task":
            worker.kill()

    with ThreadPoolExecutor(1) as thread:
        killing = thread.submit(kill)
        with pytest.raises(UserError, match="no worker is left after 1 s; 1 tasks are not done"):
            list(work)
        killing.result()


def test_the_scheduler_dies(started: Cluster, tmp_path: Path) -> None:
    root = workspace.make(tmp_path)
    started.worker()
    started.wait_for(1)
    work = cluster.everywhere("tests.pipeline.run.tasks:sleep", [(0,), (60,)], {}, root=root, scheduler=started.address)
    assert next(work)[0] == (0,)
    started.scheduler.kill()
    with pytest.raises(UserError, match="the dask scheduler has gone; start it again"):
        list(work)


def test_a_task_that_kills_its_workers(started: Cluster, tmp_path: Path) -> None:
    """Dask gives a task up when it has killed four workers; a worker here dies with each of them."""
    root = workspace.make(tmp_path)
    for _ in range(4):
        started.worker()
    started.wait_for(4)
    work = cluster.everywhere("tests.pipeline.run.tasks:die", [("now",)], {}, root=root, scheduler=started.address)
    with pytest.raises(UserError, match="now: every worker that took it was killed; out of memory, perhaps"):
        list(work)


def test_a_tasks_own_error_is_raised_here(started: Cluster, tmp_path: Path) -> None:
    root = workspace.make(tmp_path)
    started.worker()
    started.wait_for(1)
    with pytest.raises(FileNotFoundError):
        list(cluster.everywhere("os:listdir", [("nothing",)], {}, root=root / "none", scheduler=started.address))


def test_what_a_worker_must_share(tmp_path: Path) -> None:
    expected = cluster.identity()
    versions = {"medimeta-c", "format version", "Python", "numpy", "numba"}
    assert set(expected) == {*versions, "corruptions beside the seven", "kernel checksum"}
    token = tmp_path / "token"
    token.write_text("content")
    assert cluster.findings_here(str(token), "content", expected) == []
    (sentence,) = cluster.findings_here(str(tmp_path / "elsewhere" / "token"), "content", expected)
    assert f"does not see {tmp_path / 'elsewhere'} " in sentence
    (sentence,) = cluster.findings_here(str(token), "other content", expected)
    assert f"does not see {tmp_path} " in sentence
    other = {**expected, "numpy": "1.0", "kernel checksum": "0"}
    sentences = cluster.findings_here(str(token), "content", other)
    assert sentences[0] == f"has numpy {expected['numpy']}, here it is 1.0"
    assert sentences[1].startswith("has kernel checksum ")
    with pytest.raises(UserError, match=r"a worker has numpy .*, here it is 1\.0"):
        cluster.call("pipeline.generation.tasks:task", str(tmp_path), (), options={}, expected=other)


def test_the_seven_and_what_tasks_make_are_in_the_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    import corruptions

    asked = []
    sweep = corruptions.sweep
    monkeypatch.setattr(
        corruptions,
        "sweep",
        lambda images, name, **key: asked.append((name, key["profile"])) or sweep(images, name, **key),
    )
    cluster.identity.cache_clear()  # another test may have asked first
    expected = cluster.identity("fog", "contrast")
    assert asked == [(name, profile) for name in (*CORRUPTIONS, "fog") for profile in PROFILES]
    assert expected["kernel checksum"] != cluster.identity()["kernel checksum"]
    other = {**expected, "kernel checksum": "0"}
    (sentence,) = cluster._differences(other)
    assert sentence == f"has kernel checksum {expected['kernel checksum']}, here it is 0"
