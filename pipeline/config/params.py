"""params.yaml as typed, validated models; the file itself explains each parameter.

An unknown or repeated key, a wrong type or a value out of range is one sentence that names the place and the choices,
for every stage and before any work.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import Field, model_validator

from corruptions.spec import CORRUPTIONS, EVERY, EXTENDED, strength
from corruptions.table import COLUMNS
from pipeline.config.benchmark import PRETRAINED, Benchmark
from pipeline.config.grid import GridError, multiply_all
from pipeline.config.types import (
    Column,
    CorruptionSet,
    DatasetName,
    Drawn,
    Line,
    Positive,
    Profile,
    Seed,
    SourceSplit,
)
from pipeline.errors import UserError
from pipeline.io.records import UNWRITABLE, Record, from_yaml, read_yaml
from pipeline.workspace.paths import Workspace

if TYPE_CHECKING:
    from pipeline.workspace.manifest import CleanManifest

Source = Literal["phantom", "medimeta", "medmnist", "imagefolder"]
SOURCES: tuple[str, ...] = get_args(Source)
Compression = Literal["stored", "deflated"]


class Splits(Record):
    """Released split to the split of the source that it is taken from."""

    val: SourceSplit
    test: SourceSplit


class Counts(Record):
    """Images that the phantom draws of each split of a data set."""

    train: Drawn
    val: Drawn
    test: Drawn
    pretrain: Drawn
    pretest: Drawn


class Hub(Record):
    """What the frozen stage publish compares with."""

    repo: Line = "ORG/MediMeta-C"


class Config(Record):
    """All of params.yaml.

    `corruption_set` says what is built beside the seven: nothing (``core``), all that there are (``extended``), or
    those of a list, which may be one for each data set.

    `allow_overlap` goes on where two splits of a data set share an image, or where one is tuned on and scored, says so
    and counts them in manifests, card and tune.json.
    """

    source: Source
    datasets: Annotated[tuple[DatasetName, ...], Field(min_length=1)]
    splits: Splits
    seed: Seed
    profile: Profile
    columns: dict[str, Column]
    channels: Literal["rgb", "native"]
    compression: Literal["stored", "deflated", "mixed"]
    counts: Counts
    limit: Positive | None
    sources: dict[DatasetName, Source] = Field(default_factory=dict)
    corruption_set: CorruptionSet = "core"
    allow_overlap: bool = False
    hub: Hub = Hub()
    benchmark: Benchmark = Benchmark()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({name.lower() for name in self.datasets}) < len(self.datasets):
            raise ValueError("datasets names one twice")
        for name in self.sources:
            if name not in self.datasets:
                raise ValueError(f"sources has {name!r}, which is not among datasets ({', '.join(self.datasets)})")
        for name in self.corruption_set if isinstance(self.corruption_set, Mapping) else ():
            if name not in self.datasets:
                have = ", ".join(self.datasets)
                raise ValueError(f"corruption_set has {name!r}, which is not among datasets ({have})")
        for name in self.datasets if self.profile == "modality" else ():
            if self.column(name) not in COLUMNS:
                raise ValueError(
                    f"profile modality has no column for {name}; add `columns: {{{name}: NAME}}`"
                    f" with NAME one of {', '.join(COLUMNS)}"
                )
        scored = self.benchmark.split
        for model in self.benchmark.tuned:
            split = self.benchmark.settings(model).split
            if self.source_split(split) == self.source_split(scored):
                raise ValueError(
                    f"splits takes {split} and {scored} both from the source's {self.source_split(scored)}:"
                    f" {model} would be tuned on the images that are scored"
                )
        for collection, names in self.benchmark.collections.items():
            for name in names:
                if collection not in self.benchmark.workspaces and name not in self.datasets:
                    raise ValueError(
                        f"benchmark.collections has {name!r} in {collection}, which is not among datasets"
                        f" ({', '.join(self.datasets)}); benchmark.workspaces says where a collection lies elsewhere"
                    )
        return self

    def column(self, dataset: str) -> str:
        """Return the data set whose column of the ``modality`` profile `dataset` takes."""
        return self.columns.get(dataset, dataset)

    def source_of(self, dataset: str) -> str:
        """Return the source of a data set: its own in `sources`, or the one of all others."""
        return self.sources.get(dataset, self.source)

    def datasets_of(self, source: str) -> tuple[str, ...]:
        """Return the data sets of a source; those of `source` are what is exported and published."""
        return tuple(name for name in self.datasets if self.source_of(name) == source)

    def chosen(self, dataset: str) -> tuple[str, ...]:
        """Return the corruptions that `corruption_set` names for a data set, in the table's order."""
        if isinstance(self.corruption_set, str):
            return EXTENDED if self.corruption_set == "extended" else ()
        by_dataset = self.corruption_set if isinstance(self.corruption_set, Mapping) else {dataset: self.corruption_set}
        return tuple(name for name in EVERY if name in by_dataset.get(dataset, ()))

    def extended(self, dataset: str) -> tuple[str, ...]:
        """Return the corruptions of a data set that are built beside the seven."""
        return tuple(name for name in self.chosen(dataset) if name in EXTENDED)

    def corruptions(self, dataset: str) -> tuple[str, ...]:
        """Return all corruptions that are built of a data set: the seven, then others in the table's order."""
        return (*CORRUPTIONS, *self.extended(dataset))

    def count(self, dataset: str, split: str) -> int | None:
        """Return how many images of a split of a data set's source are taken; None for all."""
        drawn = getattr(self.counts, split) if self.source_of(dataset) == "phantom" else None
        return min((n for n in (drawn, self.limit) if n is not None), default=None)

    def source_split(self, split: str) -> str:
        """Return the split of the source that a split of the benchmark is taken from."""
        return str(getattr(self.splits, split, split))

    def compression_of(self, corruption: str | None = None) -> Compression:
        """Return how the npz file of a corruption, or of the clean images, is written.

        Under ``mixed`` noise, which hardly gets smaller, is stored, and the rest deflated.
        """
        if self.compression != "mixed":
            return self.compression
        is_noise = corruption is not None and "uniforms" in strength(corruption, 1).draws
        return "stored" if is_noise else "deflated"

    @property
    def pretrained(self) -> tuple[str, ...]:
        """Models of `PRETRAINED` that are scored or tuned, and of which params.yaml names no folder with weights."""
        bases = {tuned.base for tuned in self.benchmark.tuned.values()}
        bases |= {probe.base for probe in self.benchmark.probes.values()}
        models = {*self.benchmark.models, *bases} - self.benchmark.weights.keys()
        return tuple(name for name in PRETRAINED if name in models)

    def check_dataset(self, dataset: str) -> None:
        """Raise UserError unless `dataset` is one of params.yaml's."""
        if dataset not in self.datasets:
            raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(self.datasets)}")

    @property
    def collections(self) -> Mapping[str, tuple[str, ...]]:
        """Data sets that are scored, by collection: by source, if params.yaml says nothing."""
        names = {"imagefolder": "own images", "medmnist": "MedMNIST+"}
        by_source: dict[str, tuple[str, ...]] = {}
        for dataset in self.datasets:
            name = names.get(self.source_of(dataset), "MediMeta-C")
            by_source[name] = (*by_source.get(name, ()), dataset)
        return self.benchmark.collections or by_source

    @property
    def scored_datasets(self) -> list[str]:
        """Data sets that are scored, in the order of their collections."""
        return [name for names in self.collections.values() for name in names]


def home(config: Config, workspace: Workspace, dataset: str) -> Workspace:
    """Return the workspace that holds the images and manifests of a scored data set; `workspace` is this one."""
    collection = next((name for name, names in config.benchmark.collections.items() if dataset in names), None)
    folder = config.benchmark.workspaces.get(collection or "")
    return workspace if folder is None else Workspace(workspace.root / folder)


def home_config(config: Config, workspace: Workspace, clean: CleanManifest) -> Config | None:
    """Return the params.yaml that a scored data set was built by; None if it was adopted or has none beside it."""
    source = home(config, workspace, clean.dataset)
    if clean.is_adopted or not source.params.is_file():
        return None
    return config if source is workspace else read_config(source)


def scored_corruptions(config: Config, workspace: Workspace, clean: CleanManifest) -> tuple[str, ...]:
    """Return the corruptions of a scored data set: its own if it was adopted, else those that were built of it."""
    if clean.corruptions is not None:
        return clean.corruptions
    built_by = home_config(config, workspace, clean)
    return CORRUPTIONS if built_by is None else built_by.corruptions(clean.dataset)


def read_config(workspace: Workspace) -> Config:
    """Read params.yaml.

    Raises:
        UserError: it is not there, not YAML, or has a key or value that it must not have.
    """
    path = workspace.params
    try:
        value = read_yaml(path, example="source: phantom", loader=_UniqueKeys)
    except FileNotFoundError:
        raise UserError(f"no {path}: run this in the project's folder, or name it with --root") from None
    try:
        if isinstance(benchmark := value.get("benchmark"), dict):
            value["benchmark"] = multiply_all(benchmark)
    except GridError as wrong:
        raise UserError(f"{path}: benchmark.{wrong}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} {UNWRITABLE}") from None
    return from_yaml(value, Config, where=path)


class _UniqueKeys(yaml.SafeLoader):
    """Reads YAML whose keys are text, each once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key, (mark, _) in zip(keys, node.value, strict=True):
            if not isinstance(key, str):
                raise yaml.YAMLError(f"line {mark.start_mark.line + 1}: the key {key!r} is no text; put it in quotes")
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {mark.start_mark.line + 1}: the key {key!r} stands there twice")
        return super().construct_mapping(node, deep)


_UniqueKeys.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+"), list("-+0123456789")
)
"""So that 1e-4 is a number, as in YAML 1.2, by which DVC reads the same file; PyYAML knows 1.1, where it is text."""
