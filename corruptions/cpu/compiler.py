"""How the CPU kernels are compiled: by Numba, without the GIL, and kept on disk for the next process."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

COMPILES = not numba.config.DISABLE_JIT
"""Whether kernels are compiled; under NUMBA_DISABLE_JIT=1 they run as slow Python and give the same bytes."""


_Function = TypeVar("_Function", bound=Callable[..., Any])


def njit(function: _Function) -> _Function:
    """Compile `function` on its first call, to run with the GIL released; reuse what an earlier process compiled.

    Numba keeps compiled code in NUMBA_CACHE_DIR, beside the source or in the user's cache folder. Where none of them
    can be written, as in a read-only container without a home, warn once and compile anew in every process.
    """
    if not COMPILES:
        # Compiled integers wrap in silence, as philox needs them to; NumPy's scalars would warn.
        return np.errstate(over="ignore")(function)
    compiled: Any = numba.njit(nogil=True)(function)
    try:
        compiled.enable_caching()
    except RuntimeError:  # Numba's word for: no folder for the cache
        _warn_of_no_cache()
    result: _Function = compiled
    return result


@functools.cache
def _warn_of_no_cache() -> None:
    warnings.warn(
        "Numba finds no folder that it can write its cache to, so every process compiles the corruption kernels anew"
        " (some seconds each); set NUMBA_CACHE_DIR to a folder that you can write to",
        RuntimeWarning,
        stacklevel=3,
    )
