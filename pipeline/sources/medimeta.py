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

import functools
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.npz import Array
from pipeline.io.records import parse_yaml, read_record
from pipeline.io.regular import check_regular, open_regular, walk
from pipeline.sources import Clean, SourceFile
from pipeline.sources.arrays import evenly, read_labels, take
from pipeline.sources.download import checksums
from pipeline.sources.unpack import RECEIPT, Receipt, unpack
from pipeline.sources.zenodo import ZenodoFile, files_of, remove_remains
from pipeline.workspace.cell import SIZE
from pipeline.workspace.datasets import DATASETS as CARDS
from pipeline.workspace.datasets import card

RECORD = 7884735
"""Zenodo record of MedIMeta; the checksums of its files are those that Zenodo itself lists."""

DATASETS = CARDS
SPLITS = ("train", "val", "test")

_LINE = re.compile(r"(?:[^/\\\0]+/)*(\d{1,9})(?:\.[A-Za-z]+)?")
_INFO_BYTES = 1_000_000
_CHUNK_BYTES = 256 * 2**20  # a chunk is decompressed whole, whatever is read of it

_HDF5_FAILURES = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, OverflowError, MemoryError)
"""What h5py raises for a damaged file: the HDF5 library's errors, by the call in which they are met."""


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split, rows ascending; `count` images of it, evenly by class. `seed` is unused."""
    folder = root / dataset
    if not folder.is_dir():
        raise UserError(f"no {folder}: run `python -m pipeline.fetch` with `source: medimeta` in params.yaml")
    task = card(dataset).task
    class_names, channels = _info(folder / "info.yaml", task)
    images = _Images(folder / "images.hdf5", channels)
    rows = _rows(folder / "splits" / f"{split}.txt", images.count)
    array = Array(folder / "task_labels" / f"{task}.npy", remedy="the release is incomplete; fetch it anew")
    labels = read_labels(array, count=images.count, classes=len(class_names), rows=rows)
    positions = evenly(labels, count)
    rows = rows[positions]
    return Clean(
        labels=labels[positions],
        class_names=class_names,
        image_ids=[f"images/{row:06d}.tiff" for row in rows],
        channels=images.channels,
        read=lambda positions: images.read(rows[np.asarray(positions, np.int64)]),
    )


def fetch(folder: Path, datasets: Sequence[str], base_url: str) -> dict[str, SourceFile]:
    """Bring and unpack the archives of `datasets`; see `Source.fetch`."""
    listed: dict[str, ZenodoFile] = {}
    files: dict[str, SourceFile] = {}
    for dataset in datasets:
        archive = folder / f"{dataset}.zip"
        if not os.path.lexists(folder / dataset):
            listed = listed or files_of(base_url, RECORD)
            if archive.name not in listed:
                raise UserError(f"Zenodo record {RECORD} has no {archive.name}; it has {', '.join(sorted(listed))}")
            listed[archive.name].bring(archive)
            unpack(archive, folder / dataset, wanted=_is_needed, needed="info.yaml")
        files |= {f"{dataset}/{name}": file for name, file in _unpacked(folder / dataset).items()}
        if (folder / dataset / RECEIPT).exists():
            archive.unlink(missing_ok=True)
        remove_remains(folder, dataset)
    return files


def _is_needed(name: str) -> bool:
    return not name.startswith("images/")  # images.hdf5 has all of them


def _unpacked(folder: Path) -> dict[str, SourceFile]:
    """Return what a data set's folder holds, after comparing it with its receipt if it was unpacked here."""
    files: dict[str, SourceFile] = {}
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if _is_needed(name) and name != RECEIPT:
            sums = checksums(path)
            files[name] = SourceFile(size=sums.size, sha256=sums.sha256)
    if (folder / RECEIPT).exists():
        receipt = read_record(folder / RECEIPT, Receipt, remedy=f"delete {folder} and run again")
        changed = [name for name in sorted({*receipt.files, *files}) if receipt.files.get(name) != files.get(name)]
        if changed:
            raise UserError(f"{folder / changed[0]} is not as it was fetched; delete {folder} and run again")
    return files


def _read_text(path: Path) -> str:
    """Return the text of a small file of the release."""
    try:
        with open_regular(path) as file:
            text = file.read(_INFO_BYTES + 1)
        if len(text) > _INFO_BYTES:
            raise UserError(f"{path} is too large to be MedIMeta's")
        return text.decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"no {path}: the release is incomplete, or older than its splits") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not text in UTF-8") from None


def _info(path: Path, task: str) -> tuple[tuple[str, ...], int | None]:
    """Return the class names of `task` in label order, and the number of channels if the file gives it."""
    info = parse_yaml(_read_text(path), path)
    tasks = info.get("tasks") if isinstance(info, dict) else None
    if not isinstance(tasks, list) or not all(isinstance(entry, dict) for entry in tasks):
        raise UserError(f"{path} has no list of tasks")
    labels = next((entry.get("labels") for entry in tasks if entry.get("task_name") == task), None)
    if labels is None:
        names = ", ".join(str(entry.get("task_name")) for entry in tasks)
        raise UserError(f"{path} has no task {task!r}; have {names}")
    if isinstance(labels, list):
        labels = dict(enumerate(labels))
    if not isinstance(labels, dict) or set(labels) != set(range(len(labels))) or len(labels) < 2:
        raise UserError(f"{path}: task {task!r} must number its classes 0, 1, ...")
    class_names = [labels[label] for label in range(len(labels))]
    if not all(isinstance(name, str) and name.strip() for name in class_names):
        raise UserError(f"{path}: task {task!r} must give every class a name, as text")
    class_names = [unicodedata.normalize("NFC", name) for name in class_names]
    if len(set(class_names)) < len(class_names):
        raise UserError(f"{path}: task {task!r} must give every class a name of its own")
    size = info.get("input_size")
    return tuple(class_names), size[0] if isinstance(size, list) and size and size[0] in (1, 3) else None


def _rows(path: Path, count: int) -> NDArray[np.int64]:
    """Return the rows that a split's file names, ascending as MedIMeta's own reader gives them."""
    rows: list[int] = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or int(match[1]) >= count:
            raise UserError(f"{path}, line {number}: {line.strip()[:60]!r} names none of the {count} images")
        rows.append(int(match[1]))
    if not rows:
        raise UserError(f"{path} names no image")
    if len(set(rows)) < len(rows):
        raise UserError(f"{path} names an image twice")
    return np.array(sorted(rows), np.int64)


@dataclass
class _Images:
    """The images of one HDF5 file. It is opened for each read, so that any thread or process may read."""

    path: Path
    expected: int | None

    def __post_init__(self) -> None:
        try:
            check_regular(self.path)
            with h5py.File(self.path, "r") as file:
                self._check(file)
                self.layout, self.count, self.channels = self._layout(file["images"].shape)
                if self.count:
                    self._slice(file["images"], 0, 1)
        except FileNotFoundError:
            raise UserError(f"no {self.path}: the release is incomplete") from None
        except _HDF5_FAILURES as failure:
            raise self._refusal(failure) from None

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return `rows`, in any order, as (n, 224, 224, channels)."""
        try:
            with h5py.File(self.path, "r") as file:
                return take(functools.partial(self._slice, file["images"]), rows)
        except _HDF5_FAILURES as failure:
            raise self._refusal(failure) from None

    def _check(self, file: Any) -> None:
        if not isinstance(file.get("images", getlink=True), h5py.HardLink):
            raise UserError(f"{self.path} has no data set `images` of its own")
        images = file["images"]
        if not isinstance(images, h5py.Dataset) or images.is_virtual or images.external:
            raise UserError(f"{self.path}: `images` must be a data set whose pixels are in this file")
        if images.dtype != np.uint8:
            raise UserError(f"{self.path}: `images` must be uint8, not {images.dtype}")
        if images.chunks is not None and int(np.prod(images.chunks, dtype=object)) > _CHUNK_BYTES:
            raise UserError(f"{self.path}: `images` has chunks of {images.chunks}, too large to read")
        if images.size and not images.id.get_storage_size():
            raise UserError(f"{self.path}: `images` was announced as {images.shape} but never written")

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
            raise UserError(f"{self.path}: `images` has the shape {shape}; it must be N images of {SIZE} x {SIZE}")
        if self.expected not in (None, channels):
            raise UserError(f"{self.path}: `images` has {channels} channels, info.yaml's input_size {self.expected}")
        return layout, shape[0], channels

    def _slice(self, images: Any, start: int, stop: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = images[start:stop]
        if self.layout == "NHW":
            return pixels[..., np.newaxis]
        return pixels.transpose(0, 2, 3, 1) if self.layout == "NCHW" else pixels

    def _refusal(self, failure: BaseException) -> UserError:
        """Return the error that says why the file cannot be read, in the words of the library."""
        if isinstance(failure, UserError):
            return failure
        cause = " ".join(str(failure).split()) or type(failure).__name__
        if re.search(r"\block", cause):
            return UserError(
                f"{self.path} cannot be opened ({cause}); close the program that has it open, or set"
                " HDF5_USE_FILE_LOCKING=FALSE where the disk has no locks"
            )
        if re.search(r"\b(filter|plugin)", cause):
            return UserError(
                f"{self.path} is packed with a filter that is not there ({cause}); `h5repack -f NONE` undoes it"
            )
        is_disk = isinstance(failure, OSError) and (failure.errno is not None or "errno = " in cause)
        if isinstance(failure, MemoryError) or is_disk:
            return UserError(f"{self.path} cannot be read ({cause})")
        return UserError(f"{self.path} is damaged ({cause}); fetch it anew")
