"""What training leaves in writing: tune.json of a tuned model, pretrain.json of phantom-clip. Needs no torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from pipeline.config.benchmark import Pretrain, Probe, Protocol, TuningSettings
from pipeline.io.records import Record, read_record
from pipeline.workspace.manifest import Sha256
from pipeline.workspace.paths import Workspace

TUNE_RECORD = "tune.json"
PRETRAIN_RECORD = "pretrain.json"
PROBE_RECORD = "probe.json"

HEADS = "probe.safetensors"
"""Of a probe: tensors ``weight.<dataset>`` float32 (K, D) and ``bias.<dataset>`` float32 (K,)."""

Accuracy = Annotated[float, Field(ge=0, le=1)]


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


class TuningSummary(Record):
    """What the record of a tuned model's predictions keeps of tune.json: `shots` is the number by data set."""

    settings: TuningSettings
    corruptions: tuple[str, ...]
    best_epoch: int
    scale: float
    chosen_on: str | None
    overlap: dict[str, int] = Field(default_factory=dict)
    parameters: int
    shots: dict[str, int]

    def kept(self) -> str:
        """Return in words what was kept of the training, and on which images that was decided."""
        if self.chosen_on is None:
            return f"epoch {self.best_epoch}, the last, all of its update: no image was left to choose on"
        kept = f"epoch {self.best_epoch}, {self.scale:g} of its update, chosen on {self.chosen_on}"
        pairs = "".join(f"; {count} images are {uses}" for uses, count in self.overlap.items())
        return kept + (pairs or ", neither tuned on nor scored")


class TuneRecord(Record):
    """tune.json, beside the adapter that it describes.

    Attributes:
        base: model that was tuned, as params.yaml calls it.
        settings: all settings of this model.
        shots: by data set, the indices in ``settings.split`` of the images that were tuned on.
        corruptions: those that augmentation drew from; none without augmentation.
        parameters: number of trained parameters.
        history: every epoch, in order.
        best_epoch: the epoch whose weights were kept.
        scales: validation accuracy by the part of LoRA's update that is kept; none where nothing was validated.
        scale: the part that was kept.
        chosen_on: which images chose the epoch and the scale, in words; None where none were left, so that the last
            epoch and all of the update were kept.
        held_images: how many images those are.
        overlap: where that is allowed, the pairs of equal images by what they are for, such as ``tuned on and scored``.
        device: ``cpu`` or ``cuda``.
        protocol: of params.yaml.
        key: checksum of all that the weights depend on.
        weights_sha256: of the adapter's own file.
    """

    base: str
    settings: TuningSettings
    shots: dict[str, tuple[int, ...]]
    corruptions: tuple[str, ...]
    parameters: int
    history: tuple[EpochRecord, ...]
    best_epoch: int
    scales: dict[float, Accuracy]
    scale: float
    chosen_on: str | None
    held_images: int
    overlap: dict[str, int] = Field(default_factory=dict)
    device: str
    protocol: Protocol = "own"
    key: str
    weights_sha256: Sha256 | None = None

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self:
        """Read the record of the tuned model `name`; UserError if it is not there or not whole."""
        remedy = f"run `python -m benchmark.tune --model {name}`"
        return read_record(workspace.model(name) / TUNE_RECORD, cls, remedy=remedy)

    def summary(self) -> TuningSummary:
        """Return what the record of predictions keeps."""
        counts = {dataset: len(indices) for dataset, indices in self.shots.items()}
        kept = self.model_dump(include=set(TuningSummary.model_fields) - {"shots"})
        return TuningSummary.model_validate(kept | {"shots": counts})


class ProbeSummary(Record):
    """What the record of a probe's predictions keeps of probe.json: `shots` is the number by data set."""

    probe: Probe
    split: str
    shots: dict[str, int]
    strengths: dict[str, float]
    chosen_on: str | None
    overlap: dict[str, int] = Field(default_factory=dict)


class ProbeRecord(Record):
    """probe.json, beside the heads that it describes.

    Attributes:
        probe: as params.yaml has it.
        split: that the shots are from.
        shots: by data set, the indices in `split` of the images that the head was fitted on.
        strengths: by data set, C of the logistic regression, or what squared distances to the means are multiplied by.
        accuracy: by data set, on the images that the strength was chosen on; none where none were left.
        chosen_on: which images those are, in words; None where none were left.
        held_images: how many they are.
        overlap: as in `TuneRecord`.
        device: ``cpu`` or ``cuda``.
        key: checksum of all that the heads depend on.
        weights_sha256: of the file of the heads.
    """

    probe: Probe
    split: str
    shots: dict[str, tuple[int, ...]]
    strengths: dict[str, float]
    accuracy: dict[str, Accuracy]
    chosen_on: str | None
    held_images: int
    overlap: dict[str, int] = Field(default_factory=dict)
    device: str
    key: str
    weights_sha256: Sha256

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self:
        """Read the record of the probe `name`; UserError if it is not there or not whole."""
        remedy = f"run `python -m benchmark.probe --model {name}`"
        return read_record(workspace.model(name) / PROBE_RECORD, cls, remedy=remedy)

    def summary(self) -> ProbeSummary:
        """Return what the record of predictions keeps."""
        counts = {dataset: len(indices) for dataset, indices in self.shots.items()}
        kept = self.model_dump(include=set(ProbeSummary.model_fields) - {"shots"})
        return ProbeSummary.model_validate(kept | {"shots": counts})


class PretrainRecord(Record):
    """pretrain.json, beside phantom-clip's checkpoint.

    Attributes:
        images: number that it was trained on.
        parameters: number of both towers.
        pretest_accuracy: zero-shot accuracy by data set, on held images of the first acquisition domain.
        settings: of params.yaml.
        key: checksum of all that the weights depend on.
        weights_sha256: of the checkpoint.
    """

    images: int
    parameters: int
    pretest_accuracy: dict[str, Accuracy]
    settings: Pretrain
    key: str
    weights_sha256: Sha256


class PretrainSkipped(Record):
    """pretrain.json where params.yaml needs no phantom-clip: the reason, in words."""

    skipped: str
