"""The MedIMeta release (Woerner et al., Scientific Data 2025; Zenodo record 7884735), unzipped under `root`.

One folder a data set, as its own library (medimeta 0.0.6) reads it::

    <dataset>/info.yaml                  names of the tasks and of their classes
    <dataset>/images.hdf5                data set ``images``: uint8 (N, 224, 224), (N, 224, 224, C) or (N, C, 224, 224)
    <dataset>/splits/<split>.txt         one image a line, such as ``images/000123.tiff``: the number is its row
    <dataset>/task_labels/<task>.npy     one label a row; a task's name may have spaces

Single images, annotations.csv and original_splits are not needed. HDF5 keeps no checksum of contiguous pixels: that
they are the released ones is what fetch checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline.cell import SIZE
from pipeline.datasets import DATASETS, card
from pipeline.sources import Clean, SourceError
from pipeline.sources.arrays import checked_labels, evenly, read_labels_file, runs

SPLITS = ("train", "val", "test")

_LINE = re.compile(r"(?:[^/\\\0]+/)*(\d{1,9})(?:\.[A-Za-z]+)?")
_INFO_BYTES = 1_000_000
_CHUNK_BYTES = 256 * 2**20  # a chunk is decompressed whole, whatever is read of it

_HDF5_FAILURES = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, OverflowError, MemoryError)
"""What h5py raises for a damaged file: the HDF5 library's errors, by the call in which they are met."""

_YAML_FAILURES = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises beside its own errors: for impossible dates, unhashable keys and deep nesting."""


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split of one of the seven data sets, rows ascending; `count` of them evenly spaced. `seed` is unused."""
    if dataset not in DATASETS:
        raise SourceError(f"medimeta has no data set {dataset!r} here; have {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise SourceError(f"medimeta has no split {split!r}; have {', '.join(SPLITS)}")
    folder = root / dataset
    if not folder.is_dir():
        raise SourceError(f"no {folder}: run `python -m pipeline.fetch` with `source: medimeta` in params.yaml")
    task = card(dataset).task
    names, channels = _info(folder / "info.yaml", task)
    images = _Images(folder / "images.hdf5", channels)
    path = folder / "task_labels" / f"{task}.npy"
    labels = read_labels_file(path)
    if len(labels) != images.count:
        raise SourceError(f"{path} has {len(labels)} labels for {images.count} images")
    rows = _rows(folder / "splits" / f"{split}.txt", images.count)
    rows = rows[evenly(len(rows), count)]
    return Clean(
        labels=checked_labels(labels[rows], len(names), str(path)),
        class_names=names,
        ids=[f"images/{row:06d}.tiff" for row in rows],
        channels=images.channels,
        read=lambda positions: images.read(rows[np.asarray(positions, np.int64)]),
    )


def _info(path: Path, task: str) -> tuple[tuple[str, ...], int | None]:
    """Return the class names of `task` in label order, and the number of channels if the file gives it."""
    try:
        if path.stat().st_size > _INFO_BYTES:
            raise SourceError(f"{path} is too large to be MedIMeta's")
        info = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourceError(f"no {path}: the release is incomplete") from None
    except _YAML_FAILURES as broken:
        if isinstance(broken, SourceError):
            raise
        raise SourceError(f"{path} is not YAML: {' '.join(str(broken).split())[:120]}") from None
    tasks = info.get("tasks") if isinstance(info, dict) else None
    if not isinstance(tasks, list) or not all(isinstance(one, dict) for one in tasks):
        raise SourceError(f"{path} has no list of tasks")
    labels = next((one.get("labels") for one in tasks if one.get("task_name") == task), None)
    if labels is None:
        raise SourceError(f"{path} has no task {task!r}; have {', '.join(str(one.get('task_name')) for one in tasks)}")
    if isinstance(labels, list):
        labels = dict(enumerate(labels))
    if not isinstance(labels, dict) or set(labels) != set(range(len(labels))) or len(labels) < 2:
        raise SourceError(f"{path}: task {task!r} must number its classes 0, 1, ...")
    names = tuple(labels[label] for label in range(len(labels)))
    if not all(isinstance(name, str) and name.strip() for name in names) or len(set(names)) < len(names):
        raise SourceError(f"{path}: task {task!r} must give every class a name of its own, as text")
    size = info.get("input_size")
    return names, size[0] if isinstance(size, list) and size and size[0] in (1, 3) else None


def _rows(path: Path, count: int) -> NDArray[np.int64]:
    """Return the rows that a split's file names, ascending as MedIMeta's own reader gives them."""
    rows: list[int] = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None or int(match[1]) >= count:
                raise SourceError(f"{path}, line {number}: {line.strip()[:60]!r} names none of the {count} images")
            rows.append(int(match[1]))
    except FileNotFoundError:
        raise SourceError(f"no {path}: the release is incomplete, or older than its splits") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is damaged: it is not text") from None
    if not rows:
        raise SourceError(f"{path} names no image")
    if len(set(rows)) < len(rows):
        raise SourceError(f"{path} names an image twice")
    return np.array(sorted(rows), np.int64)


@dataclass
class _Images:
    """The images of one HDF5 file. It is opened for each read, so that any thread or process may read."""

    path: Path
    expected: int | None

    def __post_init__(self) -> None:
        try:
            with h5py.File(self.path, "r") as file:
                self._check(file)
                self.layout, self.count, self.channels = self._layout(file["images"].shape)
                if self.count:
                    self._slice(file["images"], 0, 1)
        except FileNotFoundError:
            raise SourceError(f"no {self.path}: the release is incomplete") from None
        except _HDF5_FAILURES as broken:
            raise self._damaged(broken) from None

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return `rows`, in any order, as (n, 224, 224, channels)."""
        distinct, where = np.unique(rows, return_inverse=True)
        out = np.empty((len(distinct), SIZE, SIZE, self.channels), np.uint8)
        try:
            with h5py.File(self.path, "r") as file:
                done = 0
                for start, stop in runs(distinct):
                    out[done : done + stop - start] = self._slice(file["images"], start, stop)
                    done += stop - start
        except _HDF5_FAILURES as broken:
            raise self._damaged(broken) from None
        return out[where]

    def _check(self, file: Any) -> None:
        if not isinstance(file.get("images", getlink=True), h5py.HardLink):
            raise SourceError(f"{self.path} has no data set `images` of its own")
        images = file["images"]
        if not isinstance(images, h5py.Dataset) or images.is_virtual or images.external:
            raise SourceError(f"{self.path}: `images` must be a data set whose pixels are in this file")
        if images.dtype != np.uint8:
            raise SourceError(f"{self.path}: `images` must be uint8, not {images.dtype}")
        if images.chunks is not None and int(np.prod(images.chunks, dtype=object)) > _CHUNK_BYTES:
            raise SourceError(f"{self.path}: `images` has chunks of {images.chunks}, too large to read")
        if images.size and not images.id.get_storage_size():
            raise SourceError(f"{self.path}: `images` was announced as {images.shape} but never written")

    def _layout(self, shape: tuple[int, ...]) -> tuple[str, int, int]:
        """Return the order of axes, the number of images and of channels."""
        if shape[1:] == (SIZE, SIZE):
            layout, channels = "NHW", 1
        elif len(shape) == 4 and shape[1:3] == (SIZE, SIZE):
            layout, channels = "NHWC", shape[3]
        elif len(shape) == 4 and shape[2:] == (SIZE, SIZE):
            layout, channels = "NCHW", shape[1]
        else:
            layout, channels = "", 0
        if channels not in (1, 3):
            raise SourceError(f"{self.path}: `images` has the shape {shape}; it must be N images of {SIZE} x {SIZE}")
        if self.expected not in (None, channels):
            raise SourceError(f"{self.path}: `images` has {channels} channels, info.yaml's input_size {self.expected}")
        return layout, shape[0], channels

    def _slice(self, images: Any, start: int, stop: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = images[start:stop]
        if self.layout == "NHW":
            return pixels[..., np.newaxis]
        return pixels.transpose(0, 2, 3, 1) if self.layout == "NCHW" else pixels

    def _damaged(self, problem: BaseException) -> SourceError:
        if isinstance(problem, SourceError):
            return problem
        return SourceError(f"{self.path} is damaged ({' '.join(str(problem).split())[:120]}); fetch it anew")
