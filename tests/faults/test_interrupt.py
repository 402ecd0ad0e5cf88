"""Ctrl-C, and two runs in one workspace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import workspace
from tests.faults.workspace import REPOSITORY, contents, corrupt_command, leftovers, run


@pytest.mark.parametrize("workers", ["1", "3"])
def test_control_c(tmp_path: Path, workers: str) -> None:
    root = workspace.make(tmp_path, test=120)
    command = corrupt_command(root, "--workers", workers, "--batch", "1", corruption="zoom_blur")
    # A background job of a shell ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, before)
        deadline = time.monotonic() + 60
        while not any("test" in path.parts for path in leftovers(root)):
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said == "interrupted; nothing half-written was kept\n"
    assert not leftovers(root)
    assert not list(root.glob("data/**/test/zoom_blur*"))


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
    root = workspace.make(tmp_path)
    dvc = Path(sys.executable).with_name("dvc")
    environment = os.environ | {"PATH": f"{dvc.parent}{os.pathsep}{os.environ['PATH']}"}
    for folder in ("corruptions", "pipeline"):
        (root / folder).symlink_to(REPOSITORY / folder)
    (root / "dvc.yaml").write_text(
        "stages:\n  corrupt:\n    cmd: "
        + " ".join(["python", *corrupt_command(root)[1:]])
        + "\n    deps: [data/MediMeta-C/pbc/val/clean.npz]\n"
        + "    outs: [data/MediMeta-C/pbc/val/gaussian_noise_severity_1.npz]\n"
    )
    for command in (["git", "init", "-q"], [str(dvc), "init", "-q"]):
        subprocess.run(command, cwd=root, env=environment, check=True)
    repro = [str(dvc), "repro"]
    both = [
        subprocess.Popen(repro, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert 0 in [process.returncode for process in both], said
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "lock" in text, text
        assert "Traceback" not in text
    third = subprocess.run(repro, cwd=root, env=environment, capture_output=True, text=True)
    assert "up to date" in third.stdout
    assert not leftovers(root)
