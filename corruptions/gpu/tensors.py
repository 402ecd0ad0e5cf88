"""What the torch kernels share: constants on a device, bodies compiled on request, and images as planes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def constant(values: NDArray[np.integer[Any]], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copy integers from the host to `device`, as `dtype`.

    Callers cache the result, so it must be a normal tensor even if the first call is made in inference mode.
    """
    with torch.inference_mode(False):
        return torch.from_numpy(np.array(values, np.int64)).to(dtype).to(device)


def compiled(body: Callable[..., Tensor], fuse: bool) -> Callable[..., Tensor]:
    """Return `body`, compiled by torch.compile if `fuse`: the same integers in fewer passes over memory."""
    return _fused(body) if fuse else body


@functools.cache
def _fused(body: Callable[..., Tensor]) -> Callable[..., Tensor]:
    fused = torch.compile(body, dynamic=False)

    @functools.wraps(body)
    def call(*arguments: Any) -> Tensor:
        # One program for each shape and severity: more than the eight after which dynamo would give up.
        with torch._dynamo.config.patch(recompile_limit=1024, accumulated_recompile_limit=4096):  # noqa: SLF001
            return fused(*arguments)

    return call


def in_planes(images: Tensor, kernel: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Run `kernel` on uint8 (N, H, W, C) of any strides, as planes that are dense in memory.

    Planes are uint8 (A, H, W, B): A = N and B = C, or A = N * C and B = 1 where the batch has its channels first. The
    second argument of `kernel` is how many neighbouring planes belong to one image, 1 or C.
    """
    count, height, width, channels = images.shape
    first = images.permute(0, 3, 1, 2)
    if first.is_contiguous() and not images.is_contiguous():
        planes = kernel(first.reshape(count * channels, height, width, 1), channels)
        return planes.reshape(count, channels, height, width).permute(0, 2, 3, 1)
    return kernel(images.contiguous(), 1)


def along(axis: int) -> list[int]:
    """Return the shape that lays a vector along one of the four axes of planes."""
    return [-1 if axis == other else 1 for other in range(4)]


def like(images: Tensor, levels: Tensor) -> Tensor:
    """Return levels, limited to 0..255, as uint8 in the memory order of the images."""
    return torch.empty_like(images).copy_(levels.clamp(0, 255))
