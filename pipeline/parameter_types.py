"""Types of the values in params.yaml: numbers with their limits, and names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from corruptions.spec import CORRUPTIONS, PROFILES
from corruptions.table import COLUMNS
from pipeline.paths import checked_model, checked_name

SourceSplit = Literal["train", "val", "test"]
ReleasedSplit = Literal["val", "test"]


_MOST = 10**9
"""Largest count that any parameter takes; a larger one is a slip of the keyboard."""

_PINNED = re.compile(r"[a-z_]+:[\w./@:+#-]+", re.ASCII)

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

Line = Annotated[str, AfterValidator(lambda text: _line(text))]
Column = Annotated[str, AfterValidator(lambda name: _one_of(name, tuple(COLUMNS)))]
Corruption = Annotated[str, AfterValidator(lambda name: _one_of(name, CORRUPTIONS))]
Profile = Annotated[str, AfterValidator(lambda name: _one_of(name, PROFILES))]


def _line(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError(f"must be one line of text without control characters, not {text!r}")
    return text


def _one_of(value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise PydanticCustomError("literal_error", "", {"expected": ", ".join(choices)})
    return value
