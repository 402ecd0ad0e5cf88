"""Every snippet of docs/training.md runs, on a folder of images in two classes and on a published revision."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.workspace.paths import Workspace
from tests.examples.test_examples import BESIDE_CPU_TORCH, REPOSITORY
from tests.pipeline.hub.conftest import REPO, environment, exported, hub, push, work  # noqa: F401 (fixtures)
from tests.pipeline.hub.server import Hub

PAGE = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
SNIPPETS = {
    imported: code
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for imported in [
        "+".join(sorted(set(re.findall(r"^(?:from|import) (datasets|kornia|monai|torchvision)", code, re.M))))
    ]
    for imported in [f"{imported}.v2" if "import v2" in code else imported]
}


def run(snippet: str, folder: Path, **variables: str) -> None:
    """Run a snippet in a process of its own; the images that it ends with must be floats of a batch and differ."""
    check = """
images = sample["image"][None] if "sample" in globals() else images
assert images.is_floating_point() and images.shape[1:] in ((3, 224, 224), (3, 16, 16)), images.shape
assert images.min() >= -1 and images.max() <= 1 and images.std() > 0.01
if "sample" in globals():
    assert sample["label"] == 3 and type(sample["boxes"]).__name__ == "BoundingBoxes"
elif "labels" in globals():
    assert not labels.is_floating_point() and labels.min() >= 0 and len(labels) == len(images)
"""
    script = folder / "snippet.py"
    script.write_text(snippet + check, encoding="utf-8")
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", BESIDE_CPU_TORCH, str(script)]
    ended = subprocess.run(command, cwd=folder, env={**variables, "PYTHONPATH": path}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("healthy", "sick"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        for k in range(3):
            pixels = np.random.default_rng(k).integers(0, 256, (250, 260, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / "train" / name / f"{k}.png")
    return tmp_path


def test_every_snippet_has_a_test() -> None:
    assert list(SNIPPETS) == ["torchvision", "torchvision.v2", "monai", "kornia", "datasets", "datasets+torchvision"]
    assert len(SNIPPETS) == PAGE.count("```python")


def test_kornia(folder: Path) -> None:
    run(SNIPPETS["kornia"], folder, **os.environ)


@pytest.mark.zoo
@pytest.mark.parametrize("library", ["torchvision", "torchvision.v2", "monai", "datasets+torchvision"])
def test_a_library(folder: Path, library: str) -> None:
    run(SNIPPETS[library], folder, **{**os.environ, "HF_HOME": str(folder / "hf")})


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_a_published_revision(work: Workspace, hub: Hub, folder: Path) -> None:  # noqa: F811
    assert push(work, "--tag", "v1.0.0") == 0
    snippet = SNIPPETS["datasets"].replace("ORG/MediMeta-C", REPO).replace("pbc-motion_blur", "pbc-contrast")
    run(snippet, folder, **environment(folder, hub))
