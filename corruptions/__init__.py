"""The seven corruptions of MediMeta-C: arrays in, arrays out; no disk, no data set, no model.

Images are uint8 (N, H, W, C), values 0 to 255, with C = 1 or 3 and H, W >= 2. The same bytes come out on every
machine and backend, in every batch size and order: see docs/corruptions.md for the definitions.

A backend is the module ``corruptions.<backend>``. It has one function per kernel of the table, with the kernel's name:
``kernel(images, **parameters)``, or ``kernel(images, draw, **parameters)`` for a kernel listed in `table.DRAWS`
(``draw`` is uint16 uniforms of the images' shape, or uint8 angles (N,)). Where the severities of an image share work
other than the draw, it has ``<kernel>_sweep`` too, which takes a list of each parameter and returns a list of results.
A backend whose functions work on other arrays than NumPy's has two more: ``take(array, device)`` brings images and
draws to it, once for all severities, and ``give(array)`` brings a result back. It raises `BackendUnavailable` from
``take`` or on import.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corruptions import draws
from corruptions.table import BYTES_VERSION, COLUMNS, DRAWS, IMAGENET_C, MODALITY

if TYPE_CHECKING:
    from corruptions.augment import Augment as Augment

__version__ = "1.0.0"

__all__ = [
    "BACKENDS",
    "BYTES_VERSION",
    "CORRUPTIONS",
    "PROFILES",
    "SEVERITIES",
    "BackendUnavailable",
    "Strength",
    "corrupt",
    "strength",
    "sweep",
]

CORRUPTIONS = tuple(IMAGENET_C)
PROFILES = ("imagenet-c", "modality")
SEVERITIES = (1, 2, 3, 4, 5)
BACKENDS = ("cpu", "gpu", "literature")

Images = NDArray[np.uint8]
Indices = draws.Indices


class BackendUnavailable(RuntimeError):
    """A backend was asked for whose packages or device are not there; the message says what to install."""


class Strength(NamedTuple):
    """One cell of the table: the kernel's name, its parameters (units in `table`) and the source of the numbers."""

    kernel: str
    parameters: dict[str, Any]
    source: str


def strength(name: str, severity: int, *, profile: str = "imagenet-c", column: str | None = None) -> Strength:
    """Look up corruption `name` at `severity` (1 to 5).

    `column` names the data set whose column of the profile ``modality`` is taken; ``imagenet-c`` has one column
    for all. Raise ValueError for a name, severity, profile or column that the table does not have.
    """
    is_severity = isinstance(severity, int | np.integer) and not isinstance(severity, bool) and severity in SEVERITIES
    if name not in CORRUPTIONS or not is_severity:
        raise ValueError(f"no corruption {name!r} at severity {severity!r}; have {', '.join(CORRUPTIONS)} at 1..5")
    if profile not in PROFILES:
        raise ValueError(f"no profile {profile!r}; have {', '.join(PROFILES)}")
    row: Any = IMAGENET_C[name]
    if profile == "modality":
        if column not in COLUMNS:
            raise ValueError(
                f"profile 'modality' has no column for data set {column!r}; have {', '.join(COLUMNS)}"
                " (a data set of your own says which of them it takes)"
            )
        columns: Any = MODALITY[name]
        row = IMAGENET_C[name] if columns == "imagenet-c" else columns[COLUMNS[column]]
    parameters = {k: v[severity - 1] for k, v in row.items() if k not in ("kernel", "source")}
    return Strength(row["kernel"], parameters, row["source"])


def corrupt(
    images: Images,
    name: str,
    severity: int,
    *,
    dataset: str,
    split: str,
    indices: Indices | None = None,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    backend: str = "cpu",
    device: str | None = None,
) -> Images:
    """Corrupt a batch of images at one severity.

    Args:
        images: uint8 (N, H, W, C), C = 1 or 3, H and W >= 2; read-only and strided arrays are fine, and left untouched.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        dataset: the data set's name, ASCII; with `name`, `split` and `seed` the key of the draws.
        split: ``train``, ``val`` or ``test``.
        seed: any integer.
        indices: position of each image in its split, 0 to 2^32 - 1; 0..N-1 if not given.
        profile: one of `PROFILES`.
        column: the data set whose column of the profile ``modality`` is taken, if not `dataset`'s own.
        backend: one of `BACKENDS`; ``cpu`` and ``gpu`` agree bit for bit.
        device: where the backend ``gpu`` works, in torch's words (``cuda:1``, ``cpu``); its own choice if not given.

    Returns:
        A new C-contiguous uint8 array of the same shape.

    Raises:
        TypeError: `images` is not a uint8 array.
        ValueError: an argument is outside what is listed above; the message names the choices.
        BackendUnavailable: the backend's packages or device are missing.
    """
    call = _Call(images, name, dataset, split, indices, seed, backend, device)
    return call.at(strength(name, severity, profile=profile, column=dataset if column is None else column))


def sweep(
    images: Images,
    name: str,
    *,
    dataset: str,
    split: str,
    indices: Indices | None = None,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    backend: str = "cpu",
    device: str | None = None,
) -> Iterator[tuple[int, Images]]:
    """Yield (severity, corrupted images) for severities 1 to 5, with one draw for all; arguments as in `corrupt`."""
    column = dataset if column is None else column
    strengths = [strength(name, severity, profile=profile, column=column) for severity in SEVERITIES]
    call = _Call(images, name, dataset, split, indices, seed, backend, device)
    return zip(SEVERITIES, call.all_of(strengths), strict=True)


class _Call:
    """Validated arguments of one call, and the draw that its severities share."""

    def __init__(
        self,
        images: Images,
        name: str,
        dataset: str,
        split: str,
        indices: Indices | None,
        seed: int,
        backend: str,
        device: str | None,
    ) -> None:
        self.images = _checked(images)
        if not dataset.isascii():
            raise ValueError(f"a data set's name is ASCII text, not {dataset!r}")
        if split not in ("train", "val", "test"):
            raise ValueError(f"no split {split!r}; have train, val, test")
        self.indices = _checked_indices(indices, len(self.images))
        self.key = draws.key(seed, dataset, split, name)
        self.backend = _load(backend)
        self._take: Callable[[Any, str | None], Any] = getattr(self.backend, "take", _as_it_is)
        self._give: Callable[[Any], Images] = getattr(self.backend, "give", _as_it_is)
        if device is not None and self._take is _as_it_is:
            raise ValueError(
                f"backend {backend!r} has no devices to choose from, so device must be None, not {device!r}"
            )
        self.device = device
        self._taken = self._take(self.images, device)
        self._drawn: Any = None

    def at(self, chosen: Strength) -> Images:
        kernel = getattr(self.backend, chosen.kernel, None)
        if kernel is None:
            raise NotImplementedError(f"{self.backend.__name__} has no kernel {chosen.kernel!r}, which the table names")
        return self._give(kernel(self._taken, *self._drawn_for(chosen.kernel), **chosen.parameters))

    def all_of(self, strengths: list[Strength]) -> Iterator[Images]:
        """Give the result of each strength, all of one kernel."""
        kernel = strengths[0].kernel
        together = getattr(self.backend, f"{kernel}_sweep", None)
        if together is None:
            return map(self.at, strengths)
        parameters = {key: [chosen.parameters[key] for chosen in strengths] for key in strengths[0].parameters}
        return map(self._give, together(self._taken, *self._drawn_for(kernel), **parameters))

    def _drawn_for(self, kernel: str) -> list[Any]:
        """Return what the kernel takes beside images and parameters, on the device: one array or none."""
        kind = DRAWS.get(kernel)
        if kind is not None and self._drawn is None:
            self._drawn = self._take(self._draw(kind), self.device)
        return [] if kind is None else [self._drawn]

    def _draw(self, kind: str) -> Any:
        if kind == "angles":
            return draws.angles(self.key, self.indices)
        shape = self.images.shape
        return draws.uniforms(self.key, self.indices, shape[1] * shape[2] * shape[3]).reshape(shape)


def _as_it_is(array: Any, device: str | None = None) -> Any:
    return array


def _load(backend: str) -> ModuleType:
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}; have {', '.join(BACKENDS)}")
    return importlib.import_module(f"corruptions.{backend}")


def _checked(images: Images) -> Images:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = f"{images.dtype} array" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be a uint8 array of shape (N, H, W, C), not a {kind}")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 2:
        raise ValueError(f"images must have shape (N, H, W, C) with C 1 or 3 and H, W >= 2, not {images.shape}")
    return np.ascontiguousarray(images)


def _checked_indices(indices: Indices | None, count: int) -> Any:
    checked = np.arange(count) if indices is None else np.asarray(indices)
    if checked.shape != (count,):
        raise ValueError(f"indices must be one per image: {count} images, indices of shape {checked.shape}")
    if count and (checked.dtype.kind not in "iu" or checked.min() < 0 or checked.max() >= 2**32):
        raise ValueError("indices must be integers from 0 to 2^32 - 1, positions in the split's clean.npz")
    return checked


def __getattr__(name: str) -> Any:
    # Augment needs torch, and generating on a CPU does not.
    if name == "Augment":
        return importlib.import_module("corruptions.augment").Augment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
