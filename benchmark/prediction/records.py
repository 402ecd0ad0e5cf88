"""What a model's logits were made with: record.json beside them. Needs no torch and knows no model family."""

from __future__ import annotations

from benchmark.data.prompts import ClosedSet, Prompts
from benchmark.tuning.records import ProbeSummary, TuningSummary
from pipeline.io.records import Record, read_record
from pipeline.workspace.paths import Workspace


class FileDescription(Record):
    """A file that a model was made from.

    Attributes:
        name: of the file.
        sha256: of the whole file.
        repo: Hub repository, ``owner/name``; None for a local file.
        revision: commit of `repo`.
        origin: where it comes from, if that is not the Hub.
    """

    name: str
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None
    origin: str | None = None


class ModelDescription(Record):
    """What is known of a model; `benchmark.models.record` says what each field is.

    `name` is what params.yaml calls it, `title` what tables call it, and `preprocessing` says in words what happens
    between uint8 pixels and its input.
    """

    name: str
    title: str
    family: str
    architecture: str
    files: tuple[FileDescription, ...]
    context_length: int
    embedding: int
    preprocessing: str
    licence: str
    citation: str
    sources: tuple[str, ...] = ()
    base: str | None = None
    notes: str = ""


class PredictionRecord(Record):
    """data/predictions/<model>/record.json.

    Attributes:
        model: what is known of the model.
        base: of a model that was tuned here, the model that it was tuned from.
        logit_scale: what cosines were multiplied by; 1 for a model whose logits are no cosines.
        logit_bias: what was added then.
        prompts: by data set, the sentences of its classes.
        tuning: of a model that was tuned here, what tune.json says.
        probe: of a probe that was fitted here, what probe.json says.
        weights_sha256: checksum of the image tower; every npz of logits names it as ``weights``.
        versions: by package, and of Python.
        device: ``cpu`` or ``cuda``.
    """

    model: ModelDescription
    base: str | None
    logit_scale: float
    logit_bias: float = 0.0
    prompts: dict[str, ClosedSet | Prompts]
    tuning: TuningSummary | None
    probe: ProbeSummary | None = None
    weights_sha256: str
    versions: dict[str, str]
    device: str

    @classmethod
    def read(cls, workspace: Workspace, model: str) -> PredictionRecord:
        """Read the record of a model's logits; UserError if it is not there or not whole."""
        remedy = f"run `python -m benchmark.predict --model {model}`"
        return read_record(workspace.prediction_record(model), cls, remedy=remedy)
