"""What training leaves in writing: tune.json, probe.json and pretrain.json. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field

from pipeline.config.benchmark import Pretrain, Probe, Protocol, TuningSettings
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from pipeline.io.records import Record, read_record
from pipeline.workspace.manifest import Sha256
from pipeline.workspace.paths import Workspace

TUNE_RECORD = "tune.json"
PRETRAIN_RECORD = "pretrain.json"
PROBE_RECORD = "probe.json"

HEADS = "probe.safetensors"
"""Of a probe: tensors ``weight.<dataset>`` float32 (K, D) and ``bias.<dataset>`` float32 (K,)."""

Accuracy = Annotated[float, Field(ge=0, le=1)]
S = TypeVar("S", bound="Summary")

TRAINING_VERSION = 1
"""Format version of what training makes of the same images and settings: raise it if its weights change.

It is part of the keys below, so that a new word in a docstring trains nothing anew.
"""


class EpochRecord(Record):
    """One epoch: its mean loss, and where it was validated the mean accuracy over data sets of the held images.

    Attributes:
        epoch: from 1.
        loss: mean cross entropy over the epoch's images.
        clean: accuracy on held images as they are.
        corrupted: accuracy on held images under the augmentation, for a model that is trained with it.
        validation: mean of the two, which the best epoch is chosen by.
    """

    epoch: int
    loss: float
    clean: Accuracy | None = None
    corrupted: Accuracy | None = None
    validation: Accuracy | None = None


class Summary(Record):
    """What the record of a model's predictions keeps of its training: `shots` is the number by data set."""

    shots: dict[str, int]
    chosen_on: str | None
    overlap: dict[str, int] = Field(default_factory=dict)


class TuningSummary(Summary):
    """What is kept of tune.json."""

    settings: TuningSettings
    corruptions: tuple[str, ...]
    best_epoch: int
    scale: float
    parameters: int

    def kept(self) -> str:
        """Return in words what was kept of the training, and on which images that was decided."""
        if self.chosen_on is None:
            return f"epoch {self.best_epoch}, the last, all of its update: no image was left to choose on"
        kept = f"epoch {self.best_epoch}, {self.scale:g} of its update, chosen on {self.chosen_on}"
        pairs = "".join(f"; {count} images are {uses}" for uses, count in self.overlap.items())
        return kept + (pairs or ", neither tuned on nor scored")


class ProbeSummary(Summary):
    """What is kept of probe.json."""

    probe: Probe
    split: str
    strengths: dict[str, float]


class WeightsRecord(Record):
    """What stands beside weights that were trained here.

    Attributes:
        key: checksum of all that the weights depend on.
        weights_sha256: of their file.
    """

    key: str
    weights_sha256: Sha256 | None = None

    @classmethod
    def saved(cls, path: Path, weights: Path, key: str) -> Self | None:
        """Return the record at `path` if it is of this `key` and of the file of `weights` as it is; else None."""
        try:
            record = read_record(path, cls, remedy="train anew")
            is_whole = record.key == key and record.weights_sha256 == file_checksum(weights)
        except (UserError, OSError):
            return None  # none yet, or damaged: it is made anew
        return record if is_whole else None


class ShotsRecord(WeightsRecord):
    """The same of weights that were trained on shots.

    Attributes:
        shots: by data set, the indices in its split of the images that were trained on.
        chosen_on: which images chose among what was trained, in words; None where none were left.
        held_images: how many images those are.
        overlap: where that is allowed, the pairs of equal images by what they are for, such as ``tuned on and scored``.
        device: ``cpu`` or ``cuda``.
    """

    shots: dict[str, tuple[int, ...]]
    chosen_on: str | None
    held_images: int
    overlap: dict[str, int] = Field(default_factory=dict)
    device: str

    def _summary(self, kind: type[S]) -> S:
        counts = {dataset: len(indices) for dataset, indices in self.shots.items()}
        kept = self.model_dump(include=set(kind.model_fields) - {"shots"})
        return kind.model_validate(kept | {"shots": counts})


class TuneRecord(ShotsRecord):
    """tune.json, beside the adapter that it describes; `chosen_on` chose the epoch and the scale.

    Without such images the last epoch and all of the update were kept.

    Attributes:
        base: model that was tuned, as params.yaml calls it.
        settings: all settings of this model; the shots are from its split.
        corruptions: those that augmentation drew from; none without augmentation.
        parameters: number of trained parameters.
        history: every epoch, in order.
        best_epoch: the epoch whose weights were kept.
        scales: validation accuracy by the part of LoRA's update that is kept; none where nothing was validated.
        scale: the part that was kept.
        protocol: of params.yaml.
    """

    base: str
    settings: TuningSettings
    corruptions: tuple[str, ...]
    parameters: int
    history: tuple[EpochRecord, ...]
    best_epoch: int
    scales: dict[float, Accuracy]
    scale: float
    protocol: Protocol = "own"

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self:
        """Read the record of the tuned model `name`; UserError if it is not there or not whole."""
        remedy = f"run `python -m benchmark.tune --model {name}`"
        return read_record(workspace.model(name) / TUNE_RECORD, cls, remedy=remedy)

    def summary(self) -> TuningSummary:
        """Return what the record of predictions keeps."""
        return self._summary(TuningSummary)


class ProbeRecord(ShotsRecord):
    """probe.json, beside the heads that it describes; `chosen_on` chose the strength.

    Attributes:
        probe: as params.yaml has it.
        split: that the shots are from.
        strengths: by data set, C of the logistic regression, or what squared distances to the means are multiplied by.
        accuracy: by data set, on the images that the strength was chosen on; none where none were left.
    """

    probe: Probe
    split: str
    strengths: dict[str, float]
    accuracy: dict[str, Accuracy]

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self:
        """Read the record of the probe `name`; UserError if it is not there or not whole."""
        remedy = f"run `python -m benchmark.probe --model {name}`"
        return read_record(workspace.model(name) / PROBE_RECORD, cls, remedy=remedy)

    def summary(self) -> ProbeSummary:
        """Return what the record of predictions keeps."""
        return self._summary(ProbeSummary)


class PretrainRecord(WeightsRecord):
    """pretrain.json, beside the checkpoint of phantom-clip or phantom-clip-vit.

    Attributes:
        images: number that it was trained on.
        parameters: number of both towers.
        pretest_accuracy: zero-shot accuracy by data set, on held images of the first acquisition domain.
        settings: of params.yaml.
    """

    images: int
    parameters: int
    pretest_accuracy: dict[str, Accuracy]
    settings: Pretrain


class PretrainSkipped(Record):
    """pretrain.json where params.yaml needs no such model: the reason, in words."""

    skipped: str
