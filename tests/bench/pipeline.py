"""The stages beside other people's way: files written, checked, exported and read.

Every work takes the same 224 x 224 colour photographs, with one worker. Peers: medmnistc's `create_dataset` at the same
seven corruptions and strengths, `datasets`' own way to parquet, and a DataLoader over the npz.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import verify
from pipeline.config.params import read_config
from pipeline.generation import cells
from pipeline.io import npz, parquet
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.bench import export, peers
from tests.bench.timing import BYTES, Contenders, Row, Work, copying, photographs
from tests.faults import workspace

CELLS = len(CORRUPTIONS) * len(SEVERITIES)
FULL_CLEAN, FULL_WRITTEN = 32_163, 32_163 * (1 + CELLS)  # images of the seven data sets
CLASSES = ["one", "other"]
PEER_IMAGES = 4
SEVERITY = 3
COMPRESSIONS = (*npz.COMPRESSIONS, "mixed")


def rows(folder: Path, images: int) -> dict[str, Contenders]:
    """Return the contenders of each stage, which work in `folder`; a peer that is not installed is left out."""
    copy = {"copy": copying(photographs(images))}

    @cache
    def peer() -> dict[str, Work]:
        return _medmnistc(folder / "medmnistc")

    def write(kind: str) -> dict[str, Work]:
        return {"ours": _writing(_workspace(folder / kind, images, kind), images)} | copy | peer()

    @cache
    def release() -> Workspace:
        root = _workspace(folder / "release", images, "stored")
        _writing(root, images)()
        return Workspace(root)

    def verifying() -> dict[str, Work]:
        config = read_config(release())
        return {"ours": lambda: verify.verify(release(), config, workers=1).images} | copy

    def exporting() -> dict[str, Work]:
        return {"ours": _exporting(folder / "export", release())} | copy | _datasets(release())

    def reading() -> dict[str, Work]:
        cell = release().npz(Cell(workspace.DATASET, "test", "zoom_blur", SEVERITY))
        return {"ours": lambda: _read(cell)} | copy | _data_loader(cell)

    stages = {"verify": verifying, "export": exporting, "read": reading}
    return {f"write {kind}": partial(write, kind) for kind in COMPRESSIONS} | stages


def _workspace(root: Path, images: int, compression: str) -> Path:
    root.mkdir()
    return workspace.make(root, val=0, test=images, pictures=photographs(images), compression=compression)


def _writing(root: Path, images: int) -> Work:
    config = read_config(Workspace(root))

    def work() -> int:
        for name in CORRUPTIONS:
            cells.corrupt(Workspace(root), workspace.DATASET, name, config)
        return images * CELLS

    return work


def _exported(release: Workspace) -> Iterator[tuple[Cell, npz.Npz]]:
    """Yield the clean cell and the seven at one severity."""
    yield (
        Cell(workspace.DATASET, "test"),
        npz.Npz(release.npz(Cell(workspace.DATASET, "test"))),
    )
    for name in CORRUPTIONS:
        path = release.npz(Cell(workspace.DATASET, "test", name, SEVERITY))
        yield Cell(workspace.DATASET, "test", name, SEVERITY), npz.Npz(path)


def _exporting(folder: Path, release: Workspace) -> Work:
    schema = parquet.features(CLASSES).arrow_schema

    def work() -> int:
        count = 0
        for cell, source in _exported(release):
            count += len(source.labels)
            ids = [str(index) for index in range(len(source.labels))]
            rows = parquet.Images(cell.parquet_stem, source, cell.corruption, cell.severity, ids)
            parquet.write(folder, rows, schema)
        return count

    return work


def _datasets(release: Workspace) -> dict[str, Work]:
    def work() -> int:
        count = 0
        for _, source in _exported(release):
            export.by_datasets(source.images[:PEER_IMAGES], source.labels[:PEER_IMAGES], CLASSES)
            count += PEER_IMAGES
        return count

    return {"datasets": work}


def sizes(folder: Path, images: int) -> dict[str, float]:
    """Return the bytes of an exported image over those that `datasets` writes, clean and under each corruption."""
    root = _workspace(folder / "sizes", images, "stored")
    _writing(root, images)()
    found = {}
    for cell, source in _exported(Workspace(root)):
        ids = [str(index) for index in range(images)]
        rows = parquet.Images(cell.parquet_stem, source, cell.corruption, cell.severity, ids)
        written = parquet.write(folder / "sized", rows, parquet.features(CLASSES).arrow_schema)
        theirs = export.by_datasets(source.images, source.labels, CLASSES)
        found[cell.corruption] = sum(part.size for part in written) / theirs
    return found


def _read(path: Path) -> int:
    """Batches of 64 as float32 (N, C, H, W) from 0 to 1, as the DataLoader's, each in the memory of the one before."""
    images = np.asarray(npz.read(path).images)  # without the cost of a memmap's slices
    count, height, width, channels = images.shape
    batch = np.empty((64, channels, height, width), np.float32)
    planes = np.empty(batch.shape[1:], np.uint8)
    for start in range(0, count, len(batch)):
        for place, image in enumerate(images[start : start + len(batch)]):
            planes[:] = image.transpose(2, 0, 1)
            np.multiply(planes, np.float32(1 / 255), out=batch[place])
    return count


def _data_loader(path: Path) -> dict[str, Work]:
    """The usual way: numpy.load, one Pillow image an item, a tensor of it, collated by a DataLoader."""
    try:
        import torch
        from PIL import Image
        from torch.utils.data import DataLoader, Dataset
    except ImportError:  # a peer that is not installed is left out of the table
        return {}

    class Items(Dataset[Any]):
        def __init__(self) -> None:
            loaded = np.load(path)
            self.images, self.labels = loaded["images"], loaded["labels"]

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> Any:
            picture = Image.fromarray(self.images[index].astype(np.uint8)).convert("RGB")
            tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
            return tensor, int(self.labels[index])

    torch.set_num_threads(1)
    return {"DataLoader": lambda: sum(len(batch) for batch, _ in DataLoader(Items(), batch_size=64))}


def _medmnistc(folder: Path) -> dict[str, Work]:
    """medmnistc's own create_dataset, its classes given our seven corruptions and strengths."""
    corruptions = peers.medmnistc()
    if not corruptions:
        return {}
    from medmnistc import dataset_manager

    dataset_manager.CORRUPTIONS_DS["bloodmnist"] = {peers.name_of(kernel): c for kernel, c in corruptions.items()}
    folder.mkdir()
    pictures, labels = photographs(PEER_IMAGES), np.zeros((PEER_IMAGES, 1), np.int64)
    arrays = {f"{split}_images": pictures for split in ("train", "val", "test")}
    np.savez(
        folder / "bloodmnist_224.npz", **arrays, **{f"{split}_labels": labels for split in ("train", "val", "test")}
    )

    def work() -> int:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # its progress bars
            dataset_manager.DatasetManager(str(folder), str(folder / "peer")).create_dataset("bloodmnist")
        return PEER_IMAGES * CELLS

    return {"medmnistc": work}


def cost(rows: dict[str, Row], gpu_rate: float | None) -> dict[str, float]:
    """Return what the whole of MediMeta-C costs at these rates, as three channels."""

    def hours(name: str, images: int) -> float:
        return images / rows[name]["ours"].median / 3600

    corrupted = FULL_CLEAN * CELLS
    return {
        "images written": FULL_WRITTEN,
        "GB of pixels": FULL_WRITTEN * BYTES / 1e9,
        **{f"core-hours to write, {kind}": hours(f"write {kind}", corrupted) for kind in COMPRESSIONS},
        "core-hours to verify": hours("verify", FULL_WRITTEN),
        "core-hours to export": hours("export", FULL_WRITTEN),
        **({"GPU-hours of kernels": corrupted / gpu_rate / 3600} if gpu_rate else {}),
    }
