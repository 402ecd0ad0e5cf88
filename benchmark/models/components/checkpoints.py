"""Read weights without running anything that the file says, and give them to a module."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.models.components.files import one_line
from benchmark.models.components.packages import package
from pipeline.errors import UserError
from pipeline.io.regular import open_regular

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What weights are taken in; torch would copy integers, complex numbers and 8-bit floats too, without their scales."""

_DAMAGED = (OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError)
"""What torch raises for a checkpoint that was cut or edited, beside pickle's own error."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or a torch checkpoint by name, running nothing that the file says.

    A checkpoint's ``state_dict`` is taken if it has one, and the ``module.`` of distributed training is cut. Objects
    that are not tensors (arguments, optimizers) are read as inert stand-ins.

    Raises:
        UserError: the file is damaged or holds no tensors.
    """
    damaged: type[Exception] = package("safetensors").SafetensorError
    if path.suffix != ".safetensors" and _is_old(path):
        raise UserError(
            f"{path} is a checkpoint of torch before 1.6, which is not read; load it there and save it anew"
        )
    try:
        if path.suffix == ".safetensors":
            return dict(package("safetensors.torch").load_file(path))
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        with torch.serialization.safe_globals([(_stand_in(name), name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # what torch never reads, such as a call of the operating system
        raise UserError(f"{path} is damaged, or would run something to be read") from error
    except (*_DAMAGED, damaged) as error:
        # each reader has its own error for bytes that it can't read
        raise UserError(f"{path} can't be read as weights: {one_line(error)}") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    tensors = {
        name.removeprefix("module."): value
        for name, value in state.items()
        if isinstance(value, Tensor) and isinstance(name, str)
    }
    if not tensors:
        raise UserError(f"{path} holds no tensors by name")
    return tensors


def _is_old(path: Path) -> bool:
    """Return whether a file is a bare pickle, as torch wrote them before 1.6."""
    with open_regular(path) as handle:
        return handle.read(2) == b"\x80\x02"


class _Inert:
    """Takes the place of an object whose class is not to be imported."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_in(name: str) -> type[_Inert]:
    return type(name.rpartition(".")[2], (_Inert,), {})


def load_tensors(
    module: nn.Module, tensors: Mapping[str, Tensor], *, model: str, computed: tuple[str, ...] = ()
) -> None:
    """Give `module` its weights.

    Args:
        module: every tensor of its state dict must be among `tensors`, with the same shape.
        tensors: by the names of `module`'s state dict.
        model: what to call it in an error.
        computed: endings of names that are left out on both sides, such as buffers that are computed.

    Raises:
        UserError: a name is missing or left over, a shape or type is another, or a number is not finite; names the
            tensors.
    """
    loaded = {name: value for name, value in tensors.items() if not name.endswith(computed)}
    wanted = {name: value for name, value in module.state_dict().items() if not name.endswith(computed)}
    check_tensors(loaded, wanted, f"the weights are not those of {model}")
    check_finite(loaded, f"the weights of {model} are damaged")
    module.load_state_dict(loaded, strict=False)


def check_tensors(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], problem: str) -> None:
    """Raise UserError, which begins with `problem`, unless both have the same names, shapes and kinds of numbers."""
    check_names(
        missing=[name for name in wanted if name not in tensors],
        left_over=[name for name in tensors if name not in wanted],
        shapes=[
            (name, tensors[name].shape, value.shape)
            for name, value in wanted.items()
            if name in tensors and tensors[name].shape != value.shape
        ],
        problem=problem,
    )
    wrong = [name for name, value in wanted.items() if value.is_floating_point() and tensors[name].dtype not in _FLOATS]
    refuse([f"{name} is {tensors[name].dtype} and not {wanted[name].dtype}" for name in wrong], problem)


def check_names(
    *,
    missing: Iterable[str],
    left_over: Iterable[str],
    shapes: Iterable[tuple[str, torch.Size, torch.Size]] = (),
    problem: str,
) -> None:
    """Raise UserError, which begins with `problem`, if there are such names, or shapes and others that are wanted."""
    wrong = [f"{name} is missing" for name in missing] + [f"{name} is left over" for name in left_over]
    wrong += [f"{name} is {tuple(shape)} and not {tuple(wanted)}" for name, shape, wanted in shapes]
    refuse(wrong, problem)


def check_finite(tensors: Mapping[str, Tensor], problem: str) -> None:
    """Raise UserError, which begins with `problem`, if a number is NaN, infinite or packed: it gives no scores."""
    numbers = {name: t for name, t in tensors.items() if t.is_floating_point() or t.is_complex()}
    refuse(
        [f"{name} is {t.dtype}, which is not read" for name, t in numbers.items() if t.dtype not in _FLOATS], problem
    )
    refuse([f"{name} has NaN or infinite numbers" for name, t in numbers.items() if not t.isfinite().all()], problem)


def refuse(wrong: list[str], problem: str) -> None:
    """Raise UserError, which begins with `problem` and has the first three of what is `wrong`, if anything is."""
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{problem}: {', '.join(wrong[:3])}{more}")
