"""The torch kernels of the noises."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import noise
from corruptions.gpu.levels import look_up
from corruptions.gpu.tensors import compiled, constant


def speckle_noise(images: Tensor, uniforms: Tensor, *, std: float, fuse: bool = False) -> Tensor:
    """Multiply each level by 1 plus normal noise of standard deviation `std` [HD].

    `images` uint8 (N, H, W, C); `uniforms` int32 of the same shape, 0 to 65535. Return a new tensor like `images`.
    """
    return compiled(_multiply, fuse)(images, uniforms, _speckle_factors(std, images.device))


@functools.lru_cache(64)
def _speckle_factors(std: float, device: torch.device) -> Tensor:
    return constant(noise.speckle_factors(std), torch.int32, device)


def _multiply(images: Tensor, uniforms: Tensor, factors: Tensor) -> Tensor:
    levels = (images.to(torch.int32) * look_up(factors, uniforms) + 2048) >> 12
    return levels.clamp(0, 255).to(torch.uint8)
