"""Every script of examples/ runs as its first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import CORRUPTIONS, corrupt
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub.conftest import REPO, environment, exported, hub, push, work  # noqa: F401 (fixtures)
from tests.pipeline.hub.server import Hub

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"

BESIDE_CPU_TORCH = """
import runpy, sys
from benchmark.models.components.packages import declare_box_operators
declare_box_operators()  # PyPI's torchvision is a CUDA build, which does not import beside a CPU build of torch
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(name: str, *arguments: str, **variables: str) -> str:
    """Run an example in a process of its own; return what it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", BESIDE_CPU_TORCH, str(EXAMPLES / name), *arguments]
    ended = subprocess.run(command, env=environment | variables, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_example_has_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested


def test_corrupt_an_array() -> None:
    lines = run("corrupt_array.py").splitlines()
    assert [line.split()[0] for line in lines[: len(CORRUPTIONS)]] == list(CORRUPTIONS)
    assert len(lines) == len(CORRUPTIONS) + 5


def test_corrupt_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    grey = rng.integers(0, 256, (16, 16), dtype=np.uint8)
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    Image.fromarray(colour).save(tmp_path / "photos" / "a.png")
    Image.fromarray(grey).save(tmp_path / "photos" / "inner" / "b.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "photos" / "inner" / "wide.png")
    Image.fromarray(colour).save(tmp_path / "photos" / "z.jpg")
    Image.fromarray(colour).save(tmp_path / "photos" / "z.png")
    (tmp_path / "photos" / "zz.png").write_bytes(b"")
    target = tmp_path / "corrupted"
    said = run(
        "corrupt_folder.py", str(tmp_path / "photos"), str(target), "--corruption", "impulse_noise", "--severity", "3"
    )
    expected = corrupt(colour[None], "impulse_noise", 3, dataset="photos", split="test", indices=[0], seed=2025)[0]
    with Image.open(target / "a.png") as first, Image.open(target / "inner" / "b.png") as second:
        assert np.array_equal(np.asarray(first), expected)
        assert (second.mode, second.size) == ("L", (16, 16))
    expected = corrupt(
        grey[None, ..., None], "impulse_noise", 3, dataset="photos", split="test", indices=[2], seed=2025
    )
    with Image.open(target / "inner" / "wide.png") as wide:
        assert np.array_equal(np.asarray(wide), expected[0, ..., 0])
    assert (target / "z.png").exists()
    assert (target / "z.jpg.png").exists()
    assert "left out: " in said
    assert "wrote 5 images" in said


def test_train_with_kornia() -> None:
    assert run("train_kornia.py", "--steps", "2", "--device", "cpu").count("loss") == 2


@pytest.mark.zoo
def test_train_with_torchvision(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for k in range(3):
            pixels = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
    assert "epoch 1: loss" in run("train_torchvision.py", str(tmp_path))


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_score_a_model_of_ones_own(work: Workspace, hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    assert push(work, "--tag", "v1.0.0") == 0
    (tmp_path / "home").mkdir()
    arguments = (REPO, "pbc", "--revision", "v1.0.0", "--corruption", "contrast")
    lines = run("score_own_model.py", *arguments, **environment(tmp_path / "home", hub)).splitlines()
    assert [line.split(" accuracy")[0].strip() for line in lines] == ["clean", *(f"severity {k}" for k in range(1, 6))]
