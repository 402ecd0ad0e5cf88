"""A baseline by its published numbers, for mCE without running that model: a table of errors in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import ValidationError

from benchmark.scoring.records import Published, PublishedError
from corruptions.spec import SEVERITIES
from pipeline.errors import UserError
from pipeline.io.records import explain
from pipeline.io.regular import read_regular
from pipeline.workspace.cell import CLEAN

KINDS = ("error", "balanced_error")
COLUMNS = ("dataset", "corruption", "severity", *KINDS)


def read_published(
    path: Path, corruptions: Mapping[str, tuple[str, ...]], chosen: Mapping[str, tuple[str, ...]] | None = None
) -> Published:
    """Read a table of errors: what is needed of it for the data sets that are scored.

    A row is a data set, a corruption or ``clean``, a severity (nothing for the mean over all five, and for clean), and
    its ``error``, its ``balanced_error`` or both, as fractions. Lines that begin with # are skipped.

    Args:
        path: of the file, its name what tables call the baseline.
        corruptions: of each data set that is scored.
        chosen: the set that `corruption_set` names for each. A table that has all of them need not have the others, nor
            one that has the others these: their scores are undefined.

    Raises:
        UserError: it is not there, not such a table, or a cell is missing or stands there twice.
    """
    rows: dict[tuple[str, str, int | None], PublishedError] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            row = PublishedError.model_validate_strings({key: value for key, value in line.items() if value != ""})
        except ValidationError as wrong:
            raise UserError(f"{where}: {explain(wrong.errors()[0], PublishedError)}") from None
        key = row.dataset, row.corruption, row.severity
        if key in rows:
            raise UserError(f"{where}: {row.dataset}/{row.corruption} stands there twice at that severity")
        rows[key] = row
    names = {dataset: {CLEAN, *own, *(chosen or {}).get(dataset, ())} for dataset, own in corruptions.items()}
    known = {key: row for key, row in rows.items() if key[1] in names.get(key[0], ())}
    kinds = [kind for kind in KINDS if any(getattr(row, kind) is not None for row in known.values())] or KINDS[:1]
    holes = []
    for dataset, own in corruptions.items():
        of_dataset = {c: list(_holes(rows, dataset, c, kinds)) for c in names[dataset]}
        of_set = (chosen or {}).get(dataset, ())
        enough = of_set if of_set and not any(of_dataset[c] for c in of_set) else own
        holes += [hole for c in (CLEAN, *enough) for hole in of_dataset[c]]
        known = {key: row for key, row in known.items() if key[0] != dataset or not of_dataset[key[1]]}
    if holes:
        more = f" and {len(holes) - 5} more" if len(holes) > 5 else ""
        raise UserError(
            f"{path} has no {' and '.join(kinds)} of {', '.join(holes[:5])}{more}, which"
            f" {'are' if holes[1:] else 'is'} scored; add the row, or leave that data set out"
        )
    return Published(title=path.stem, errors=tuple(known.values()))


def _holes(
    rows: Mapping[tuple[str, str, int | None], PublishedError], dataset: str, corruption: str, kinds: Sequence[str]
) -> Iterator[str]:
    """Yield the rows of a corruption that are missing, or lack one of the kinds of errors."""
    for severity in _severities(rows, dataset, corruption):
        if any(getattr(rows.get((dataset, corruption, severity)), kind, None) is None for kind in kinds):
            yield f"{dataset}/{corruption}" + ("" if severity is None else f" at severity {severity}")


def _severities(
    rows: Mapping[tuple[str, str, int | None], PublishedError], dataset: str, corruption: str
) -> list[int | None]:
    """Return the severities that a cell must have: all five if it has one of them, else the mean."""
    has_some = any((dataset, corruption, severity) in rows for severity in SEVERITIES)
    return list(SEVERITIES) if has_some and corruption != CLEAN else [None]


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file with their line numbers."""
    try:
        text = read_regular(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"no {path}, which benchmark.baseline names; it is a CSV file of published errors") from None
    except (OSError, UnicodeDecodeError) as broken:
        raise UserError(f"{path} can't be read: {broken}") from None
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    try:
        header, *rows = csv.reader([line for _, line in numbered], strict=True)
    except (csv.Error, ValueError):
        header, rows = [], [[]]
    if len(rows) != len(numbered) - 1:
        raise UserError(f"{path} is no CSV table with the columns {', '.join(COLUMNS)}") from None
    names = [name.strip() for name in header]
    if missing := [name for name in COLUMNS[:3] if name not in names]:
        raise UserError(f"{path} lacks the column {missing[0]}; have {', '.join(COLUMNS)}")
    lines = []
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        if len(row) != len(names):
            raise UserError(f"{path}, line {number} has {len(row)} fields, and the header {len(names)}")
        lines.append((number, dict(zip(names, map(str.strip, row), strict=True))))
    return lines


def with_published(cube: xr.Dataset, published: Published) -> xr.Dataset:
    """Return `cube` with the baseline's errors: ``base_error``, ``base_clean_error`` and the same of balanced ones.

    They have the dimensions dataset, corruption and severity, and are NaN where the table has none.
    """
    shape = tuple(cube.sizes[dim] for dim in ("dataset", "corruption", "severity"))
    positions = [{name: k for k, name in enumerate(cube[dim].values.tolist())} for dim in ("dataset", "corruption")]
    for kind in KINDS:
        errors, clean = np.full(shape, np.nan), np.full(shape[:1], np.nan)
        for row in published.errors:
            value, dataset, corruption = getattr(row, kind), positions[0][row.dataset], positions[1].get(row.corruption)
            if value is None:
                continue
            if corruption is None:
                clean[dataset] = value
            else:
                errors[dataset, corruption, slice(None) if row.severity is None else row.severity - 1] = value
        cube[f"base_{kind}"] = ("dataset", "corruption", "severity"), errors
        cube[f"base_clean_{kind}"] = ("dataset",), clean
    return cube
