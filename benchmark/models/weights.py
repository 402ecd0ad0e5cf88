"""Where a model's files come from, that they are the right ones, and that reading them runs nothing."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmark.models.extras import package
from benchmark.models.record import File, ModelError, Record

if TYPE_CHECKING:
    from benchmark.models.model import Model


class Files:
    """The files of one model: in a local folder if one is given, else in the Hub's cache or on the Hub."""

    def __init__(self, record: Record, *, folder: Path | None = None, offline: bool = False) -> None:
        self.record = record
        self.folder = folder
        self.offline = offline
        self._taken: dict[int, File] = {}

    def path(self, position: int = 0) -> Path:
        """Return where the record's file at `position` lies, fetched if need be, its checksum tested.

        Raise ModelError if it can't be had or its bytes are not the published ones.
        """
        file = self.record.files[position]
        path = self._local(file) if self.folder is not None or file.repo is None else self._cached(file)
        found = sha256(path)
        if file.sha256 not in (None, found):
            raise ModelError(f"{path} is not the published {file.name}: its SHA-256 is {found}, not {file.sha256}")
        name = path.name if path.name == file.otherwise else file.name
        self._taken[position] = replace(file, name=name, otherwise=None, sha256=found)
        return path

    def taken(self) -> tuple[File, ...]:
        """Return the record's files, each whose `path` was asked for with the name and SHA-256 that it was found by."""
        return tuple(self._taken.get(position, file) for position, file in enumerate(self.record.files))

    def _local(self, file: File) -> Path:
        source = f"{file.repo}@{file.revision}" if file.repo else file.url or "where it was made"
        if self.folder is None:
            raise ModelError(
                f"{self.record.name} has its {file.name} not on the Hub: get it from {source} and give its folder"
            )
        for name in filter(None, (file.name, file.otherwise)):
            if (self.folder / name).is_file():
                return self.folder / name
        raise ModelError(
            f"{self.record.name} needs {self.folder / file.name}, which is not there; it comes from {source}"
        )

    def _cached(self, file: File) -> Path:
        hub = package("huggingface_hub")
        errors = package("huggingface_hub.errors")
        names = [name for name in (file.name, file.otherwise) if name]
        words = package("huggingface_hub.utils.logging")
        before = words.get_verbosity()
        words.set_verbosity_error()  # else it tells of every try before the sentence below does
        problem: Exception | None = None
        tries = [(name, True) for name in names] + ([] if self.offline else [(name, False) for name in names])
        try:
            for name, cached in tries:
                try:
                    return Path(hub.hf_hub_download(file.repo, name, revision=file.revision, local_files_only=cached))
                except (OSError, errors.HTTPError) as error:
                    # no network or proxy, no such file, no permission: it is not to be had here
                    problem = error
                    if not cached and not isinstance(error, errors.RemoteEntryNotFoundError):
                        break  # whoever can't be asked for one file can't be asked for another
        finally:
            words.set_verbosity(before)
        raise ModelError(
            f"{self.record.name} needs {names[0]} of {file.repo}@{file.revision}, which is neither in the Hub's cache"
            f" nor to be had ({type(problem).__name__}); give a folder that holds it"
        ) from problem


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or a torch checkpoint by name, running nothing that the file says.

    A checkpoint's ``state_dict`` is taken if it has one, and the ``module.`` of distributed training is cut. Objects
    that are not tensors (arguments, optimizers) are read as inert stand-ins.

    Raise ModelError if the file is damaged or holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(package("safetensors.torch").load_file(path))
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        with torch.serialization.safe_globals([(_stand_in(name), name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # what torch never reads, such as a call of the operating system
        raise ModelError(f"{path} is damaged, or would run something to be read") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, _safetensors_error()) as error:
        # each reader has its own error for bytes that it can't read
        raise ModelError(f"{path} can't be read as weights: {str(error).splitlines()[0]}") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    tensors = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no tensors by name")
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; ModelError if it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, or not JSON
        raise ModelError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no names")
    return content


class _Inert:
    """Takes the place of an object whose class is not to be imported."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_in(name: str) -> type[_Inert]:
    return type(name.rpartition(".")[2], (_Inert,), {})


def _safetensors_error() -> type[Exception]:
    error: type[Exception] = package("safetensors").SafetensorError
    return error


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, of: str, but: Iterable[str] = ()) -> None:
    """Give `module` its weights.

    Args:
        module: what is filled; every tensor of its state dict must be among `tensors`, with the same shape.
        tensors: by the names of `module`'s state dict.
        of: what to call it in an error.
        but: endings of names that are left out on both sides, such as buffers that are computed.

    Raises:
        ModelError: a name is missing or left over, or a shape is another; the first three are named.
    """
    but = tuple(but)
    have = {name: value for name, value in tensors.items() if not name.endswith(but)} if but else dict(tensors)
    want = {n: v for n, v in module.state_dict().items() if not (but and n.endswith(but))}
    wrong = [f"{name} is missing" for name in want if name not in have]
    wrong += [f"{name} is left over" for name in have if name not in want]
    wrong += [
        f"{name} is {tuple(have[name].shape)} and not {tuple(value.shape)}"
        for name, value in want.items()
        if name in have and have[name].shape != value.shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(f"the weights are not those of {of}: {', '.join(wrong[:3])}{more}")
    module.load_state_dict(have, strict=False)


def put_adapter(model: Model, folder: Path) -> None:
    """Wrap a model's image tower with the PEFT adapter in `folder`, for scoring.

    Raise ModelError if it is not there, was made for another model, or doesn't fit.
    """
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(f"no adapter in {folder}: {name} is missing")
    peft = package("peft")
    config = peft.PeftConfig.from_pretrained(str(folder))
    own = model.record.base or model.record.name
    if config.base_model_name_or_path != own:
        raise ModelError(f"the adapter in {folder} is for {config.base_model_name_or_path}, not for {own}")
    try:
        wrapped = peft.PeftModel.from_pretrained(model.image_tower, str(folder), config=config)
    except (RuntimeError, ValueError) as error:
        # PEFT's own word for layers that are not there and shapes that differ
        raise ModelError(f"the adapter in {folder} doesn't fit {own}: {str(error).splitlines()[0]}") from error
    model.image_tower = wrapped.to(model.device).eval()
