"""What reports/scores.json holds, as types: everything about the scores that is not one number of one cell.

The numbers of the cells are in reports/scores.parquet; `benchmark.scoring.files` reads and writes both. An undefined
number is None.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from pipeline.io.records import Record

Images = Literal["clean", "corrupted"]
"""Which cells of a data set: the clean one, or all corrupted ones."""

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
]
"""A score of a model over all data sets; docs/scores.md has the formulas. Errors, gap, AUROC and ECE are in percent or
points, the others in percent of the baseline. The last four are there only if corruptions of both groups are."""


class Estimate(Record):
    """A score, the ends of its 95 % interval, and the names of what is undefined and therefore not in its mean."""

    value: float | None
    low: float | None = None
    high: float | None = None
    left_out: tuple[str, ...] = ()


Summary = dict[ScoreName, Estimate]


class Recall(Record):
    """Recall of one class, a fraction; over all corrupted cells together."""

    clean: float | None
    corrupted: float | None


class ReliabilityRecord(Record):
    """Equal-width bins of the top probability: their mean confidence, accuracy and number of images."""

    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    images: tuple[int, ...]


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

    clean: float
    corrupted: float


class LabelOrder(Record):
    """Accuracy of zero-shot logits in the right class order, and in RobustMedCLIP's (cards/*.yaml).

    `order` and `theirs` are None where the class names are not MedIMeta's own.
    """

    own: Accuracies
    theirs: Accuracies | None
    order: tuple[str, ...] | None


class PredictionRecord(Record):
    """What a model's logits were made with: its record, weights, prompts and versions."""

    model_config = ConfigDict(extra="allow")

    weights_sha256: str


class ModelScores(Record):
    """One model.

    Attributes:
        prediction: what its logits were made with.
        summary: its scores over all collections.
        collections: the same of each collection alone, if there are several.
        datasets: by data set.
        label_order: by data set; empty for models that were tuned here.
        setting: name of the first model of params.yaml that was tuned alike but for the seed; its own name if none was.
        seed: of its tuning; none if it was not tuned here.
    """

    prediction: PredictionRecord
    summary: Summary
    collections: dict[str, Summary]
    datasets: dict[str, DatasetScores]
    label_order: dict[str, LabelOrder]
    setting: str
    seed: int | None = None


class Comparison(Record):
    """Accuracy of the first minus the second model, in points, with its interval; docs/scores.md says how.

    `p_holm` is `p` corrected for the number of comparisons.
    """

    first: str
    second: str
    images: Images
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


class ScoredDataset(Record):
    """The scored split of a data set: where it is from, its classes, its modality, and its file's checksums."""

    source: str
    seed: int | None
    class_names: tuple[str, ...]
    native_channels: int
    modality: str
    corruptions: tuple[str, ...]
    count: int
    images: str
    labels: str
    per_class: tuple[int, ...]


class Intervals(Record):
    """How the intervals were made."""

    kind: str = "paired percentile bootstrap over images"
    level: float = 0.95
    samples: int


class ScoresRecord(Record):
    """All of reports/scores.json. Every mapping keeps the order of params.yaml.

    Attributes:
        baseline: model that errors are divided by.
        models: by name, in the report's order.
        datasets: by name, in the order of their collections.
        collections: data sets by collection, averaged last.
        corruptions: of any data set.
        held_out: corruptions that no tuning has seen.
        severities: 1 to 5.
        split: that was scored.
        comparisons: every two models, on clean and on corrupted images.
        undefined: by data set, why its AUROC is undefined.
        build: checksum over the manifests of all that was scored.
    """

    baseline: str
    models: dict[str, ModelScores]
    datasets: dict[str, ScoredDataset]
    collections: dict[str, tuple[str, ...]]
    corruptions: tuple[str, ...]
    held_out: tuple[str, ...]
    severities: tuple[int, ...]
    split: str
    intervals: Intervals
    comparisons: tuple[Comparison, ...]
    undefined: dict[str, str] = {}
    build: str
