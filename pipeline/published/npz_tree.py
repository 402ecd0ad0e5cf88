"""A released tree of npz files that others published, in the layout of this project's own (`pipeline.workspace.paths`).

The authors' MediMeta-C is one: ``razaimam45/MediMeta-C`` on the Hugging Face Hub, unpacked if it comes packed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.spec import SEVERITIES
from pipeline.errors import UserError
from pipeline.io.npz import Array
from pipeline.io.regular import walk
from pipeline.sources import Clean, medmnist
from pipeline.sources.arrays import read_labels, take
from pipeline.text import COMMIT
from pipeline.workspace import datasets
from pipeline.workspace.cell import RELEASED, SIZE, Cell

_REMEDY = "put the released file there"
_CORRUPTED = re.compile(r"(\w+)_severity_\d\.npz")


def find(folder: Path) -> dict[str, Path]:
    """Return the folder of each data set of the tree that lies in `folder`, at whatever depth it begins.

    Raises:
        UserError: there is no tree, or the same data set twice.
    """
    homes: dict[str, Path] = {}
    for path in sorted(walk(folder)) if folder.is_dir() else ():
        if path.name == "clean.npz" and path.parent.name in RELEASED:
            home = path.parents[1]
            if homes.setdefault(home.name, home) != home:
                raise UserError(f"{folder} has {home.name} twice, in {homes[home.name]} and in {home}: name one tree")
    if not homes:
        raise UserError(
            f"no {folder}/<data set>/<val or test>/clean.npz: name the folder of the tree, unpacked if it came packed"
        )
    return homes


def splits(folder: Path) -> tuple[str, ...]:
    """Return the released splits that a data set's folder has."""
    return tuple(split for split in RELEASED if (folder / split / "clean.npz").exists())


def corruptions(folder: Path) -> tuple[str, ...]:
    """Return the corruptions of a data set's folder, by name; UserError unless every split has each at 5 severities."""
    matches = {path: _CORRUPTED.fullmatch(path.name) for split in splits(folder) for path in (folder / split).iterdir()}
    names = tuple(sorted({match[1] for match in matches.values() if match}))
    wanted = [folder / s / f"{n}_severity_{k}.npz" for s in splits(folder) for n in names for k in SEVERITIES]
    if missing := [path for path in wanted if path not in matches]:
        raise UserError(f"no {missing[0]}, one of {len(missing)} files that the tree lacks: {_REMEDY}")
    return names


def class_names(dataset: str) -> tuple[str, ...]:
    """Return the names that MedIMeta, or MedMNIST, gives a data set's classes, which npz files do not have."""
    if dataset in datasets.DATASETS:
        return datasets.card(dataset).classes
    if dataset in medmnist.CLASSES:
        return medmnist.CLASSES[dataset]
    known = ", ".join((*datasets.DATASETS, *medmnist.CLASSES))
    raise UserError(f"nothing says what the classes of {dataset} are called; have {known} (--dataset takes some only)")


def load(folder: Path, cell: Cell) -> Clean:
    """Return the images of one cell of a data set's `folder`; its channels are those of the file.

    Raises:
        UserError: the file is not there, damaged, or of another shape.
    """
    path = folder / cell.split / f"{cell.name}.npz"
    images, names = Array(path, "images", remedy=_REMEDY), class_names(cell.dataset)
    channels = images.shape[3] if len(images.shape) == 4 else 1
    if images.dtype != np.uint8 or images.shape[1:3] != (SIZE, SIZE) or images.shape[3:] not in ((), (1,), (3,)):
        raise UserError(
            f"{images.where} is {images.dtype} {images.shape}; it must be uint8 (N, {SIZE}, {SIZE}, 1 or 3)"
        )
    if not images.shape[0]:
        raise UserError(f"{images.where} has no image")
    labels = read_labels(Array(path, "labels", remedy=_REMEDY), count=images.shape[0], classes=len(names))
    images.check()

    def read(positions: Sequence[int]) -> NDArray[np.uint8]:
        return take(images.rows, positions).reshape(len(positions), SIZE, SIZE, channels)

    return Clean(labels, names, range(len(labels)), channels, read)  # type: ignore[arg-type]


def download(repo: str, revision: str, folder: Path) -> Path:
    """Bring the npz files of a data-set repository on the Hub at a commit into `folder`, and return it.

    Raises:
        UserError: `revision` is no commit, or the Hub does not give the files.
    """
    from huggingface_hub import HfApi, errors

    if not re.fullmatch(COMMIT, revision):
        raise UserError(f"--revision {revision!r} must be a commit, 40 hexadecimal digits: a branch or a tag may move")
    http_error: Any = errors.HfHubHTTPError.__bases__[0]  # of the client's HTTP library, whichever it is
    failures: Any = (http_error, errors.HfHubHTTPError, errors.HFValidationError, errors.LocalEntryNotFoundError)
    try:
        HfApi(library_name="medimeta-c").snapshot_download(
            repo, repo_type="dataset", revision=revision, local_dir=folder, allow_patterns=["*.npz", "LICENSE*"]
        )
    except failures as failure:
        reason = " ".join(str(failure).split())[:200]
        raise UserError(f"the Hub does not give {repo} at {revision} ({type(failure).__name__}: {reason})") from None
    return folder
