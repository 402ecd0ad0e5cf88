"""Memory and threads of a stage do not follow the number of images or of cores; tests/bench/memory.py goes further."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.io.atomic import MARK
from tests.faults import workspace
from tests.faults.workspace import DATASET, REPOSITORY


def peaks(root: Path, test: int) -> dict[str, float]:
    """Return the peak resident set, MB, of corrupt and verify on so many images of 150 kB."""
    root.mkdir()
    workspace.make(root, val=1, test=test)
    stages = {"corrupt": ["--dataset", DATASET, "--corruption", "contrast", "--batch", "4"], "verify": []}
    found = {}
    for stage, arguments in stages.items():
        # VmHWM is the program's own peak; wait4's ru_maxrss would count the memory of the process that started it.
        code = (
            f"import pathlib, re, sys; from pipeline import {stage}; ended = {stage}.main(sys.argv[1:]);"
            r"print(re.search(r'VmHWM:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1]); sys.exit(ended)"
        )
        command = [sys.executable, "-c", code, "--root", str(root), "--workers", "2", *arguments]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        found[stage] = int(ended.stdout.split()[-1]) / 1024
    return found


def test_ten_times_the_images_need_no_more_memory(tmp_path: Path) -> None:
    few, many = peaks(tmp_path / "few", 64), peaks(tmp_path / "many", 640)
    for stage, megabytes in many.items():
        assert megabytes < few[stage] + 48, f"{stage}: {few[stage]:.0f} MB for 64 images, {megabytes:.0f} for 640"
        assert megabytes < 1000 + 2 * 200


@pytest.mark.parametrize("corruption", ["gaussian_noise", "pixelate"])
def test_one_worker_uses_one_core(tmp_path: Path, corruption: str) -> None:
    """Whatever NumPy's, Numba's or OpenCV's own threads would do; the thread that appends works in turns with it."""
    root = workspace.make(tmp_path, test=640)
    command = workspace.corrupt_command(root, "--workers", "1", corruption=corruption)
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as running:
        watched, busiest = psutil.Process(running.pid), 0.0
        while running.poll() is None:
            works = any(root.rglob(f"{MARK}*"))  # before that, BLAS's threads wait for work by turning in a circle
            start, before = time.monotonic(), watched.cpu_times()
            time.sleep(0.3)
            if running.poll() is not None:
                break
            after, seconds = watched.cpu_times(), time.monotonic() - start  # on a busy machine it slept for longer
            if works:
                busiest = max(busiest, (after.user + after.system - before.user - before.system) / seconds)
    assert running.returncode == 0
    assert 0 < busiest < 1.4
