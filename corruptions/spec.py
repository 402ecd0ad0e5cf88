"""What a corruption call is made of: the strength, the key of its random numbers, and the checks of every argument.

The backends import this module, never the package's own `__init__` or `api`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from corruptions.draws import PhiloxKey, philox_key
from corruptions.table import COLUMNS, EXTENDED_KERNELS, EXTENDED_STRENGTHS, KERNELS, STRENGTHS

_Rows = dict[str, dict[str, Any]]
_CORE, _EXTENDED = cast(tuple[_Rows, _Rows], (STRENGTHS, EXTENDED_STRENGTHS))
PROFILES: tuple[str, ...] = tuple(_CORE)
CORRUPTIONS: tuple[str, ...] = tuple(_CORE["imagenet-c"])
EXTENDED: tuple[str, ...] = tuple(_EXTENDED["imagenet-c"])
EVERY = (*CORRUPTIONS, *EXTENDED)
_ROWS = {profile: {**_CORE[profile], **_EXTENDED[profile]} for profile in PROFILES}
SEVERITIES = (1, 2, 3, 4, 5)
BACKENDS = ("cpu", "gpu", "literature")
SPLITS = ("train", "val", "test")

Images = NDArray[np.uint8]
"""A batch (N, H, W, C): levels 0 to 255, C = 1 or 3, H and W at least 2."""

Indices = Sequence[int] | NDArray[np.integer[Any]]
"""Position of each image in its split, 0 to 2^32 - 1."""


class BackendUnavailable(RuntimeError):
    """The backend's packages or device are missing; the message says what to install."""


class Strength(NamedTuple):
    """A corruption at one severity: the kernel, its parameters (units in `table`) and the source of the numbers."""

    kernel: str
    parameters: dict[str, Any]
    source: str

    @property
    def draws(self) -> tuple[str, ...]:
        """What the kernel draws, in the order of its arguments: names of `corruptions.table.KERNELS`, or nothing."""
        return tuple(_kernel_row(self.kernel)["draws"])

    @property
    def words(self) -> int:
        """How many random words the kernel draws for each image, if ``words`` is among its draws."""
        return int(_kernel_row(self.kernel)["words"])

    @property
    def identity(self) -> Strength:
        """The same kernel with parameters that leave the images as they are."""
        return self._replace(parameters=self.parameters | _kernel_row(self.kernel)["identity"])


def strength(name: str, severity: int, *, profile: str = "imagenet-c", column: str | None = None) -> Strength:
    """Look up corruption `name` at `severity` (1 to 5).

    `column` names the data set whose column of the profile ``modality`` is used; ``imagenet-c`` has one column for all.
    Raise ValueError for a name, severity, profile or column that the table does not have.
    """
    if name not in tuple(_ROWS["imagenet-c"]) or not _is_integer(severity) or severity not in SEVERITIES:
        have = f"have {', '.join(CORRUPTIONS)} at 1..5, and of the extended set {', '.join(EXTENDED)}"
        raise ValueError(f"no corruption {name!r} at severity {severity!r}; {have}")
    if profile not in PROFILES:
        raise ValueError(f"no profile {profile!r}; have {', '.join(PROFILES)}")
    row = _ROWS["imagenet-c"][name]
    if profile == "modality":
        if column not in tuple(COLUMNS):
            raise ValueError(
                f"profile 'modality' has no column for data set {column!r}; have {', '.join(COLUMNS)}"
                " (name one of them as the column of a data set of your own)"
            )
        columns = _ROWS["modality"][name]
        own = columns if columns == "imagenet-c" else columns[COLUMNS[column]]
        row = row if own == "imagenet-c" else own
    parameters = {key: values[severity - 1] for key, values in row.items() if key not in ("kernel", "source")}
    return Strength(row["kernel"], parameters, row["source"])


@dataclass(frozen=True, kw_only=True)
class DrawKey:
    """Which images are corrupted, and with which table: all that random numbers and strengths depend on but the name.

    Attributes:
        dataset: the data set's name, ASCII.
        split: one of `SPLITS`.
        seed: any integer, Python's or NumPy's.
        profile: one of `PROFILES`.
        column: the data set whose column of the profile ``modality`` is used, if not `dataset`'s own.

    Raises:
        TypeError: `seed` is not an integer; a bool is none.
        ValueError: another argument is outside what is listed above.
    """

    dataset: str
    split: str
    seed: int
    profile: str = "imagenet-c"
    column: str | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.dataset, str) and self.dataset.isascii()):
            raise ValueError(f"a data set's name must be ASCII text, not {self.dataset!r}")
        if self.split not in SPLITS:
            raise ValueError(f"no split {self.split!r}; have {', '.join(SPLITS)}")
        object.__setattr__(self, "seed", check_seed(self.seed))

    def strength(self, name: str, severity: int) -> Strength:
        """Look up corruption `name` at `severity` in the key's profile and column."""
        column = self.dataset if self.column is None else self.column
        return strength(name, severity, profile=self.profile, column=column)

    def philox(self, name: str) -> PhiloxKey:
        """Return the Philox key of corruption `name`; profile and column are not part of it."""
        return philox_key(self.seed, self.dataset, self.split, name)


def check_seed(seed: int) -> int:
    """Return `seed` as a Python integer; TypeError unless it is an integer, Python's or NumPy's."""
    if not _is_integer(seed):
        raise TypeError(f"seed must be an integer, not {seed!r} ({type(seed).__name__})")
    return int(seed)


def check_images(images: Images) -> Images:
    """Return `images` C-contiguous; TypeError unless uint8, ValueError unless (N, H, W, C) as in `Images`."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = f"{images.dtype} array" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be a uint8 array of shape (N, H, W, C), not a {kind}")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 2:
        raise ValueError(f"images must have shape (N, H, W, C) with C 1 or 3 and H, W >= 2, not {images.shape}")
    return np.ascontiguousarray(images)


def check_indices(indices: Indices | None, count: int) -> NDArray[np.uint32]:
    """Return the index of each of `count` images, 0..N-1 if none are given; ValueError for any that is no `Indices`."""
    checked = np.arange(count) if indices is None else np.asarray(indices)
    if checked.shape != (count,):
        raise ValueError(f"indices must be one per image: {count} images, indices of shape {checked.shape}")
    if count and (checked.dtype.kind not in "iu" or checked.min() < 0 or checked.max() >= 2**32):
        raise ValueError("indices must be integers from 0 to 2^32 - 1, positions in the split's clean.npz")
    return checked.astype(np.uint32)


def find_kernel(backend: str, name: str) -> Callable[..., Any]:
    """Return the function of kernel `name` in a backend; NotImplementedError if nobody has written it."""
    within = f"{backend}.{_kernel_row(name)['module']}"
    if name in EXTENDED_KERNELS:
        within = f"extended.{within}"
    elif backend == "literature":
        within = backend  # the seven's formulas are one module
    module = importlib.import_module(f"corruptions.{within}")
    kernel: Callable[..., Any] | None = getattr(module, name, None)
    if kernel is None:
        raise NotImplementedError(f"{module.__name__} has no kernel {name!r}, which the table names")
    return kernel


def _kernel_row(kernel: str) -> dict[str, Any]:
    row: Any = KERNELS.get(kernel) or EXTENDED_KERNELS.get(kernel)
    if row is None:
        raise NotImplementedError(f"KERNELS in corruptions/table.py has no kernel {kernel!r}, which a row names")
    return dict(row)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
