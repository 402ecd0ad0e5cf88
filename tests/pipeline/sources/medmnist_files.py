"""Small files as MedMNIST+ and MedMNIST-C are released."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.sources import medmnist
from pipeline.workspace.paths import Workspace

SIZES = {"train": 9, "val": 3, "test": 5}


def pixels(count: int, shape: tuple[int, ...] = (224, 224), seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def write(root: Path, dataset: str, *, colour: bool = False, deflate: bool = True, **change: Any) -> Path:
    """Write ``<dataset>_224.npz``; `change` replaces arrays, or leaves one out where it is None."""
    arrays: dict[str, Any] = {}
    for seed, (split, count) in enumerate(SIZES.items()):
        arrays[f"{split}_images"] = pixels(count, (224, 224, 3) if colour else (224, 224), seed)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, np.newaxis].astype(np.uint8)
    arrays.update(change)
    path = root / f"{dataset}_224.npz"
    save: Any = np.savez_compressed if deflate else np.savez
    save(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def release(root: Path, dataset: str = "breastmnist", *, colour: bool = False, **labels: Any) -> None:
    """Write a data set of both releases below `root`, its corrupted files' `labels` by corruption if they are wrong."""
    layout = Workspace(root)
    layout.raw("medmnist").mkdir(parents=True)
    write(layout.raw("medmnist"), dataset, colour=colour)
    right = np.tile([[0], [1], [0], [1], [0]], (5, 1))
    for seed, name in enumerate(medmnist.CORRUPTED[dataset]):
        path = medmnist.corrupted_file(layout.raw("medmnist-c"), dataset, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        images = pixels(25, (224, 224, 3) if colour else (224, 224), 10 + seed)
        np.savez_compressed(path, test_images=images, test_labels=labels.get(name, right))
