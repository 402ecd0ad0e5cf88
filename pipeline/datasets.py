"""Facts of the seven data sets: class names, licences, caveats. One small file a data set in the folder ``cards/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from corruptions.table import COLUMNS

DATASETS = tuple(sorted(COLUMNS))
"""The seven data sets of MediMeta-C."""

# The other two sets of MedMNIST-C; Yang et al. 2023, "MedMNIST v2", section "Details for each dataset".
_MEDMNIST = {"breastmnist": "breast ultrasound", "retinamnist": "retinal fundus photography"}


@dataclass(frozen=True)
class Origin:
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


@dataclass(frozen=True)
class Card:
    """What is known of one data set before any of its files is read.

    Attributes:
        dataset: its name in the benchmark.
        title: a line for people.
        modality: how such images are called in a sentence, for prompts.
        grey: whether its images have one channel.
        mirror_horizontal: whether an image mirrored left to right is still a plausible one.
        mirror_vertical: whether an image mirrored top to bottom is still a plausible one.
        classes: names in MedIMeta's label order.
        classes_source: where that order is written.
        task: name of the MedIMeta task that the labels come from.
        medmnist: name of the MedMNIST set made from the same images, if there is one.
        counts: images of MedIMeta's train, val and test split.
        origin: the original data set. MedIMeta redistributes all seven, see `collection`.
        caveats: what a reader of scores should know.
        robustmedclip_order: the order that RobustMedCLIP's code gives the same classes.
        robustmedclip_source: where that order is written.
    """

    dataset: str
    title: str
    modality: str
    grey: bool
    mirror_horizontal: bool
    mirror_vertical: bool
    classes: tuple[str, ...]
    classes_source: str
    task: str
    medmnist: str | None
    counts: Mapping[str, int]
    origin: Origin
    caveats: tuple[str, ...]
    robustmedclip_order: tuple[str, ...]
    robustmedclip_source: str


def folder() -> Path:
    """Return the folder of the cards: in the installed package, else the checkout's own."""
    installed = Path(__file__).parent / "card_files"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "cards"


def card(dataset: str) -> Card:
    """Return the facts of one of `DATASETS`.

    Raises:
        ValueError: there is no such data set.
    """
    if dataset not in DATASETS:
        raise ValueError(f"no card for the data set {dataset!r}; have {', '.join(DATASETS)}")
    facts = _read(f"{dataset}.yaml")
    return Card(
        dataset=dataset,
        title=facts["title"],
        modality=facts["modality"],
        grey=facts["grey"],
        mirror_horizontal=facts["mirror"]["horizontal"],
        mirror_vertical=facts["mirror"]["vertical"],
        classes=tuple(facts["classes"]),
        classes_source=facts["classes_source"],
        task=facts["medimeta"]["task"],
        medmnist=facts["medmnist"]["name"] if "medmnist" in facts else None,
        counts=MappingProxyType(facts["counts"]),
        origin=Origin(**facts["origin"]),
        caveats=tuple(facts["caveats"]),
        robustmedclip_order=tuple(facts["robustmedclip_order"]),
        robustmedclip_source=facts["robustmedclip_source"],
    )


def modality(dataset: str) -> str:
    """Return how images of a data set are called in a sentence; of one without a card, what MedMNIST's are, or any."""
    for name in DATASETS:
        if dataset in (name, card(name).medmnist):
            return card(name).modality
    return _MEDMNIST.get(dataset, "medical imaging")


def collection(name: str) -> Origin:
    """Return name, licence and citation of ``medimeta`` or ``medmnist``.

    Raises:
        ValueError: there is no such collection.
    """
    collections = _read("collections.yaml")
    if name not in collections:
        raise ValueError(f"no collection {name!r}; have {', '.join(collections)}")
    return Origin(**collections[name])


@cache
def _read(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load((folder() / name).read_text(encoding="utf-8"))
    return facts
