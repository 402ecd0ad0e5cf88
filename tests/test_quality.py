"""Formatter, linters, type checker and the direction of imports, as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], ["lint-imports"]],
    ids=lambda command: "-".join(command[:2]),
)
def test_the_tree_is_clean(command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    ended = subprocess.run([program, *command[1:]], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_corruptions_alone_need_no_torch_and_no_pipeline() -> None:
    code = (
        "import sys, numpy as np, corruptions\n"
        "images = np.zeros((1, 8, 8, 1), np.uint8)\n"
        "corruptions.corrupt(images, 'contrast', 1, dataset='pbc', split='test', seed=0)\n"
        "loaded = {'torch', 'cv2', 'dvc', 'PIL', 'skimage', 'pipeline', 'benchmark'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("module", ["pipeline.corrupt", "pipeline.verify", "pipeline.prepare"])
def test_the_cpu_pipeline_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
