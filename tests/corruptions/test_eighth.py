"""An eighth corruption is a row, a kernel in each backend and a definition: add one to a copy, and build with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.workspace import write_params

REPOSITORY = Path(__file__).parents[2]

ADDITIONS = {
    "corruptions/table.py": [
        (
            "\n    },\n    # Strengths tuned",
            '\n        "posterize": {"kernel": "posterize", "bits": [6, 5, 4, 3, 2], "source": "new"},',
        ),
        ('\n    },\n}\n"""Profile to', '\n        "posterize": "imagenet-c",'),
        (
            '\n}\n"""Every kernel',
            '\n    "posterize": {"module": "levels", "draws": [], "identity": {"bits": 8}},',
        ),
    ],
    "corruptions/cpu/levels.py": [
        (
            "\n\ndef scale(",
            '''

def posterize(images: Images, *, bits: int) -> Images:
    """Keep the highest `bits` bits, 1 to 8, of every level of `images`, uint8 (N, H, W, C) [HD]."""
    return images >> np.uint8(8 - bits) << np.uint8(8 - bits)
''',
        )
    ],
    "corruptions/gpu/levels.py": [
        (
            "\n\ndef scale(",
            '''

def posterize(images: Tensor, *, bits: int, fuse: bool = False) -> Tensor:
    """Keep the highest `bits` bits, 1 to 8, of every level of `images`, uint8 (N, H, W, C) [HD]."""
    return images >> (8 - bits) << (8 - bits)
''',
        )
    ],
    "corruptions/literature.py": [
        (
            "\n\ndef scale(",
            '''

def posterize(images: Images, *, bits: int) -> Images:
    """Keep the highest `bits` bits, 1 to 8, of every level of `images`, uint8 (N, H, W, C) [HD]."""
    step = 2 ** (8 - bits)
    return to_levels(images // step * step / 255)
''',
        )
    ],
    "docs/corruptions.md": [
        ("\n## Severities\n", "\n**posterize**(bits: 1 to 8). y = x >> (8 - bits) << (8 - bits).\n")
    ],
}
"""All that is edited: for each file the anchors, and what is written before them."""

CHECKS = """
import numpy as np
from corruptions import CORRUPTIONS, PROFILES, Augment, cpu, sweep
from corruptions.table import STRENGTHS
from pipeline.workspace.cell import Cell
from pipeline.io.npz import Npz
from pipeline.workspace.manifest import read_corruption
from pipeline.workspace.paths import Workspace

assert CORRUPTIONS[-1] == "posterize" and len(CORRUPTIONS) == 8
assert "posterize" in list(cpu.warm())
workspace, draw = Workspace("workspace"), {"dataset": "oct", "split": "test", "seed": 2025}
clean = Npz(workspace.npz(Cell("oct", "test"))).images
for severity, bits in enumerate(STRENGTHS["imagenet-c"]["posterize"]["bits"], 1):
    released = Npz(workspace.npz(Cell("oct", "test", "posterize", severity))).images
    assert np.array_equal(released, clean & (256 - 2 ** (8 - bits)))
entries = read_corruption(workspace, "oct", "posterize").strengths
assert [entry.parameters for entry in entries] == [{"bits": bits} for bits in (6, 5, 4, 3, 2)]
for profile in PROFILES:
    expected = dict(sweep(clean, "posterize", profile=profile, **draw))
    for backend, device in (("gpu", "cpu"), ("literature", None)):
        for severity, images in sweep(clean, "posterize", profile=profile, backend=backend, device=device, **draw):
            assert np.array_equal(images, expected[severity]), (backend, severity)
augment = Augment(seed=0, probability=1, strengths=(0, 0), exclude=CORRUPTIONS[:-1])
assert np.array_equal(augment(clean), clean)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project with an eighth corruption and a workspace of one small data set."""
    for name in ("corruptions", "pipeline", "benchmark", "cards", "docs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "tests" / "corruptions").mkdir(parents=True)
    for name in ("__init__.py", "corruptions/__init__.py", "corruptions/doc_tables.py", "corruptions/test_table.py"):
        shutil.copy(REPOSITORY / "tests" / name, tmp_path / "tests" / name)
    for name, additions in ADDITIONS.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        for anchor, added in additions:
            assert text.count(anchor) == 1, (name, anchor)
            text = text.replace(anchor, added + anchor)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "workspace").mkdir()
    counts = {"train": 2, "val": 2, "test": 3, "pretrain": 2, "pretest": 2}
    write_params(tmp_path / "workspace", datasets=["oct"], counts=counts)
    return tmp_path


def run(project: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(project)}
    ended = subprocess.run([sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_release_is_built_with_an_eighth_corruption(project: Path) -> None:
    run(project, "-m", "pipeline.prepare", "--root", "workspace", "--dataset", "oct")
    run(project, "-m", "pipeline.corrupt", "--root", "workspace", "--all", "--workers", "1")
    run(project, "-m", "pipeline.verify", "--root", "workspace", "--workers", "1")
    run(project, "-c", CHECKS)


def test_the_page_and_the_tests_of_the_table_follow(project: Path) -> None:
    run(project, "-m", "tests.corruptions.doc_tables", "--write")
    page = (project / "docs" / "corruptions.md").read_text(encoding="utf-8")
    assert "| posterize | `posterize(bits)` | 6 | 5 | 4 | 3 | 2 |" in page
    assert "| posterize | `posterize(bits)` | all | as in imagenet-c | new |" in page
    run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/corruptions/test_table.py")
