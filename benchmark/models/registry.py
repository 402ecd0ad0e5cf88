"""Find models: every module of `benchmark.models.families` has records, or reads a form of names; see there."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchmark.models import families
from benchmark.models.record import AdapterRecord, ModelRecord
from pipeline.errors import UserError

if TYPE_CHECKING:
    import torch

    from benchmark.models.generative import GenerativeModel
    from benchmark.models.model import Model


@cache
def _families() -> dict[str, ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(families.__path__)]
    return {name: importlib.import_module(f"{families.__name__}.{name}") for name in names}


def _families_of_names() -> list[ModuleType]:
    return [family for family in _families().values() if hasattr(family, "PREFIX")]


@cache
def records() -> dict[str, ModelRecord]:
    """Return the record of every model by name, in alphabetical order."""
    listed = [record for family in _families().values() for record in family.RECORDS]
    models = {record.name: record for record in listed if isinstance(record, ModelRecord)}
    adapters = {r.name: r.on(models[r.base]) for r in listed if isinstance(r, AdapterRecord)}
    assert len(models | adapters) == len(listed), "two models have one name"
    return dict(sorted((models | adapters).items()))


def prefixes() -> tuple[str, ...]:
    """Return what the names of models begin with that have no record here."""
    return tuple(family.PREFIX for family in _families_of_names())


def find_record(name: str, *, folder: Path | None = None, offline: bool = False) -> ModelRecord:
    """Return the record of a model.

    Args:
        name: one of `records`; ``open_clip:ARCHITECTURE/TAG@COMMIT``; or, on the Hub, ``hub:OWNER/NAME@COMMIT`` with
            the files of transformers, ``open_clip:hf-hub:OWNER/NAME@COMMIT`` with those of open_clip.
        folder: of the model's files; only the last three forms may need it.
        offline: never ask the network.

    Raises:
        UserError: there is no such model, or its commit is not pinned.
    """
    if name in records():
        return records()[name]
    for family in _families_of_names():
        if name.startswith(family.PREFIX):
            described: ModelRecord = family.describe(name, folder=folder, offline=offline)
            return described
    forms = [form for family in _families_of_names() for form in family.FORMS]
    raise UserError(f"no model {name!r}; have {', '.join([*records(), *forms])}")


def load(
    name: str | ModelRecord,
    *,
    weights_dir: Path | str | None = None,
    adapter: Path | str | None = None,
    device: torch.device | str = "cpu",
    random_init: bool = False,
    offline: bool = False,
) -> Model | GenerativeModel:
    """Make a model. The files of its record are those that were read, with their checksums.

    Args:
        name: as for `find_record`; or a record.
        weights_dir: a folder that holds the model's files under the names in its record; if not given they come from
            the Hub's cache, or from the Hub.
        adapter: a folder with a PEFT adapter for the image tower (``tune`` and ``robustmedclip`` write such), or for
            all of a generative model.
        device: where to put it.
        random_init: leave the weights as the architecture starts out with them, and read tokenizer files only.
        offline: never ask the network.

    Raises:
        UserError: no such model, a missing package, file or network, a wrong checksum, weights of another architecture.
    """
    from benchmark.models.components import adapters
    from benchmark.models.components.files import Files
    from benchmark.models.devices import parse_device
    from benchmark.models.generative import GenerativeModel, Generator
    from benchmark.models.model import Model, Towers

    device = parse_device(device) if isinstance(device, str) else device
    folder = None if weights_dir is None else Path(weights_dir)
    record = find_record(name, folder=folder, offline=offline) if isinstance(name, str) else name
    if record.base is not None and adapter is None and not random_init:
        raise UserError(f"{record.name} is {record.base} with an adapter: say which folder holds it (adapter=)")
    files = Files(record, folder=folder, offline=offline)
    built = _families()[record.family].build(record, files, random_init=random_init)
    record, base = record.changed(files=files.as_read()), record.base or record.name
    if isinstance(built, Towers) and built.preprocess is not None:
        record = record.changed(preprocessing=built.preprocess.settings)
    if isinstance(built, Generator):
        if adapter is not None:
            built = built._replace(network=adapters.attach(built.network, Path(adapter), base=base))
        return GenerativeModel(record, built, device=device)
    model = Model(record, built, device=device)
    if adapter is not None:
        model.image_tower = adapters.attach(model.image_tower, Path(adapter), base=base)
    return model
