"""The seven corruptions of MediMeta-C and an extended set beside them: arrays in, arrays out, nothing else.

Images are uint8 (N, H, W, C), levels 0 to 255, with C = 1 or 3 and H, W >= 2. The same bytes come out on every machine
and backend, in every batch size and order: docs/corruptions.md defines them. Importing this package loads NumPy alone;
a backend's own libraries are loaded by its first call, torch by `Augment`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from corruptions.api import corrupt, sweep
from corruptions.spec import (
    BACKENDS,
    CORRUPTIONS,
    EXTENDED,
    PROFILES,
    SEVERITIES,
    BackendUnavailable,
    Strength,
    strength,
)
from corruptions.table import BYTES_VERSION

if TYPE_CHECKING:
    from corruptions.augment import Augment as Augment

__version__ = "1.0.0"

__all__ = [
    "BACKENDS",
    "BYTES_VERSION",
    "CORRUPTIONS",
    "EXTENDED",
    "PROFILES",
    "SEVERITIES",
    "BackendUnavailable",
    "Strength",
    "corrupt",
    "strength",
    "sweep",
]


def __getattr__(name: str) -> Any:
    # Augment needs torch, which is slow to import and which the CPU backend does without.
    if name == "Augment":
        return importlib.import_module("corruptions.augment").Augment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "Augment"})
