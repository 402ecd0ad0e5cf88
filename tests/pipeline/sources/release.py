"""A tiny MedIMeta release, of twelve images a data set."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from pipeline.workspace.datasets import card

SPLIT_ROWS = {"train": [1, 2, 4, 9, 10, 11], "val": [7, 3, 8], "test": [6, 0, 5]}


def pixels(count: int, channels: int) -> Any:
    """Images that differ in every row, column and channel."""
    n, y, x, c = np.ogrid[:count, :224, :224, :channels]
    return ((n * 31 + y * 3 + x * 7 + c * 50) % 251).astype(np.uint8)


def write_release(root: Path, dataset: str, *, layout: str = "NHWC", chunks: Any = None) -> Path:
    """Write the four kinds of file that are read, as medimeta-dataset-scripts does, and none of the optional ones."""
    facts = card(dataset)
    folder = root / dataset
    (folder / "splits").mkdir(parents=True)
    (folder / "task_labels").mkdir()
    channels = 1 if facts.grey else 3
    info = {
        "id": dataset,
        "name": facts.title,
        "input_size": [channels, 224, 224],
        "tasks": [
            {"task_name": "another task", "task_target": "MULTILABEL_CLASSIFICATION", "labels": {0: "a", 1: "b"}},
            {"task_name": facts.task, "task_target": "X", "labels": dict(enumerate(facts.classes))},
        ],
    }
    (folder / "info.yaml").write_text(yaml.safe_dump(info), encoding="utf-8")
    images = pixels(12, channels)
    stored = {"NHWC": images, "NHW": images[..., 0], "NCHW": images.transpose(0, 3, 1, 2)}[layout]
    with h5py.File(folder / "images.hdf5", "w") as file:
        file.create_dataset("images", data=stored, chunks=chunks, compression="gzip" if chunks else None)
    for split, rows in SPLIT_ROWS.items():
        (folder / "splits" / f"{split}.txt").write_text("\n".join(f"images/{row:06d}.tiff" for row in rows))
    np.save(folder / "task_labels" / f"{facts.task}.npy", np.arange(12) % len(facts.classes))
    return folder
