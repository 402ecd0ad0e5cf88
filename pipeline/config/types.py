"""Types of the values in params.yaml: numbers with their limits, and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

from corruptions.spec import EVERY, PROFILES
from corruptions.table import COLUMNS
from pipeline.workspace.paths import checked_model, checked_name

SourceSplit = Literal["train", "val", "test"]
ReleasedSplit = Literal["val", "test"]


_MOST = 10**9
"""Largest count that any parameter takes; a larger one is a slip of the keyboard."""

_PINNED = re.compile(r"[a-z_]+:[\w./@:+#-]+", re.ASCII)


def _line(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError(f"must be one line of text without control characters, not {text!r}")
    return text


def _among(choices: Sequence[str]) -> AfterValidator:
    """Return the check that a name is one of `choices`."""

    def check(name: str) -> str:
        if name not in choices:
            raise PydanticCustomError("literal_error", "", {"expected": ", ".join(choices)})
        return name

    return AfterValidator(check)


def _corruption_set(value: object) -> str | tuple[str, ...] | dict[str, tuple[str, ...]]:
    if value in ("core", "extended"):
        return str(value)
    if isinstance(value, dict) and value:
        return {dataset: _names(names, f"of {dataset} ") for dataset, names in value.items()}
    if isinstance(value, list | tuple):
        return _names(value)
    raise ValueError(f"must be core, extended, a list of corruptions, or such lists by data set, not {value!r}")


def _names(value: object, owner: str = "") -> tuple[str, ...]:
    """Return a list of corruptions; ValueError if it is none, has no name, an unknown one, or one twice."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{owner}must be a list of at least one corruption, not {value!r}")
    for name in value:
        if name not in EVERY:
            raise ValueError(f"{owner}has {name!r}, which is no corruption; have {', '.join(EVERY)}")
        if value.count(name) > 1:
            raise ValueError(f"{owner}names {name} twice")
    return tuple(value)


Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(ge=1, le=_MOST)]
Drawn = Annotated[int, Field(ge=0, le=10**6)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Batch = Annotated[int, Field(ge=1, le=2**14)]
Rate = Annotated[float, Field(ge=1e-12, le=100)]  # a smaller one is 0 to float32 weights
Fraction = Annotated[float, Field(ge=0, le=1)]
DatasetName = Annotated[str, AfterValidator(checked_name)]
ModelName = Annotated[str, AfterValidator(checked_model)]
WeightsName = Annotated[str, AfterValidator(lambda name: name if _PINNED.fullmatch(name) else checked_model(name))]
"""Of a model that has a name of its own here, or of a pinned one, as ``vlm:OWNER/NAME``, whose folder is given."""

Line = Annotated[str, AfterValidator(_line)]
Column = Annotated[str, _among(tuple(COLUMNS))]
Corruption = Annotated[str, _among(EVERY)]
CorruptionSet = Annotated[
    str | tuple[str, ...] | Mapping[str, tuple[str, ...]],
    PlainValidator(_corruption_set),
    PlainSerializer(lambda value: value, return_type=object),
]
"""``core``, ``extended``, names of corruptions, or such names by data set."""
Profile = Annotated[str, _among(PROFILES)]
