"""How functions are compiled: by Numba, to run without the GIL, and kept on disk for the next process."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

COMPILES = not numba.config.DISABLE_JIT
"""Whether kernels are compiled. Under NUMBA_DISABLE_JIT=1 they run as slow Python and give the same bytes."""


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile `function` on its first call, to run with the GIL released; `options` are those of numba.njit.

    Numba keeps compiled code for the next process in NUMBA_CACHE_DIR, beside the source or in the user's cache folder.
    Where none of them can be written, as in a read-only container without a home, each process warns once and compiles.
    """
    if function is None:
        return functools.partial(njit, **options)
    if not COMPILES:
        # Compiled integers wrap silently, as Philox needs; NumPy's scalars would warn.
        return np.errstate(over="ignore")(function)
    return _cached(numba.njit, function, nogil=True, **options)


def vectorize(function: Callable[..., Any]) -> Any:
    """Compile `function` of scalars to a NumPy ufunc, kept on disk as by `njit`."""
    return _cached(numba.vectorize, function)


def _cached(decorator: Callable[..., Any], function: Callable[..., Any], **options: Any) -> Any:
    try:
        return decorator(cache=True, **options)(function)
    except RuntimeError:  # Numba has no folder that it can write to
        _warn_of_no_cache()
        return decorator(**options)(function)


@functools.cache
def _warn_of_no_cache() -> None:
    warnings.warn(
        "Numba has no folder that it can write its cache to, so each process spends seconds on compiling the kernels;"
        " set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )
