"""A tiny workspace: one grey and one colour data set of the phantom, a few images each, built once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tests.faults.workspace
from corruptions import CORRUPTIONS
from pipeline import prepare
from pipeline.config.params import read_config
from pipeline.generation import cells
from pipeline.workspace.paths import Workspace

REPOSITORY = Path(__file__).parents[2]
DATASETS = ["oct", "pbc"]
COUNTS = {"train": 4, "val": 3, "test": 5, "pretrain": 2, "pretest": 2}


def write_params(root: Path, **changes: object) -> None:
    """Write the project's params.yaml with tiny counts and `changes` to `root`."""
    tests.faults.workspace.write_params(root, **({"datasets": DATASETS, "counts": COUNTS} | changes))


def build(root: Path, *, datasets: list[str] = DATASETS, workers: int = 1, batch: int = cells.BATCH) -> None:
    """Run prepare and corrupt for every cell of the workspace."""
    layout, chosen = Workspace(root), read_config(Workspace(root))
    for dataset in datasets:
        prepare.prepare(layout, dataset, chosen, workers=workers)
        for corruption in CORRUPTIONS:
            cells.corrupt(layout, dataset, corruption, chosen, cells.Execution(workers=workers, batch=batch))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a whole workspace, built once; tests only read it."""
    root = tmp_path_factory.mktemp("built")
    write_params(root)
    build(root)
    return root


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Path:
    """Return a copy of the built workspace that a test may spoil."""
    return shutil.copytree(built, tmp_path / "workspace")
