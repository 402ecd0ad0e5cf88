"""What a build holds: its manifests, read once for the export, the card, the Croissant file and publish."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from corruptions.spec import EVERY
from pipeline.config.params import Config
from pipeline.errors import UserError
from pipeline.io.regular import open_regular
from pipeline.workspace import datasets, manifest
from pipeline.workspace.cell import CLEAN, HUB_SPLITS, RELEASED, Cell, cells_of
from pipeline.workspace.datasets import OwnCard
from pipeline.workspace.manifest import ArraysEntry, CleanManifest, CorruptionManifest
from pipeline.workspace.paths import Workspace

T = TypeVar("T")

NOT_STATED = "not stated"

SYNTHETIC = "phantom"
"""The source whose images no one ever took."""

OWN = "imagefolder"
"""The source of somebody's own images, of which the project knows nothing."""


@dataclass(frozen=True)
class Dataset:
    """One data set of a build.

    Attributes:
        clean: manifest of the clean images.
        corrupted: corruption to its manifest.
        own: what their owner says of images that are somebody's own.
    """

    name: str
    clean: CleanManifest
    corrupted: dict[str, CorruptionManifest]
    own: OwnCard = field(default_factory=OwnCard)

    @property
    def card(self) -> datasets.Card | None:
        """The card of the same name, if the images are those that it speaks of."""
        return datasets.card_from(self.name, self.clean.source)

    @property
    def origin(self) -> datasets.Origin | None:
        """Where the images were taken from, if a card says so."""
        return datasets.origin(self.name, self.clean.source)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader of scores should know: what its card says, and which images two splits share."""
        overlap = "; ".join(f"{count} in {splits}" for splits, count in self.clean.overlap.items())
        return (*(self.card or self.own).caveats, *([f"Images that two splits share: {overlap}."] if overlap else []))

    def count(self, split: str) -> int:
        """Return the number of images of a released split."""
        return self.clean.split(split).count

    def entry(self, cell: Cell) -> ArraysEntry:
        """Return the manifest's entry of one cell."""
        return self.clean.split(cell.split) if cell.is_clean else self.corrupted[cell.corruption].cell(cell)


@dataclass(frozen=True)
class Build:
    """Everything that one run of the pipeline made, as its manifests say."""

    datasets: tuple[Dataset, ...]
    source: str
    seed: int
    profile: str
    bytes_version: int

    @property
    def synthetic(self) -> bool:
        """Whether the images are drawn by formulas."""
        return self.source == SYNTHETIC

    @property
    def title(self) -> str:
        """Title of the repository."""
        if self.source == OWN:
            return f"{', '.join(dataset.own.title or dataset.name for dataset in self.datasets)}, clean and corrupted"
        titles = {
            "phantom": "MediMeta-C phantom: synthetic images",
            "medmnist": "MedMNIST+ under the corruptions of MediMeta-C",
        }
        return titles.get(self.source, "MediMeta-C")

    @property
    def licence(self) -> str:
        """Names of the licences of the images, for people."""
        if self.synthetic:
            return "MIT"
        if self.source == OWN:
            own = (dataset.own for dataset in self.datasets)
            return ", ".join(dict.fromkeys(card.license_name or card.license or NOT_STATED for card in own))
        return datasets.collection(self.source).licence

    @property
    def citations(self) -> list[str]:
        """What is to be cited for the images, as BibTeX."""
        if self.source == OWN:
            texts = [dataset.own.citation for dataset in self.datasets]
        else:
            collection = datasets.collection("medimeta" if self.synthetic else self.source)
            texts = [collection.citation, *(dataset.origin.citation for dataset in self.datasets if dataset.origin)]
        return list(dict.fromkeys(text.strip() for text in texts if text))

    def cells(self) -> Iterator[tuple[Dataset, Cell]]:
        """Yield every cell with its data set, clean first."""
        for dataset in self.datasets:
            for split in RELEASED:
                for cell in cells_of(dataset.name, split, tuple(dataset.corrupted)):
                    yield dataset, cell

    def configs(self) -> dict[str, tuple[Dataset, str | None]]:
        """Return the configurations of the card: name to data set and corruption, None for all of them."""
        configs: dict[str, tuple[Dataset, str | None]] = {}
        for dataset in self.datasets:
            configs[dataset.name] = (dataset, None)
            for corruption in (CLEAN, *dataset.corrupted):
                configs[f"{dataset.name}-{corruption}"] = (dataset, corruption)
        return configs

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Corruptions of any data set, in the table's order."""
        return tuple(c for c in EVERY if any(c in dataset.corrupted for dataset in self.datasets))

    @property
    def images(self) -> int:
        """Number of images in all cells."""
        return sum(dataset.entry(cell).count for dataset, cell in self.cells())


def read_build(workspace: Workspace, config: Config) -> Build:
    """Read the manifests of the data sets that are published, those of params.yaml's source.

    Raises:
        UserError: a manifest is missing or broken, or they are not of one build.
    """
    members = []
    for name in config.datasets_of(config.source):
        clean = manifest.read_clean(workspace, name)
        corrupted = {c: manifest.read_corruption(workspace, name, c) for c in config.corruptions(name)}
        own = datasets.own_card(workspace, name) if clean.source == OWN else OwnCard()
        members.append(Dataset(name, clean, corrupted, own))
    strengths = [entry for member in members for entry in member.corrupted.values()]
    return Build(
        datasets=tuple(members),
        source=_shared("source", [member.clean.source for member in members]),
        seed=_shared("seed", [entry.seed for entry in strengths]),
        profile=_shared("profile", [entry.profile for entry in strengths]),
        bytes_version=_shared("bytes_version", [entry.bytes_version for entry in strengths]),
    )


def local_path(workspace: Workspace, path: str) -> Path:
    """Return the file on disk that stands at `path` in the repository."""
    if path.startswith("manifests/"):
        return workspace.root / path
    if not path.endswith(".npz"):
        return workspace.export / path
    dataset, split, name = path.removesuffix(".npz").split("/")
    corruption, _, severity = name.partition("_severity_")
    return workspace.npz(Cell(dataset, split, corruption, int(severity or 0)))


def image_ids(workspace: Workspace, dataset: Dataset) -> dict[str, list[str]]:
    """Return what is published of where each image of each released split came from, by position.

    Somebody's own images get numbers, since the names of their files may say who is shown.
    """
    ids = source_ids(workspace, dataset.name)
    if dataset.clean.source == OWN:
        return {split: [f"{index:06d}" for index in range(len(names))] for split, names in ids.items()}
    return ids


def source_ids(workspace: Workspace, dataset: str) -> dict[str, list[str]]:
    """Return the source's own name of each image of each released split, by position."""
    path = workspace.rows(dataset)
    ids: dict[str, list[str]] = {split: [] for split in HUB_SPLITS}
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as handle:
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


def warnings_of_own(workspace: Workspace, build: Build) -> Iterator[str]:
    """Yield what somebody should look at before their own images are published.

    Cards of no data set, and names that look like a person's, a date or a patient's number.
    """
    own = build.datasets if build.source == OWN else ()
    known = [dataset.name for dataset in own]
    if unknown := [name for name in datasets.own_card_names(workspace) if own and name not in known]:
        names = ", ".join(map(ascii, unknown))
        yield f"cards/own.yaml speaks of {names}, of which no images are exported; have {', '.join(known)}"
    for dataset in own:
        public = [name for name in (dataset.name, *dataset.clean.class_names) if datasets.looks_personal(name)]
        if public:
            names = ", ".join(map(ascii, public))
            yield (
                f"{dataset.name}: the names of data sets and classes are published, and {names} may"
                " say who is shown or when: rename those folders, or look twice"
            )
        files = [name for ids in source_ids(workspace, dataset.name).values() for name in ids]
        private = [name for name in files if any(map(datasets.looks_personal, name.split("/")[1:]))]  # after the class
        if private:
            yield (
                f"{dataset.name}: the names of {len(private)} of {len(files)} files or their folders, such as"
                f" {private[0]!a}, may say who is shown or when; numbers are published instead, but look whether the"
                " images show such text"
            )


def _shared(key: str, values: list[T | None]) -> T:
    distinct = set(values)
    if len(distinct) > 1:
        listed = ", ".join(sorted(map(str, distinct)))
        raise UserError(f"the manifests disagree on {key}, {listed}: run `dvc repro`")
    (value,) = distinct
    if value is None:
        raise UserError(f"the manifests lack {key}, as those of adopted data sets do: only what is built is exported")
    return value
