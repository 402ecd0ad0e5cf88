"""Cells as torch datasets: read or made, the same bytes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from benchmark.data.cells import BACKENDS, CellImages, open_cell
from corruptions import CORRUPTIONS, BackendUnavailable, corrupt
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import CleanManifest
from pipeline.workspace.paths import Workspace

SEED = 5


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace with one grey and one colour data set and their files at severity 4."""
    workspace = Workspace(tmp_path_factory.mktemp("cells"))
    for dataset, native, compression in (("oct", 1, "stored"), ("pbc", 3, "deflated")):
        images = np.random.default_rng(native).integers(0, 256, (7, 20, 24, native), np.uint8)
        _write(workspace.npz(Cell(dataset, "test")), images, compression)
        clean = CleanManifest(
            dataset=dataset,
            source="phantom",
            seed=SEED,
            native_channels=native,
            channels=3,
            class_names=("a", "b"),
            splits={},
        )
        manifest.write(workspace, clean)
        for name in CORRUPTIONS:
            corrupted = corrupt(images, name, 4, dataset=dataset, split="test", seed=SEED)
            _write(workspace.npz(Cell(dataset, "test", name, 4)), corrupted, compression)
    return workspace


def _write(path: Path, images: NDArray[np.uint8], compression: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(len(images), dtype=np.int64) * 3
    with npz.write(path, labels, (20, 24, 3), compression=compression) as writer:
        writer.append(np.repeat(images, 3 // images.shape[-1], axis=-1))


def _open(workspace: Workspace, cell: Cell, backend: str) -> CellImages:
    return open_cell(workspace, cell, backend=backend, seed=SEED, device="cpu" if backend == "gpu" else None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("dataset", ["oct", "pbc"])
def test_cells_of_every_backend_equal_their_files(workspace: Workspace, dataset: str, name: str, backend: str) -> None:
    images, labels = npz.read(workspace.npz(Cell(dataset, "test", name, 4)))
    data = _open(workspace, Cell(dataset, "test", name, 4), backend)
    assert len(data) == 7
    batches = list(data.batches(3))
    assert [len(batch) for batch, _ in batches] == [3, 3, 1]
    assert np.array_equal(torch.cat([batch for batch, _ in batches]).numpy(), images)
    assert np.array_equal(torch.cat([batch for _, batch in batches]).numpy(), labels)
    image, label = data[5]
    assert np.array_equal(image.numpy(), images[5])
    assert label == labels[5]
    assert torch.equal(data[-2][0], image)
    with pytest.raises(IndexError, match="no image 7 in a cell of 7"):
        data[7]


@pytest.mark.parametrize("backend", BACKENDS)
def test_clean_images_are_a_cell_too(workspace: Workspace, backend: str) -> None:
    images, _ = npz.read(workspace.npz(Cell("oct", "test")))
    data = _open(workspace, Cell("oct", "test"), backend)
    assert np.array_equal(torch.cat([batch for batch, _ in data.batches(4)]).numpy(), images)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("backend", ["files", "cpu"])
def test_a_loader_with_workers_in_any_order(workspace: Workspace, backend: str, workers: int) -> None:
    images, labels = npz.read(workspace.npz(Cell("pbc", "test", "motion_blur", 4)))
    data = _open(workspace, Cell("pbc", "test", "motion_blur", 4), backend)
    loader: Any = DataLoader(data, batch_size=3, sampler=[6, 0, 3, 2], num_workers=workers)
    batches = list(loader)
    assert np.array_equal(torch.cat([batch for batch, _ in batches]).numpy(), images[[6, 0, 3, 2]])
    assert torch.cat([batch for _, batch in batches]).tolist() == labels[[6, 0, 3, 2]].tolist()


def test_a_cell_is_pickled_without_its_pixels(workspace: Workspace) -> None:
    data = _open(workspace, Cell("oct", "test", "contrast", 4), "cpu")
    image, _ = data[2]
    packed = pickle.dumps(data)
    assert len(packed) < 5000
    assert torch.equal(pickle.loads(packed)[2][0], image)  # noqa: S301 - made two lines above


def test_a_gpu_cell_says_that_it_is_for_the_main_process(workspace: Workspace) -> None:
    loader: Any = DataLoader(_open(workspace, Cell("oct", "test", "contrast", 4), "gpu"), num_workers=1)
    with pytest.raises(RuntimeError, match="use its batches"):
        next(iter(loader))


def test_wrong_arguments_are_a_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any]
    for cell, options, words in [
        (
            Cell("oct", "test", "contrast", 1),
            {"backend": "magic"},
            "no backend 'magic' .*; have files, cpu, gpu",
        ),
        (Cell("oct", "test", "smear", 2), {"backend": "cpu"}, "no corruption 'smear'"),
        (Cell("oct", "test", "smear", 2), {}, "no .*smear_severity_2.npz"),
        (Cell("oct", "test", "contrast", 2), {"backend": "cpu", "seed": None}, "'cpu' needs the seed"),
        (Cell("oct", "test", "contrast", 2), {"device": "cuda", "backend": "cpu"}, "only backend 'gpu' has a device"),
    ]:
        with pytest.raises(ValueError, match=words):
            open_cell(workspace, cell, **{"seed": 1, **options})
    with pytest.raises(UserError, match=r"no .*oct/val/clean\.npz"):
        open_cell(workspace, Cell("oct", "val", "contrast", 1), backend="cpu", seed=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(BackendUnavailable, match="0 CUDA devices"):
        open_cell(workspace, Cell("oct", "test", "contrast", 1), backend="gpu", seed=1)
