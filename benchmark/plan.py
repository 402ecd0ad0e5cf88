"""The ``benchmark`` part of params.yaml, checked: which models, how they are trained, how they are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from corruptions import CORRUPTIONS
from pipeline import UserError
from pipeline.layout import RELEASED, Layout
from pipeline.settings import read_params

T = TypeVar("T")
DEVICES = ("auto", "cpu", "cuda")
SCALES = [0.4, 0.5, 0.6, 0.7, 0.8, 1.0]  # dvc.yaml names it, and a tuple never equals what dvc.lock has


@dataclass(frozen=True)
class Pretrain:
    """Pre-training of phantom-clip: AdamW on all data sets' ``pretrain`` images together."""

    epochs: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Tune:
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
    """

    split: str = "train"
    shots: int = 16
    percent: float = 0.0
    classes: str = "own"
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 1.0
    alpha: int = 16
    dropout: float = 0.0
    validate_every: int = 4
    scales: tuple[float, ...] = tuple(SCALES)
    strength: int = 5


@dataclass(frozen=True)
class Tuned:
    """One LoRA-tuned model: its base, the rank, whether it trains on the corruptions not held out, and its seed."""

    base: str = "phantom-clip"
    rank: int = 8
    augment: bool = True
    seed: int = 1


@dataclass(frozen=True)
class Plan:
    """The ``benchmark`` section.

    Attributes:
        baseline: model that errors are divided by.
        models: models that are scored, in the report's order.
        split: split that is scored.
        prompts: set of templates in `benchmark.prompts.TEMPLATES`.
        held_out: corruptions that no tuning may see; reported apart.
        collections: data sets by collection, averaged last; all of params.yaml's in one if not given.
        workspaces: folders of the collections whose data and manifests are not in this workspace, relative to it.
        bootstrap: samples for the intervals.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch: images of one forward pass when predicting.
        on_the_fly: predict on cells made in memory, with the same bytes, instead of reading files.
        weights: by model, the folder of its files if they are not to come from the Hub; or, for a name of one's own,
            which pinned model it is, as ``open_clip:ARCHITECTURE/TAG@COMMIT``.
        pretrain, tune, tuned: see there.
    """

    baseline: str = "phantom-clip"
    models: tuple[str, ...] = ("phantom-clip",)
    split: str = "test"
    prompts: str = "ensemble"
    held_out: tuple[str, ...] = ()
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workspaces: Mapping[str, str] = field(default_factory=dict)
    bootstrap: int = 1000
    device: str = "auto"
    batch: int = 64
    on_the_fly: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    pretrain: Pretrain = Pretrain()
    tune: Tune = Tune()
    tuned: Mapping[str, Tuned] = field(default_factory=dict)

    @property
    def trained(self) -> tuple[str, ...]:
        """Corruptions that augmentation may draw from."""
        return tuple(name for name in CORRUPTIONS if name not in self.held_out)

    def scored(self, datasets: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the collections, whose data sets are among `datasets`, params.yaml's, unless they lie elsewhere."""
        for collection, names in self.collections.items():
            for name in names:
                if collection not in self.workspaces and name not in datasets:
                    raise UserError(
                        f"params.yaml: benchmark.collections has {name!r} in {collection}, which is not among datasets"
                        f" ({', '.join(datasets)}); benchmark.workspaces says where a collection lies elsewhere"
                    )
        return dict(self.collections) or {"MediMeta-C": tuple(datasets)}

    def home(self, root: Path | str, dataset: str) -> Layout:
        """Return the workspace where the images and manifests of a scored data set are; `root` is this one."""
        elsewhere = [
            self.workspaces[c] for c, names in self.collections.items() if dataset in names and c in self.workspaces
        ]
        return Layout(Path(root, *elsewhere))


def plan(root: Path | str = ".") -> Plan:
    """Read the ``benchmark`` section of params.yaml in `root`; UserError says what is wrong and what could be there."""
    path, read = read_params(root)
    section = read.get("benchmark")
    if not isinstance(section, dict):
        raise UserError(f"{path} has no section `benchmark`")
    section = dict(section)
    section["pretrain"] = _take(Pretrain, section.get("pretrain", {}), "benchmark.pretrain")
    section["tune"] = _take(Tune, section.get("tune", {}), "benchmark.tune")
    tuned = section.get("tuned", {})
    if not isinstance(tuned, dict):
        raise UserError("params.yaml: benchmark.tuned must map names to settings")
    section["collections"] = _names(section.get("collections", {}))
    section["tuned"] = {name: _take(Tuned, tuned[name], f"benchmark.tuned.{name}") for name in tuned}
    made = _take(Plan, section, "benchmark")
    _check(made)
    return made


def _names(read: Any) -> dict[str, tuple[str, ...]]:
    every: list[Any] = []
    for names in read.values() if isinstance(read, dict) else [None]:
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise UserError("params.yaml: benchmark.collections must map names to lists of data sets")
        every += names
    if len(set(every)) < len(every):
        raise UserError("params.yaml: benchmark.collections names a data set twice")
    return {str(collection): tuple(names) for collection, names in read.items()}


def _take(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, dict):
        raise UserError(f"params.yaml: {where} must be a mapping, not {values!r}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"params.yaml: {where} has no {name!r}; have {', '.join(known)}")
    taken = {}
    for name, value in values.items():
        default = known[name].default
        if default is MISSING:
            default = {}
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(default):
            raise UserError(f"params.yaml: {where}.{name} must be like {default!r}, not {value!r}")
        taken[name] = value
    return kind(**taken)


def _check(made: Plan) -> None:
    choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("split", made.split, RELEASED),
        ("device", made.device, DEVICES),
        ("tune.split", made.tune.split, ("train", "val")),
        ("tune.classes", made.tune.classes, ("own", "all")),
        *(("held_out", name, CORRUPTIONS) for name in made.held_out),
        *(("workspaces", name, tuple(made.collections)) for name in made.workspaces),
        *((f"tuned.{name}.base", tuned.base, _bases(made)) for name, tuned in made.tuned.items()),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            raise UserError(f"params.yaml: benchmark.{name} is {value!r}; have {', '.join(allowed)}")
    if made.baseline not in made.models:
        raise UserError(f"params.yaml: benchmark.models lacks the baseline {made.baseline!r}, which mCE is divided by")
    if len(set(made.models)) < len(made.models):
        raise UserError("params.yaml: benchmark.models names one twice")
    if (made.tune.shots > 0) == (made.tune.percent > 0):
        raise UserError("params.yaml: benchmark.tune takes either shots or percent; set the other one to 0")
    if made.tune.split == made.split:
        raise UserError(f"params.yaml: benchmark.tune.split and benchmark.split are both {made.split!r}")
    if not made.tune.scales or not all(isinstance(s, int | float) and 0 < s <= 1 for s in made.tune.scales):
        raise UserError(f"params.yaml: benchmark.tune.scales are parts above 0 up to 1, not {list(made.tune.scales)}")
    if not 1 <= made.tune.strength <= 5:
        raise UserError(f"params.yaml: benchmark.tune.strength is a severity from 1 to 5, not {made.tune.strength}")
    for name, count in (("bootstrap", made.bootstrap), ("batch", made.batch), ("tune.epochs", made.tune.epochs)):
        if count < 1:
            raise UserError(f"params.yaml: benchmark.{name} must be at least 1, not {count}")
    if any(tuned.augment for tuned in made.tuned.values()) and not made.trained:
        raise UserError("params.yaml: benchmark.held_out holds out every corruption, so there is none to augment with")


def _bases(made: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tuned.base for tuned in made.tuned.values() if tuned.base not in made.tuned))
