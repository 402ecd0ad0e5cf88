"""What reports/scores.json holds, as types: everything about the scores that is not one number of one cell.

The numbers of the cells are in reports/scores.parquet; `benchmark.scoring.files` reads and writes both. An undefined
number is None.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from benchmark.prediction.records import PredictionRecord
from benchmark.scoring.metrics import Reliability, undefined
from pipeline.config.benchmark import Benchmark
from pipeline.io.records import Record
from pipeline.workspace import datasets
from pipeline.workspace.manifest import CleanManifest

Images = Literal["clean", "corrupted"]
"""Which cells of a data set: the clean one, or all corrupted ones together."""

ScoreName = Literal[
    "clean_error",
    "corrupted_error",
    "gap",
    "mce",
    "mce_pooled",
    "relative_mce",
    "relative_mce_pooled",
    "auroc_clean",
    "auroc_corrupted",
    "clean_ratio",
    "clean_balanced_error",
    "mbe",
    "mrbe",
    "ece_clean",
    "ece_corrupted",
    "mce_trained",
    "mce_held_out",
    "mce_pooled_trained",
    "mce_pooled_held_out",
    "mce_set",
    "relative_mce_set",
    "mbe_set",
    "mrbe_set",
]
"""A score of a model over all data sets; docs/scores.md has the formulas. Errors, gap, AUROC and ECE are in percent or
points, the others in percent of the baseline. Those of trained and held-out corruptions are there only if both groups
are, those of the set only if `corruption_set` of params.yaml names one."""


def _nine_digits(value: object) -> object:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(float(value), 9)


Number = Annotated[float | None, BeforeValidator(_nine_digits)]
"""A number to nine digits; None, and NaN where it is made, is undefined."""


class Estimate(Record):
    """A score, the ends of its 95 % interval, and the names of what is undefined and therefore not in its mean."""

    value: Number
    low: Number = None
    high: Number = None
    left_out: tuple[str, ...] = ()


Summary = dict[ScoreName, Estimate]


class Recall(Record):
    """Recall of one class, a fraction; over all corrupted cells together."""

    clean: Number
    corrupted: Number


class ReliabilityRecord(Record):
    """Equal-width bins of the top probability: their mean confidence, accuracy and number of images."""

    confidence: tuple[Number, ...]
    accuracy: tuple[Number, ...]
    images: tuple[int, ...]

    @classmethod
    def of(cls, curve: Reliability) -> ReliabilityRecord:
        """Return what is kept of a curve."""
        return cls(**{name: tuple(values.tolist()) for name, values in curve._asdict().items()})

    def curve(self) -> Reliability:
        """Return it as arrays, NaN for None."""
        confidence, accuracy = (np.array(values, np.float64) for values in (self.confidence, self.accuracy))
        return Reliability(confidence, accuracy, np.array(self.images))


class DatasetScores(Record):
    """One model on one data set, beyond the numbers of its cells.

    Attributes:
        recall: by class.
        confusion: number of images by label (row) and prediction, clean and summed over all corrupted cells.
        reliability: clean, and of all corrupted cells together.
    """

    recall: dict[str, Recall]
    confusion: dict[Images, tuple[tuple[int, ...], ...]]
    reliability: dict[Images, ReliabilityRecord]


class Accuracies(Record):
    """Accuracy as a fraction, clean and as the mean over corrupted cells."""

    clean: Number
    corrupted: Number


class LabelOrder(Record):
    """Accuracy of zero-shot logits in the right class order, and in RobustMedCLIP's (cards/*.yaml).

    `order` and `theirs` are None where the class names are not MedIMeta's own.
    """

    own: Accuracies
    theirs: Accuracies | None
    order: tuple[str, ...] | None


class ModelScores(Record):
    """One model.

    Attributes:
        prediction: what its logits were made with.
        summary: its scores over all collections.
        collections: the same of each collection alone, if there are several.
        datasets: by data set.
        label_order: by data set; empty for models that were tuned here.
    """

    prediction: PredictionRecord
    summary: Summary
    collections: dict[str, Summary]
    datasets: dict[str, DatasetScores]
    label_order: dict[str, LabelOrder]


class Comparison(Record):
    """Accuracy of the first minus the second model, in points, with its interval; docs/scores.md says how.

    `p_holm` is `p` corrected for the number of comparisons.
    """

    first: str
    second: str
    images: Images
    difference: Number
    low: Number
    high: Number
    p: Number
    p_holm: Number


class ScoredDataset(Record):
    """The scored split of a data set: where it is from, its classes and corruptions, and its file's checksums.

    `corruptions` has all of them; `extended` those that were built beside the seven, which are in no score but those of
    the set, and `chosen` that set. `undefined` has the metrics that say nothing about it, each with the reason.
    """

    source: str
    seed: int | None
    class_names: tuple[str, ...]
    native_channels: int
    modality: str
    corruptions: tuple[str, ...]
    extended: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    count: int
    images: str
    labels: str
    per_class: tuple[int, ...]
    undefined: dict[str, str]

    @classmethod
    def of(
        cls,
        clean: CleanManifest,
        split: str,
        per_class: tuple[int, ...],
        *,
        corruptions: tuple[str, ...],
        extended: tuple[str, ...] = (),
        chosen: tuple[str, ...] = (),
    ) -> ScoredDataset:
        """Return what is kept of a data set's manifest; `per_class` has the number of images of each class."""
        entry = clean.split(split)
        return cls(
            source=clean.source,
            seed=clean.seed,
            class_names=clean.class_names,
            native_channels=clean.native_channels,
            modality=datasets.modality(clean.dataset, clean.source),
            corruptions=corruptions,
            extended=extended,
            chosen=chosen,
            count=entry.count,
            images=entry.images,
            labels=entry.labels,
            per_class=per_class,
            undefined=undefined(clean.class_names, per_class),
        )


class Setting(Record):
    """How a model was tuned.

    `name` is the first model's that was tuned alike but for the seed, or its own; a point of a grid goes by its name
    without the seed. `seed` is none where it was not tuned here.
    """

    name: str
    seed: int | None


def settings_of(plan: Benchmark) -> dict[str, Setting]:
    """Return how each scored model was tuned."""
    first: dict[str, str] = {}
    settings = {}
    for model in plan.models:
        tuned = plan.tuned.get(model)
        alike = model if tuned is None else tuned.model_copy(update={"seed": 0}).model_dump_json()
        name = model if tuned is None or "/" not in model else model.removesuffix(f"-seed{tuned.seed}")
        settings[model] = Setting(name=first.setdefault(alike, name), seed=None if tuned is None else tuned.seed)
    return settings


class PublishedError(Record):
    """A published error of a baseline, as a fraction: of clean images, or of a corruption.

    `severity` is None for clean images, and for the mean over all severities.
    """

    dataset: str
    corruption: str
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    error: Annotated[float, Field(ge=0, le=1)] | None = None
    balanced_error: Annotated[float, Field(ge=0, le=1)] | None = None


class Published(Record):
    """A baseline by its published numbers: its name in tables, and its errors on what is scored."""

    title: str
    errors: tuple[PublishedError, ...]


class Intervals(Record):
    """How the intervals were made."""

    kind: str
    level: float
    samples: int


class Grid(Record):
    """What is scored; every mapping keeps the order of params.yaml.

    Attributes:
        baseline: model that errors are divided by, or the file that `published` was read from.
        published: the baseline's errors, if it is no model that was scored.
        settings: by model, in the report's order.
        datasets: by name, in the order of their collections.
        collections: data sets by collection, averaged last.
        trained: corruptions that a tuning may have seen.
        held_out: corruptions that none has.
        split: that is scored.
    """

    baseline: str
    published: Published | None = None
    settings: dict[str, Setting]
    datasets: dict[str, ScoredDataset]
    collections: dict[str, tuple[str, ...]]
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    split: str

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Corruptions of any data set."""
        return tuple(dict.fromkeys(name for dataset in self.datasets.values() for name in dataset.corruptions))


class ScoresRecord(Grid):
    """All of reports/scores.json.

    Attributes:
        models: by name.
        comparisons: every two models, on clean and on corrupted images.
        intervals: how all intervals were made.
        build: checksum over the manifests of all that was scored.
    """

    models: dict[str, ModelScores]
    comparisons: tuple[Comparison, ...]
    intervals: Intervals
    build: str
