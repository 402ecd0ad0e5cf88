"""Every path of a workspace, the folder that holds params.yaml and dvc.yaml.

The released tree holds folders of data sets and nothing else, since readers list it::

    data/MediMeta-C/<dataset>/<val|test>/clean.npz
    data/MediMeta-C/<dataset>/<val|test>/<corruption>_severity_<1..5>.npz

Corruptions of the extended set, which `corruption_set` of params.yaml adds, lie in a tree of their own that is laid out
alike, ``data/MediMeta-C-extended``; those of an adopted data set lie with its others.

Each npz has ``images`` uint8 (N, 224, 224, C) and ``labels`` int64 (N,). C is 3, or with ``channels: native`` 1 for
grey data sets. Beside the released tree, out of the way of its readers::

    data/raw/<source>/                                     what fetch downloaded, or your own image folders
    data/prepared/<dataset>/<train|pretrain|pretest>.npz   clean images for tuning, not released
    data/prepared/<dataset>/rows.csv, dropped.csv          where each image came from; what was left out, and why
    data/export/                                           parquet files, card and checksums of the Hub repository
    data/models/<model>/                                   weights, or adapter/ with tune.json, checkpoint and curves
    data/predictions/<model>/record.json                   the model, its prompts, the versions
    data/predictions/<model>/<dataset>/<split>/<cell>.npz  logits float32 (N, K), labels and indices int64 (N,)
    manifests/<dataset>/<clean|prepared|corruption>.json   in git: checksums, counts and parameters
    manifests/MediMeta-C-extended/<dataset>/<corruption>.json, built.json    the same of the extended set, and its keys
    metrics/, reports/                                     what verify, export, publish, score and report write
"""

from __future__ import annotations

import re
from pathlib import Path

from corruptions.spec import EXTENDED
from pipeline.errors import UserError
from pipeline.workspace.cell import PREPARED, RELEASED, Cell

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{,99}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{,99}(/[\w.+-]+)?")


def checked_name(dataset: str) -> str:
    """Return `dataset` if it can be a folder and a part of a DVC stage's name, else raise UserError."""
    if not _NAME.fullmatch(dataset):
        raise UserError(
            "a data set's name has only letters, digits and _, begins with no _, and is no longer than 100: not"
            f" {dataset!r}"
        )
    return dataset


def checked_model(name: str) -> str:
    """Return `name` if it can be a model's folder and a part of a DVC stage's name, else raise UserError.

    What stands after a slash are the values of one point of a grid.
    """
    if not _MODEL.fullmatch(name):
        raise UserError(
            "a model's name has only letters, digits, _, - and ., begins with a letter or digit, and is no longer than"
            f" 100: not {name!r}"
        )
    return name


class Workspace:
    """Paths of one workspace."""

    def __init__(self, root: Path | str = ".") -> None:
        self.root = Path(root)
        self.params = self.root / "params.yaml"
        self.release = self.root / "data" / "MediMeta-C"
        self.extended = self.root / "data" / "MediMeta-C-extended"
        self.prepared = self.root / "data" / "prepared"
        self.export = self.root / "data" / "export"
        self.cards = self.root / "data" / "cards"
        self.manifests = self.root / "manifests"
        self.extended_manifests = self.manifests / self.extended.name  # which can be no data set's name
        self.extended_record = self.extended_manifests / "built.json"
        self.metrics = self.root / "metrics"
        self.reports = self.root / "reports"
        self.export_record = self.metrics / "export.json"
        self.scores = self.reports / "scores.json"

    def raw(self, source: str) -> Path:
        """Return the folder of a source's own files."""
        return self.root / "data" / "raw" / source

    def npz(self, cell: Cell) -> Path:
        """Return the npz file of a cell; of clean images also that of a split that is not released.

        Raises:
            UserError: there is no such split, or the data set's name leads elsewhere.
        """
        dataset = checked_name(cell.dataset)
        if cell.split in RELEASED:
            return self.extended / cell.path if self._is_extended(dataset, cell.corruption) else self.released(cell)
        if cell.split in PREPARED and cell.is_clean:
            return self.prepared / dataset / f"{cell.split}.npz"
        choices = RELEASED + PREPARED if cell.is_clean else RELEASED
        raise UserError(f"no split {cell.split!r} of {cell.name}; have {', '.join(choices)}")

    def released(self, cell: Cell) -> Path:
        """Return the npz file of a cell in the released tree, whatever its corruption is called."""
        return self.release / checked_name(cell.dataset) / cell.split / f"{cell.name}.npz"

    def rows(self, dataset: str) -> Path:
        """Return the table of every prepared image: split, index, label, image_id."""
        return self.prepared / checked_name(dataset) / "rows.csv"

    def dropped(self, dataset: str) -> Path:
        """Return the table of what the source holds and the benchmark left out: split, image_id, reason."""
        return self.prepared / checked_name(dataset) / "dropped.csv"

    def manifest(self, dataset: str, name: str) -> Path:
        """Return the manifest of ``clean``, ``prepared`` or one corruption."""
        is_extended = self._is_extended(checked_name(dataset), name)
        return (self.extended_manifests if is_extended else self.manifests) / dataset / f"{name}.json"

    def _is_extended(self, dataset: str, corruption: str) -> bool:
        """Say whether a corruption is of the extended set, and not one that an adopted data set came with."""
        return corruption in EXTENDED and not self.released_manifest(dataset, corruption).is_file()

    def released_manifest(self, dataset: str, name: str) -> Path:
        """Return the manifest of what lies in the released tree, whatever its corruption is called."""
        return self.manifests / checked_name(dataset) / f"{name}.json"

    def model(self, name: str) -> Path:
        """Return the folder of a model's own weights or adapter."""
        return self.root / "data" / "models" / name

    def adapter(self, name: str) -> Path:
        """Return the folder of a tuned model's PEFT adapter."""
        return self.model(name) / "adapter"

    def predictions(self, model: str) -> Path:
        """Return the folder of a model's logits."""
        return self.root / "data" / "predictions" / model

    def prediction_record(self, model: str) -> Path:
        """Return the record of what a model's logits were made with."""
        return self.predictions(model) / "record.json"

    def logits(self, model: str, cell: Cell) -> Path:
        """Return the npz file of one cell's logits."""
        return self.predictions(model) / cell.path
