"""The on-disk contract: paths, keys and shapes; nothing else in the project knows them.

The released tree holds folders of data sets and nothing else, since readers list it::

    data/MediMeta-C/<dataset>/<val|test>/clean.npz
    data/MediMeta-C/<dataset>/<val|test>/<corruption>_severity_<1..5>.npz

Each npz has ``images`` uint8 (N, 224, 224, C) and ``labels`` int64 (N,). C is 3, or with ``channels: native`` 1 for
grey data sets. Beside the released tree, out of the way of its readers:

    data/prepared/<dataset>/<train|pretrain|pretest>.npz   clean images for tuning, not released
    data/prepared/<dataset>/rows.csv, dropped.csv          where each image came from; what was left out, and why
    data/raw/<source>/                                     what fetch brought, or your own image folders
    manifests/<dataset>/<clean|corruption>.json            in git: checksums and facts
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline import UserError

SIZE = 224
"""Height and width of every released image, pixels."""

RELEASED = ("val", "test")
"""Splits of the released tree."""

PREPARED = ("train", "pretrain", "pretest")
"""Splits that are prepared but not released. The last two come from the phantom's first acquisition domain only."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")


def checked_name(dataset: str) -> str:
    """Return `dataset` if it can be a folder and a part of a DVC stage's name, else raise UserError."""
    if not _NAME.fullmatch(dataset):
        raise UserError(f"a data set's name has only letters, digits and _, and begins with no _: not {dataset!r}")
    return dataset


class Layout:
    """Paths of one workspace, the folder that holds params.yaml and dvc.yaml."""

    def __init__(self, root: Path | str = ".") -> None:
        self.root = Path(root)
        self.release = self.root / "data" / "MediMeta-C"
        self.prepared = self.root / "data" / "prepared"
        self.manifests = self.root / "manifests"

    def raw(self, source: str) -> Path:
        """Return the folder of a source's own files."""
        return self.root / "data" / "raw" / source

    def clean(self, dataset: str, split: str) -> Path:
        """Return the npz of clean images of any split."""
        if split in RELEASED:
            return self.release / checked_name(dataset) / split / "clean.npz"
        if split in PREPARED:
            return self.prepared / checked_name(dataset) / f"{split}.npz"
        raise UserError(f"no split {split!r}; have {', '.join(RELEASED + PREPARED)}")

    def cell(self, dataset: str, split: str, corruption: str, severity: int) -> Path:
        """Return the npz of one cell: a data set's split under one corruption at severity 1 to 5."""
        if split not in RELEASED:
            raise UserError(f"no released split {split!r}; have {', '.join(RELEASED)}")
        return self.release / checked_name(dataset) / split / f"{corruption}_severity_{severity}.npz"

    def rows(self, dataset: str) -> Path:
        """Return the table of every prepared image: split, index, label, image_id."""
        return self.prepared / checked_name(dataset) / "rows.csv"

    def dropped(self, dataset: str) -> Path:
        """Return the table of what the source holds and the benchmark left out: split, image_id, reason."""
        return self.prepared / checked_name(dataset) / "dropped.csv"

    def manifest(self, dataset: str, name: str) -> Path:
        """Return the manifest of ``clean`` or of one corruption."""
        return self.manifests / checked_name(dataset) / f"{name}.json"
