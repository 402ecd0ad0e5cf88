"""The section ``benchmark`` of params.yaml: what is trained, tuned, probed and scored, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from corruptions.spec import CORRUPTIONS
from pipeline.config.grid import family
from pipeline.config.types import (
    Batch,
    Corruption,
    Count,
    Fraction,
    Line,
    ModelName,
    Positive,
    Rate,
    ReleasedSplit,
    Seed,
    WeightsName,
)
from pipeline.io.records import Record, explain
from pipeline.text import COMMIT

Protocol = Literal["own", "robustmedclip"]

PHANTOM_CLIP, PHANTOM_CLIP_VIT = PRETRAINED = ("phantom-clip", "phantom-clip-vit")
"""Names of the models that this project pre-trains."""

SCALES = [0.4, 0.5, 0.6, 0.7, 0.8, 1.0]
"""Default of `Tune.scales`; a list, because dvc.yaml names it and dvc.lock knows no tuples."""

ROBUSTMEDCLIP: dict[str, Any] = {
    "split": "val",
    "classes": "all",
    "epochs": 20,
    "batch": 256,
    "learning_rate": 1e-4,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "clip": 1e6,
    "dropout": 0.0,
    "validate_every": 1,
    "scales": [1.0],
    "rank": 16,
    "augment": False,
}
"""How RobustMedCLIP tunes, in the words of `TuningSettings`; alpha is the rank, so that LoRA's scaling is 1.

BioMedIA-MBZUAI/RobustMedCLIP at 5676e60: scripts/run_finetune_vit.sh, finetune.py and utils.py. `clip` is no limit.
"""


class Pretrain(Record):
    """Pre-training of each of `PRETRAINED`: AdamW on all data sets' ``pretrain`` images together."""

    epochs: Positive = 8
    batch: Batch = 64
    learning_rate: Rate = 2e-3
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.05
    seed: Seed = 1


class Tune(Record):
    """What all tuned models share.

    Attributes:
        split: clean images to tune on, ``train`` or (as the RobustMedCLIP paper does) ``val``.
        shots: images a class; 0 if `percent` says how many.
        percent: of each class's images, at least one a class; 0 if `shots` says how many.
        classes: text features in the loss: ``own`` of the image's data set, or ``all``.
        epochs, batch, learning_rate, weight_decay: of AdamW.
        warmup: fraction of all steps before the cosine.
        clip: largest norm of the gradient.
        alpha, dropout: of LoRA.
        validate_every: epochs between validations; the best of them is kept.
        scales: parts of the update that are validated after training, of which the best is kept; [1.0] keeps it all.
        strength: severities that corruption augmentation draws from, 1 to this.
        allow_overlap: go on where the same image is tuned on and scored, say, and count such pairs in tune.json.
    """

    split: Literal["train", "val"] = "train"
    shots: Count = 16
    percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    classes: Literal["own", "all"] = "own"
    epochs: Positive = 40
    batch: Batch = 32
    learning_rate: Rate = 3e-3
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.01
    warmup: Fraction = 0.1
    clip: Annotated[float, Field(ge=1e-9, le=1e6)] = 1.0
    alpha: Annotated[int, Field(ge=1, le=2**16)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validate_every: Positive = 4
    scales: Annotated[tuple[Annotated[float, Field(ge=1e-6, le=1)], ...], Field(min_length=1)] = tuple(SCALES)
    strength: Annotated[int, Field(ge=1, le=5)] = 5
    allow_overlap: bool = False

    @model_validator(mode="after")
    def _check_amount(self) -> Self:
        if (self.shots > 0) == (self.percent > 0):
            raise ValueError("takes either shots or percent; set the other one to 0")
        return self


class TuningSettings(Tune):
    """All settings of one LoRA-tuned model.

    Attributes:
        base: model that is tuned.
        rank: of LoRA.
        augment: whether it trains on the corruptions that are not held out.
        seed: of every draw.
    """

    base: str = PHANTOM_CLIP
    rank: Annotated[int, Field(ge=1, le=4096)] = 8
    augment: bool = True
    seed: Seed = 1


class Tuned(TuningSettings):
    """One LoRA-tuned model as params.yaml has it: what is not said here of `Tune` is what all tuned models share."""

    @model_validator(mode="after")
    def _check_amount(self) -> Self:
        return self  # checked once the shared settings are known

    def settings(self, shared: Tune, protocol: Protocol = "own") -> TuningSettings:
        """Return all settings of the model; ValueError if they do not go together.

        Under ``robustmedclip`` its way of tuning takes the place of `shared`, but for what the model itself says.
        """
        own = self.model_dump(exclude_unset=True)
        if own.keys() & {"shots", "percent"}:  # the one that is said here takes the place of the other one there
            own = {"shots": 0, "percent": 0.0} | own
        defaults = {name: getattr(self, name) for name in ("base", "rank", "augment", "seed")}
        if protocol == "robustmedclip":
            defaults |= ROBUSTMEDCLIP | {"alpha": own.get("rank", ROBUSTMEDCLIP["rank"])}
            defaults["scales"] = tuple(ROBUSTMEDCLIP["scales"])
        return TuningSettings(**{**shared.model_dump(), **defaults, **own})


class Checkpoint(Record):
    """A published RobustMedCLIP checkpoint.

    Attributes:
        model: record that it is an adapter of, ``robustmedclip`` or ``robustmedclip-resnet``.
        repo, file: Hub repository, and the path of model.pth in it.
        revision: commit of `repo`, 40 hexadecimal digits; None until somebody has chosen one.
    """

    model: Literal["robustmedclip", "robustmedclip-resnet"] = "robustmedclip"
    repo: Line
    file: Line
    revision: Annotated[str, Field(pattern=f"^{COMMIT}$")] | None = None


class Probe(Record):
    """A linear classifier on a model's frozen features, fitted on the shots that `Tune` says, each data set its own.

    Attributes:
        base: model whose features are taken, as params.yaml calls it.
        head: ``linear``, logistic regression, or ``means``, the nearest class mean.
        seed: of the draw of the shots.
    """

    base: str
    head: Literal["linear", "means"] = "linear"
    seed: Seed = 1


class Benchmark(Record):
    """The section ``benchmark``.

    Attributes:
        baseline: model that errors are divided by, or a .csv file with the published errors of one (docs/scores.md).
        models: models that are scored, in the report's order.
        split: split that is scored.
        protocol: ``own``, or ``robustmedclip``: views, prompts, class order and tuning of that paper's code
            (docs/reference.md).
        prompts: set of templates in `benchmark.data.prompts.TEMPLATES`.
        held_out: corruptions that no tuning may see; reported apart.
        collections: data sets by collection, averaged last; all of params.yaml's in one if not given.
        workspaces: folders of the collections whose data and manifests are not in this workspace, relative to it.
        bootstrap: samples for the intervals.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch: images of one forward pass when predicting.
        on_the_fly: predict on cells made in memory, with the same bytes, instead of reading files.
        weights: by model, the folder of its files if they are not to come from the Hub; or, for a name of one's own,
            which pinned model it is, as ``open_clip:ARCHITECTURE/TAG@COMMIT``.
        published: by model, the checkpoint that ``benchmark.paper`` brings and converts to its adapter.
        pretrain, tune: see there.
        tuned: see there; a setting that is a list multiplies out to one model a value, named ``<name>/<values>``, and
            <name> among `models` stands for them all.
        probes: by name, the probes that are scored as models.
    """

    baseline: str = PHANTOM_CLIP
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)] = (PHANTOM_CLIP,)
    split: ReleasedSplit = "test"
    protocol: Protocol = "own"
    prompts: Literal["single", "ensemble"] = "ensemble"
    held_out: tuple[Corruption, ...] = ()
    collections: dict[Line, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    workspaces: dict[Line, Line] = Field(default_factory=dict)
    bootstrap: Annotated[int, Field(ge=1, le=10**6)] = 1000
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch: Batch = 64
    on_the_fly: bool = False
    weights: dict[WeightsName, Line] = Field(default_factory=dict)
    published: dict[ModelName, Checkpoint] = Field(default_factory=dict)
    pretrain: Pretrain = Pretrain()
    tune: Tune = Tune()
    tuned: dict[ModelName, Tuned] = Field(default_factory=dict)
    probes: dict[ModelName, Probe] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.baseline not in self.models and not self.baseline.endswith(".csv"):
            grid = [name for name in self.tuned if family(name) == self.baseline]
            if grid:
                raise ValueError(f"the baseline {self.baseline!r} stands for {len(grid)} models; name one: {grid[0]}")
            raise ValueError(f"models lacks the baseline {self.baseline!r}, which mCE is divided by")
        for key, listed in (("models", self.models), ("tuned", self.tuned)):
            if len({name.lower() for name in listed}) < len(listed):
                raise ValueError(f"{key} names one twice")
        if self.tune.split == self.split and self.protocol == "own":
            raise ValueError(f"tune.split and benchmark.split are both {self.split!r}")
        return self

    @model_validator(mode="after")
    def _check_collections(self) -> Self:
        names = [name for group in self.collections.values() for name in group]
        if len(set(names)) < len(names):
            raise ValueError("collections names a data set twice")
        for collection in self.workspaces:
            if collection not in self.collections:
                raise ValueError(f"workspaces names {collection!r}; have {', '.join(self.collections) or 'none'}")
        return self

    @model_validator(mode="after")
    def _check_tuned(self) -> Self:
        bases = list(dict.fromkeys(tuned.base for tuned in self.tuned.values() if tuned.base not in self._tuned_names))
        for name, tuned in self.tuned.items():
            try:
                split = self.settings(name).split
            except ValidationError as wrong:
                raise ValueError(f"tuned.{name} {explain(wrong.errors()[0], TuningSettings)}") from None
            if split == self.split:
                raise ValueError(f"tuned.{name}.split and benchmark.split are both {split!r}")
            if tuned.base not in bases:
                raise ValueError(f"tuned.{name}.base is {tuned.base!r}, itself tuned; have {', '.join(bases)}")
        if any(self.settings(name).augment for name in self.tuned) and not self.trained:
            raise ValueError("held_out holds out every corruption, so there is none to augment with")
        return self

    @model_validator(mode="after")
    def _check_probes(self) -> Self:
        for name, probe in self.probes.items():
            for key, models in (("tuned", self._tuned_names), ("published", self.published), ("weights", self.weights)):
                if name in models:
                    raise ValueError(f"probes.{name} needs a name of its own: {key} has a model {name!r} too")
            if probe.base in self.probes.keys() | self._tuned_names:
                raise ValueError(f"probes.{name}.base is {probe.base!r}, and must be neither tuned nor a probe")
        return self

    @property
    def _tuned_names(self) -> set[str]:
        """Names of tuned models, and of the grids that they are points of."""
        return {*self.tuned, *map(family, self.tuned)}

    def settings(self, name: str) -> TuningSettings:
        """Return all settings of a model under `tuned`."""
        return self.tuned[name].settings(self.tune, self.protocol)

    def points(self, name: str) -> tuple[str, ...]:
        """Return the models that a name of params.yaml stands for: those of a grid, or the one of that name."""
        return tuple(model for model in self.tuned if name in (model, family(model))) or (name,)

    @property
    def templates(self) -> str:
        """Set of `benchmark.data.prompts.TEMPLATES` that models are scored with."""
        return self.prompts if self.protocol == "own" else "robustmedclip"

    @property
    def trained(self) -> tuple[str, ...]:
        """Corruptions that augmentation may draw from."""
        return tuple(name for name in CORRUPTIONS if name not in self.held_out)
