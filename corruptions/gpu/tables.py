"""How the torch kernels hold their constants, and how their bodies are compiled on request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def table(values: NDArray[np.integer[Any]], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copy integers made on the host to a device, as `dtype`.

    Callers cache the result, so it must be a normal tensor even if the first call stands in inference mode.
    """
    with torch.inference_mode(False):
        return torch.from_numpy(np.array(values, np.int64)).to(dtype).to(device)


@functools.cache
def _fused(body: Callable[..., Tensor]) -> Callable[..., Tensor]:
    compiled = torch.compile(body, dynamic=False)

    @functools.wraps(body)
    def call(*arguments: Any) -> Tensor:
        # One program for each shape and severity: more than the eight after which dynamo would give up.
        with torch._dynamo.config.patch(recompile_limit=1024, accumulated_recompile_limit=4096):
            return compiled(*arguments)

    return call


def as_asked(body: Callable[..., Tensor], fuse: bool) -> Callable[..., Tensor]:
    """Return `body`, or `body` compiled by torch.compile: the same integers in fewer passes over memory.

    Nothing is ever compiled unless a caller says ``fuse=True``.
    """
    return _fused(body) if fuse else body
