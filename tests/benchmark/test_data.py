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

from benchmark.data.cells import MADE, Cell, cell
from corruptions import CORRUPTIONS, BackendUnavailable, corrupt
from pipeline import manifest
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.paths import Workspace

SEED = 5


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace with one grey and one colour data set and their files at severity 4."""
    made = Workspace(tmp_path_factory.mktemp("cells"))
    for dataset, native, compression in (("oct", 1, "stored"), ("pbc", 3, "deflated")):
        images = np.random.default_rng(native).integers(0, 256, (7, 20, 24, native), np.uint8)
        _write(made.npz(Cell(dataset, "test")), images, compression)
        manifest.write(made, dataset, manifest.CLEAN, {"native_channels": native})
        for name in CORRUPTIONS:
            corrupted = corrupt(images, name, 4, dataset=dataset, split="test", seed=SEED)
            _write(made.npz(Cell(dataset, "test", name, 4)), corrupted, compression)
    return made


def _write(path: Path, images: NDArray[np.uint8], compression: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(len(images), dtype=np.int64) * 3
    with npz.write(path, labels, (20, 24, 3), compression=compression) as writer:
        writer.append(np.repeat(images, 3 // images.shape[-1], axis=-1))


def _cell(layout: Workspace, dataset: str, name: str | None, severity: int, made: str) -> Cell:
    device = "cpu" if made == "gpu" else None
    return cell(layout, dataset, "test", name, severity, made=made, seed=SEED, device=device)


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("dataset", ["oct", "pbc"])
def test_made_cells_equal_their_files(layout: Workspace, dataset: str, name: str, made: str) -> None:
    images, labels = npz.read(layout.npz(Cell(dataset, "test", name, 4)))
    data = _cell(layout, dataset, name, 4, made)
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


@pytest.mark.parametrize("made", MADE)
def test_clean_images_are_a_cell_too(layout: Workspace, made: str) -> None:
    images, _ = npz.read(layout.npz(Cell("oct", "test")))
    data = _cell(layout, "oct", None, 0, made)
    assert np.array_equal(torch.cat([batch for batch, _ in data.batches(4)]).numpy(), images)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("made", ["files", "cpu"])
def test_a_loader_with_workers_in_any_order(layout: Workspace, made: str, workers: int) -> None:
    images, labels = npz.read(layout.npz(Cell("pbc", "test", "motion_blur", 4)))
    data = _cell(layout, "pbc", "motion_blur", 4, made)
    loader: Any = DataLoader(data, batch_size=3, sampler=[6, 0, 3, 2], num_workers=workers)
    batches = list(loader)
    assert np.array_equal(torch.cat([batch for batch, _ in batches]).numpy(), images[[6, 0, 3, 2]])
    assert torch.cat([batch for _, batch in batches]).tolist() == labels[[6, 0, 3, 2]].tolist()


def test_a_cell_is_pickled_without_its_pixels(layout: Workspace) -> None:
    data = _cell(layout, "oct", "contrast", 4, "cpu")
    image, _ = data[2]
    packed = pickle.dumps(data)
    assert len(packed) < 5000
    assert torch.equal(pickle.loads(packed)[2][0], image)  # noqa: S301 - made two lines above


def test_a_gpu_cell_says_that_it_is_for_the_main_process(layout: Workspace) -> None:
    loader: Any = DataLoader(_cell(layout, "oct", "contrast", 4, "gpu"), num_workers=1)
    with pytest.raises(RuntimeError, match="use its batches"):
        next(iter(loader))


def test_wrong_arguments_are_a_sentence(layout: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, options, words in [
        (("oct", "test", "contrast", 1), {"made": "magic"}, "by 'magic'; have files, cpu, gpu"),
        (("oct", "test", "contrast", 0), {}, "severity 0 goes with no corruption"),
        (("oct", "test", None, 2), {}, "severity 0 goes with no corruption"),
        (("oct", "test", "fog", 2), {"made": "cpu"}, "no corruption 'fog'"),
        (("oct", "test", "fog", 2), {}, "fog_severity_2.npz is not there"),
        (("oct", "test", "contrast", 2), {"made": "cpu", "seed": None}, "'cpu' needs the seed"),
        (("oct", "test", "contrast", 2), {"device": "cuda", "made": "cpu"}, "have a device"),
    ]:
        with pytest.raises(ValueError, match=words):
            cell(layout, *arguments, **{"seed": 1, **options})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="is not there"):
        cell(layout, "oct", "val", "contrast", 1, made="cpu", seed=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(BackendUnavailable, match="0 CUDA devices"):
        cell(layout, "oct", "test", "contrast", 1, made="gpu", seed=1)
