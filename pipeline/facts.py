"""What is known of a build: its manifests, read once for the export, the card, the Croissant file and publish."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import UserError, cards, manifest
from pipeline.cells import CLEAN, SPLITS, Cell
from pipeline.layout import RELEASED, Layout

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
    clean: dict[str, Any]
    corrupted: dict[str, dict[str, Any]]
    card: cards.Card | None

    @property
    def class_names(self) -> list[str]:
        """Class names in label order, as the source gives them."""
        return list(self.clean["class_names"])

    def count(self, split: str) -> int:
        """Return the images of a released split."""
        return int(self.clean["splits"][split]["count"])

    def checksums(self, cell: Cell) -> dict[str, Any]:
        """Return count and SHA-256 of the arrays ``images`` and ``labels`` of one cell."""
        if cell.corruption == CLEAN:
            entry: dict[str, Any] = self.clean["splits"][cell.split]
        else:
            entry = self.corrupted[cell.corruption]["cells"][cell.split][str(cell.severity)]
        return {key: entry[key] for key in ("count", "images", "labels")}


@dataclass(frozen=True)
class Build:
    """Everything that one build made, as its manifests say."""

    datasets: tuple[Dataset, ...]

    @property
    def source(self) -> str:
        """Where the clean images come from."""
        return str(self.datasets[0].clean["source"])

    @property
    def synthetic(self) -> bool:
        """Whether the images are drawn by formulas."""
        return self.source == SYNTHETIC

    @property
    def settings(self) -> dict[str, Any]:
        """Byte version, seed and profile, which all data sets share."""
        first = next(iter(self.datasets[0].corrupted.values()))
        return {key: first[key] for key in _SHARED}

    def cells(self) -> Iterator[tuple[Dataset, Cell]]:
        """Yield every cell with its data set, clean first."""
        for dataset in self.datasets:
            for split in RELEASED:
                yield dataset, Cell(dataset.name, split, CLEAN, 0)
                for corruption in CORRUPTIONS:
                    for severity in SEVERITIES:
                        yield dataset, Cell(dataset.name, split, corruption, severity)

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
        return sum(dataset.checksums(cell)["count"] for dataset, cell in self.cells())


def build(layout: Layout, names: tuple[str, ...]) -> Build:
    """Read the manifests of the data sets `names`; UserError if one lacks or they are not of one build."""
    found = []
    for name in names:
        clean = manifest.read(layout, name, manifest.CLEAN)
        corrupted = {corruption: manifest.read(layout, name, corruption) for corruption in CORRUPTIONS}
        known = cards.card(name) if name in cards.DATASETS else None
        found.append(Dataset(name, clean, corrupted, known))
    _check_agreement(found)
    return Build(tuple(found))


def npz_path(layout: Layout, cell: Cell) -> Path:
    """Return the npz that holds `cell`."""
    if cell.corruption == CLEAN:
        return layout.clean(cell.dataset, cell.split)
    return layout.cell(cell.dataset, cell.split, cell.corruption, cell.severity)


def export_folder(layout: Layout) -> Path:
    """Return the folder of parquet files, card and checksums."""
    return layout.root / "data" / "export"


def export_record(layout: Layout) -> Path:
    """Return the record of everything that a repository on the Hub holds, by path in it."""
    return layout.root / "metrics" / "export.json"


def local_path(layout: Layout, path: str) -> Path:
    """Return the file on disk that stands at `path` in the repository."""
    if path.startswith("manifests/"):
        return layout.root / path
    return (layout.release if path.endswith(".npz") else export_folder(layout)) / path


def image_ids(layout: Layout, dataset: str) -> dict[str, list[str]]:
    """Return where each image of each released split came from, by position."""
    path = layout.rows(dataset)
    ids: dict[str, list[str]] = {split: [] for split in SPLITS}
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
    sources = {dataset.clean["source"] for dataset in found}
    if len(sources) > 1:
        raise UserError(f"the manifests are of several sources, {', '.join(sorted(sources))}: run `dvc repro`")
    for key in _SHARED:
        values = {str(entry[key]) for dataset in found for entry in dataset.corrupted.values()}
        if len(values) > 1:
            raise UserError(f"the manifests disagree on {key}, {', '.join(sorted(values))}: run `dvc repro`")
