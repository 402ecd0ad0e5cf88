"""What is known of a build: its manifests, read once for the export, the card, the Croissant file and publish."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corruptions import CORRUPTIONS
from pipeline import datasets, manifest
from pipeline.cell import CLEAN, HUB_SPLITS, RELEASED, Cell, cells_of
from pipeline.errors import UserError
from pipeline.manifest import ArraysEntry, CleanManifest, CorruptionManifest
from pipeline.paths import Workspace

SYNTHETIC = "phantom"
"""The source whose images no one ever took."""

_SHARED = ("bytes_version", "seed", "profile")


@dataclass(frozen=True)
class Dataset:
    """One data set of a build: its manifests, and its card where it is one of the seven.

    Attributes:
        clean: manifest of the clean images.
        corrupted: corruption to its manifest.
        card: None for a data set that the project does not know, such as a folder of somebody's own images.
    """

    name: str
    clean: CleanManifest
    corrupted: dict[str, CorruptionManifest]
    card: datasets.Card | None

    @property
    def class_names(self) -> list[str]:
        """Class names in label order, as the source gives them."""
        return list(self.clean.class_names)

    def count(self, split: str) -> int:
        """Return the images of a released split."""
        return self.clean.split(split).count

    def entry(self, cell: Cell) -> ArraysEntry:
        """Return the manifest's entry of one cell."""
        return self.clean.split(cell.split) if cell.is_clean else self.corrupted[cell.corruption].cell(cell)


@dataclass(frozen=True)
class Build:
    """Everything that one build made, as its manifests say."""

    datasets: tuple[Dataset, ...]

    @property
    def source(self) -> str:
        """Where the clean images come from."""
        return self.datasets[0].clean.source

    @property
    def synthetic(self) -> bool:
        """Whether the images are drawn by formulas."""
        return self.source == SYNTHETIC

    @property
    def settings(self) -> dict[str, Any]:
        """Byte version, seed and profile, which all data sets share."""
        first = next(iter(self.datasets[0].corrupted.values()))
        return {key: getattr(first, key) for key in _SHARED}

    def cells(self) -> Iterator[tuple[Dataset, Cell]]:
        """Yield every cell with its data set, clean first."""
        for dataset in self.datasets:
            for split in RELEASED:
                for cell in cells_of(dataset.name, split):
                    yield dataset, cell

    def configs(self) -> dict[str, tuple[Dataset, str | None]]:
        """Return the configurations of the card: name to data set and corruption, None for all of them."""
        named: dict[str, tuple[Dataset, str | None]] = {}
        for dataset in self.datasets:
            named[dataset.name] = (dataset, None)
            for corruption in (CLEAN, *CORRUPTIONS):
                named[f"{dataset.name}-{corruption}"] = (dataset, corruption)
        return named

    @property
    def images(self) -> int:
        """Images in all cells."""
        return sum(dataset.entry(cell).count for dataset, cell in self.cells())


def read_build(workspace: Workspace, names: tuple[str, ...]) -> Build:
    """Read the manifests of the data sets `names`; UserError if one lacks or they are not of one build."""
    found = []
    for name in names:
        clean = manifest.read_clean(workspace, name)
        corrupted = {corruption: manifest.read_corruption(workspace, name, corruption) for corruption in CORRUPTIONS}
        known = datasets.card(name) if name in datasets.DATASETS else None
        found.append(Dataset(name, clean, corrupted, known))
    _check_agreement(found)
    return Build(tuple(found))


def local_path(workspace: Workspace, path: str) -> Path:
    """Return the file on disk that stands at `path` in the repository."""
    if path.startswith("manifests/"):
        return workspace.root / path
    return (workspace.release if path.endswith(".npz") else workspace.export) / path


def image_ids(workspace: Workspace, dataset: str) -> dict[str, list[str]]:
    """Return where each image of each released split came from, by position."""
    path = workspace.rows(dataset)
    ids: dict[str, list[str]] = {split: [] for split in HUB_SPLITS}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                if row["split"] in ids:
                    ids[row["split"]].append(row["image_id"])
    except FileNotFoundError:
        raise UserError(f"no {path}: run `dvc repro` first") from None
    except KeyError as missing:
        raise UserError(f"{path} has no column {missing}: delete it and run `dvc repro`") from None
    except (csv.Error, UnicodeDecodeError) as broken:
        raise UserError(f"{path} is damaged ({broken}): delete it and run `dvc repro`") from None
    return ids


def _check_agreement(found: list[Dataset]) -> None:
    sources = {dataset.clean.source for dataset in found}
    if len(sources) > 1:
        raise UserError(f"the manifests are of several sources, {', '.join(sorted(sources))}: run `dvc repro`")
    for key in _SHARED:
        values = {str(getattr(entry, key)) for dataset in found for entry in dataset.corrupted.values()}
        if len(values) > 1:
            raise UserError(f"the manifests disagree on {key}, {', '.join(sorted(values))}: run `dvc repro`")
