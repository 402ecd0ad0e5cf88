"""Structured files as types: one pydantic model for writing, reading, validating, defaults and docs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.regular import read_regular
from pipeline.text import printable, spreadsheet_text

R = TypeVar("R", bound="Record")

UNWRITABLE = "has a number of thousands of digits, or a list that is within itself"
"""What YAML can hold and a record cannot."""

_YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises beside its own errors: for impossible dates and numbers, unhashable keys and deep nesting."""


class Record(BaseModel):
    """What goes through a file: unknown keys are errors, nothing is converted, and no number is infinite or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def changed(self: R, **changes: object) -> R:
        """Return a copy with some fields changed, validated."""
        return type(self).model_validate({name: getattr(self, name) for name in self.model_fields_set} | changes)


def read_record(path: Path, kind: type[R], *, remedy: str) -> R:
    """Read a JSON file as `kind`.

    Args:
        path: of the file.
        kind: what it must hold.
        remedy: what to do if it is not there or not such a record; the end of the sentence.

    Raises:
        UserError: it is not there, not JSON, or not such a record.
    """
    try:
        return kind.model_validate_json(read_regular(path))
    except FileNotFoundError:
        raise UserError(f"no {path}: {remedy}") from None
    except ValidationError as wrong:
        raise UserError(f"{path}: {explain(wrong.errors()[0], kind)}: {remedy}") from None


def parse_yaml(content: bytes | str, path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Return what YAML in UTF-8 holds; UserError if it is none. `path` is where it is from."""
    try:
        return yaml.load(content if isinstance(content, str) else content.decode("utf-8"), loader)
    except _YAML_ERRORS as broken:
        raise UserError(f"{path} is not YAML: {' '.join(str(broken).split())}") from None


def read_yaml(path: Path, *, example: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> dict[str, Any]:
    """Return the names and values that a YAML file holds.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it is not YAML, or not names and values, of which `example` is one.
    """
    value = parse_yaml(read_regular(path), path, loader)
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold names and values, such as `{example}`")
    return value


def from_yaml(value: Any, kind: type[R], *, where: object) -> R:
    """Return as `kind` what was read from YAML; UserError, which begins with `where`, if it is not such a record."""
    try:
        return kind.model_validate_json(json.dumps(value, default=str))
    except ValidationError as wrong:
        raise UserError(f"{where}: {explain(wrong.errors()[0], kind)}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{where} {UNWRITABLE}") from None


def write_record(path: Path, record: Record) -> None:
    """Write the fields that were given as indented JSON with sorted keys, whole or absent."""
    write_json(path, record.model_dump(mode="json", exclude_unset=True))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or absent."""
    with atomic_write(path) as handle:
        handle.write((json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, whole or absent; a spreadsheet shows its texts and computes none."""
    with atomic_write(path) as handle:
        text = io.TextIOWrapper(handle, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([spreadsheet_text(x) if isinstance(x, str) else x for x in row] for row in rows)
        text.detach()


def explain(error: ErrorDetails, kind: type[BaseModel]) -> str:
    """Return what is wrong at one place of a record of `kind`, and what could stand there."""
    *parents, last = [part for part in error["loc"] if part != "[key]"] or [""]
    place, parent = (".".join(map(printable, parts)) for parts in ([*parents, last], parents))
    code, value, context = error["type"], error["input"], error.get("ctx", {})
    if code == "json_invalid":
        return f"is not JSON ({context.get('error', 'damaged')})"
    if code == "missing":
        return f"{parent or 'it'} lacks {last}"
    if code == "extra_forbidden":
        return f"{parent or 'it'} has no {last!r}; have {', '.join(_fields(kind, parents))}"
    if code == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ")
        return f"{place} is {_shown(value)}; have {choices}"
    if code == "value_error":
        said = error["msg"].partition(", ")[2]
        return f"{place}: {said}" if place else said
    return f"{place or 'it'} must be {_wanted(code, context)}, not {_shown(value)}"


def _fields(kind: Any, parents: Sequence[int | str]) -> list[str]:
    """Return the keys that the record at a place may have."""
    for part in parents:
        is_record = isinstance(kind, type) and issubclass(kind, BaseModel)
        kind = kind.model_fields[str(part)].annotation if is_record else _content(kind)
        if isinstance(kind, UnionType):  # a record or None
            kind = _content(kind)
    return list(kind.model_fields)


def _content(kind: Any) -> Any:
    """Return the type of a mapping's values, of a tuple's items, or of what may be None."""
    return [argument for argument in get_args(kind) if argument not in (..., NoneType)][-1]


def _wanted(code: str, context: Mapping[str, Any]) -> str:
    limits = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below"}
    limits["less_than_equal"] = "at most"
    if code in limits:
        (limit,) = context.values()
        return f"{limits[code]} {limit:.15g}"
    if code == "too_short":
        return f"a list of at least {context['min_length']}"
    words = {
        "int": "a whole number",
        "float": "a number",
        "finite": "a finite number",
        "bool": "true or false",
        "string": "text",
        "tuple": "a list",
        "list": "a list",
        "dict": "a mapping, such as {name: value}",
        "model": "a mapping, such as {name: value}",
    }
    return words.get(code.split("_")[0], "of another kind")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
