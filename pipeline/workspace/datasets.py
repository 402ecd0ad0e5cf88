"""Facts of data sets that stand in files: one card each in the folder ``cards/``. Adding the card adds the data set."""

from __future__ import annotations

import datetime
import os
import re
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Self

from pydantic import model_validator

from pipeline.io.records import Record, from_yaml, read_yaml
from pipeline.workspace.paths import Workspace

# The other two sets of MedMNIST-C; Yang et al. 2023, "MedMNIST v2", section "Details for each dataset".
_MEDMNIST = {"breastmnist": "breast ultrasound", "retinamnist": "retinal fundus photography"}

_YEAR = r"(?:19|20)\d\d"
_MONTH = r"(?:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}[01]\d[0-3]\d|{_YEAR}[-_. ][01]?\d[-_. ][0-3]?\d|[0-3]?\d[-_. ][01]?\d[-_. ]{_YEAR}"
    rf"|[0-3]?\d[-_. ]*{_MONTH}[-_. ]*{_YEAR}|{_YEAR}[-_. ]*{_MONTH}[-_. ]*[0-3]?\d)(?!\d)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{7,}")  # as hospitals give to patients
_WORD_PAIR = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,})[-_ ,.^]+([^\W\d_]{2,})")

_NO_DATASETS = ("changes", "collections", "own")
"""Files in ``cards/`` that are no data set's card."""


class Origin(Record):
    """Where images come from, and what whoever uses them has to name.

    Attributes:
        name: as its makers call it.
        url: a persistent address.
        licence: short name, with version.
        citation: BibTeX.
    """

    name: str
    url: str
    licence: str
    citation: str


class Mirror(Record):
    """Whether an image mirrored left to right, or top to bottom, is still a plausible one."""

    horizontal: bool
    vertical: bool


class Card(Record):
    """What is known of one of MedIMeta's data sets before any of its files is read.

    Attributes:
        title: a line for people.
        modality: how such images are called in a sentence, for prompts.
        grey: whether its images have one channel.
        mirror: which mirrorings keep an image plausible.
        classes: names in MedIMeta's label order.
        classes_source: where that order is written.
        task: name of the MedIMeta task that the labels come from.
        medmnist: name of the MedMNIST set made from the same images, if there is one.
        counts: images of MedIMeta's train, val and test split.
        origin: the original data set. MedIMeta redistributes it, see `collection`.
        caveats: what a reader of scores should know.
        robustmedclip_order: the order that RobustMedCLIP's code gives the same classes, if it has them.
        robustmedclip_source: where that order is written.
    """

    title: str
    modality: str
    grey: bool
    mirror: Mirror
    classes: tuple[str, ...]
    classes_source: str
    task: str
    medmnist: str | None = None
    counts: dict[str, int]
    origin: Origin
    caveats: tuple[str, ...]
    robustmedclip_order: tuple[str, ...] = ()
    robustmedclip_source: str = ""


class OwnCard(Record):
    """What somebody says of their own images in the workspace's ``cards/own.yaml``; the keys are the Hub's words.

    Attributes:
        title: a line for people.
        license: the Hub's identifier, such as ``cc-by-4.0``; ``other`` needs `license_name`.
        license_name, license_link: of a licence that the Hub has no identifier for.
        citation: BibTeX.
        contact: whom to write to.
        homepage: address of the images' own page.
        caveats: what a reader of scores should know.
    """

    title: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    citation: str | None = None
    contact: str | None = None
    homepage: str | None = None
    caveats: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_license(self) -> Self:
        if (self.license == "other") != (self.license_name is not None):
            raise ValueError("license_name goes with `license: other`, and only with that")
        return self


class Change(Record):
    """A version of the published data: its date, and what is new in it for those who use the data."""

    version: str
    date: datetime.date
    changes: tuple[str, ...]


def folder() -> Path:
    """Return the folder of the cards: in the installed package, else the checkout's own."""
    package = Path(__file__).parents[1]
    installed = package / "card_files"
    return installed if installed.is_dir() else package.parent / "cards"


DATASETS = tuple(sorted(path.stem for path in folder().glob("*.yaml") if path.stem not in _NO_DATASETS))
"""The data sets that have a card."""


@cache
def card(dataset: str) -> Card:
    """Return the facts of one of `DATASETS`; ValueError if there is no such data set."""
    if dataset not in DATASETS:
        raise ValueError(f"no card for the data set {dataset!r}; have {', '.join(DATASETS)}")
    path = folder() / f"{dataset}.yaml"
    return from_yaml(_read(path), Card, where=path)


def card_from(dataset: str, source: str) -> Card | None:
    """Return the card of a data set whose images come from `source`, or None.

    The cards speak of MedIMeta's images and of the phantom that is drawn after them. Somebody's own folder may have
    the same name and is something else.
    """
    return card(dataset) if source in ("medimeta", "medimeta-c", "phantom") and dataset in DATASETS else None


def robustmedclip_order(dataset: str, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `class_names` as RobustMedCLIP's code orders them for a data set of that name, wherever it comes from.

    They stay as they are if it knows no such data set or no such classes. MedMNIST's it has in MedMNIST's own order.
    """
    order = card(dataset).robustmedclip_order if dataset in DATASETS else ()
    return order if sorted(order) == sorted(class_names) else class_names


def origin(dataset: str, source: str) -> Origin | None:
    """Return where the images of a data set were taken from that comes through `source`, if a card says so."""
    if source == "medmnist":
        return next((card(name).origin for name in DATASETS if card(name).medmnist == dataset), None)
    known = card_from(dataset, source)
    return known.origin if known else None


def modality(dataset: str, source: str) -> str:
    """Return how images of a data set that comes through `source` are called in a sentence."""
    if source.startswith("medmnist"):
        same = (card(name).modality for name in DATASETS if card(name).medmnist == dataset)
        return next(same, _MEDMNIST.get(dataset, "medical imaging"))
    known = card_from(dataset, source)
    return known.modality if known else "medical imaging"


def collection(name: str) -> Origin:
    """Return name, licence and citation of ``medimeta`` or ``medmnist``; ValueError if there is no such collection."""
    path = folder() / "collections.yaml"
    collections = _read(path)
    if name not in collections:
        raise ValueError(f"no collection {name!r}; have {', '.join(collections)}")
    return from_yaml(collections[name], Origin, where=f"{path}, {name}")


def changes() -> list[Change]:
    """Return the versions of the published data, newest first."""
    path = folder() / "changes.yaml"
    return [from_yaml(entry, Change, where=path) for entry in _read(path)["versions"]]


def own_card(workspace: Workspace, dataset: str) -> OwnCard:
    """Return what the workspace's ``cards/own.yaml`` says of a data set: nothing if it is not there.

    Raises:
        UserError: it is not YAML, or has a key or value that it must not have.
    """
    path, entries = _own_cards(workspace)
    return from_yaml(entries.get(dataset, {}), OwnCard, where=f"{path}, {dataset}")


def own_card_names(workspace: Workspace) -> tuple[str, ...]:
    """Return the names of what the workspace's ``cards/own.yaml`` speaks of."""
    return tuple(map(str, _own_cards(workspace)[1]))


def _own_cards(workspace: Workspace) -> tuple[Path, dict[str, Any]]:
    path = workspace.root / "cards" / "own.yaml"
    return path, _read(path) if os.path.lexists(path) else {}


def looks_personal(name: str) -> bool:
    """Say whether the name of a file, folder, class or data set looks like a person's, a date or a patient's number."""
    pairs = _WORD_PAIR.findall(name.removesuffix(PurePath(name).suffix))
    is_name = any(first[0].isupper() and second[0].isupper() for first, second in pairs)
    return bool(is_name or "^" in name or _DATE.search(name) or _NUMBER.search(name))


def _read(path: Path) -> dict[str, Any]:
    return read_yaml(path, example="mine: {title: My images}")
