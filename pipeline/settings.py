"""What params.yaml says, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import corruptions
from corruptions.table import COLUMNS, DRAWS
from pipeline import UserError
from pipeline.layout import PREPARED, RELEASED, checked_name
from pipeline.npz import COMPRESSIONS
from pipeline.sources import SOURCES

CHANNELS = ("rgb", "native")
MIXED = "mixed"
"""Of `compression`: noise, which hardly gets smaller, is stored, and the rest deflated."""


_YAML_FAILURES = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises beside its own errors: for impossible dates and numbers, unhashable keys and deep nesting."""


@dataclass(frozen=True)
class Settings:
    """The parameters of a build; params.yaml explains each."""

    source: str
    datasets: tuple[str, ...]
    splits: dict[str, str]
    seed: int
    profile: str
    columns: dict[str, str]
    channels: str
    compression: str
    counts: dict[str, int]
    limit: int | None

    def column(self, dataset: str) -> str:
        """Return the data set whose column of the ``modality`` profile `dataset` takes."""
        return self.columns.get(dataset, dataset)

    def compression_of(self, corruption: str | None = None) -> str:
        """Return how the npz of a corruption, or of the clean images, is written: one of npz.COMPRESSIONS."""
        if self.compression != MIXED:
            return self.compression
        is_noise = corruption is not None and DRAWS.get(corruptions.strength(corruption, 1).kernel) == "uniforms"
        return "stored" if is_noise else "deflated"

    def count(self, split: str) -> int | None:
        """Return how many images of a split of the source are taken; None for all."""
        drawn = self.counts[split] if self.source == "phantom" else None
        return min((n for n in (drawn, self.limit) if n is not None), default=None)


def read_params(root: Path | str = ".") -> tuple[Path, dict[str, Any]]:
    """Return the path of params.yaml in the workspace `root` and what it maps; UserError if it cannot be read."""
    path = Path(root) / "params.yaml"
    try:
        read = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"no {path}: run this in the project's folder, or name it with --root") from None
    except _YAML_FAILURES as broken:
        raise UserError(f"{path} is not YAML: {' '.join(str(broken).split())}") from None
    if not isinstance(read, dict):
        raise UserError(f"{path} must hold names and values, such as `source: phantom`")
    return path, read


def settings(root: Path | str = ".") -> Settings:
    """Read params.yaml in the workspace `root`; UserError says what is wrong and what could stand there."""
    path, read = read_params(root)
    names = Settings.__dataclass_fields__
    missing = [name for name in names if name not in read]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    values: dict[str, Any] = {name: read[name] for name in names}
    _check(values)
    return Settings(**{**values, "datasets": tuple(values["datasets"])})


def _check(values: dict[str, Any]) -> None:
    for name, choices in (
        ("source", SOURCES),
        ("profile", corruptions.PROFILES),
        ("channels", CHANNELS),
        ("compression", (*COMPRESSIONS, MIXED)),
    ):
        if values[name] not in choices:
            raise UserError(f"params.yaml: {name} is {values[name]!r}; have {', '.join(choices)}")
    datasets = values["datasets"]
    if not (isinstance(datasets, list) and datasets and all(isinstance(d, str) for d in datasets)):
        raise UserError(f"params.yaml: datasets must be a list of names, not {datasets!r}")
    for dataset in datasets:
        checked_name(dataset)
    if len({d.lower() for d in datasets}) < len(datasets):
        raise UserError("params.yaml: datasets names one twice")
    if not (isinstance(values["splits"], dict) and set(values["splits"]) == set(RELEASED)):
        raise UserError(f"params.yaml: splits must say where each of {', '.join(RELEASED)} is taken from")
    for split in values["splits"].values():
        if split not in ("train", "val", "test"):
            raise UserError(f"params.yaml: splits takes {split!r}; a source has train, val, test")
    if not _is_count(values["seed"]):
        raise UserError(f"params.yaml: seed must be a whole number from 0, not {values['seed']!r}")
    if not isinstance(values["columns"], dict):
        raise UserError("params.yaml: columns must be a mapping, such as `columns: {mydata: fundus}`")
    for dataset, column in values["columns"].items():
        if column not in tuple(COLUMNS):
            raise UserError(f"params.yaml: columns gives {dataset!r} to {column!r}; have {', '.join(COLUMNS)}")
    if values["profile"] == "modality":
        for dataset in datasets:
            if values["columns"].get(dataset, dataset) not in COLUMNS:
                raise UserError(
                    f"params.yaml: profile modality has no column for {dataset}; add `columns: {{{dataset}: NAME}}`"
                    f" with NAME one of {', '.join(COLUMNS)}"
                )
    counts = values["counts"]
    known = RELEASED + PREPARED
    if not isinstance(counts, dict) or set(counts) != set(known) or not all(map(_is_count, counts.values())):
        raise UserError(f"params.yaml: counts must give a whole number for each of {', '.join(known)}")
    if values["limit"] is not None and not (_is_count(values["limit"]) and values["limit"] > 0):
        raise UserError(f"params.yaml: limit must be a whole number from 1, or null, not {values['limit']!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
