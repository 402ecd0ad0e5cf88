"""The torch kernels of the noises."""

from __future__ import annotations

import functools

import numpy as np
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


def shot_noise(images: Tensor, uniforms: Tensor, *, photons: int, fuse: bool = False) -> Tensor:
    """Count photons: Poisson numbers of mean `photons` times the level, a fraction of the full range [HD].

    `photons` 1 to 1000, or 0 for no noise. `images` uint8 (N, H, W, C); `uniforms` int32 of the same shape, 0 to 65535.
    Return a new tensor like `images`.
    """
    thresholds, levels = _shot_tables(photons, images.device)
    return images.clone() if photons == 0 else compiled(_count, fuse)(images, uniforms, thresholds, levels)


@functools.lru_cache(64)
def _shot_tables(photons: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the thresholds of all levels in one rising row, those of level x from 65536 x on; and the levels."""
    thresholds = noise.shot_thresholds(photons) + (np.arange(256, dtype=np.int32)[:, None] << 16)
    levels = noise.shot_levels(photons)
    return constant(thresholds.reshape(-1), torch.int32, device), constant(levels, torch.uint8, device)


def _count(images: Tensor, uniforms: Tensor, thresholds: Tensor, levels: Tensor) -> Tensor:
    level = images.to(torch.int32)
    # All thresholds of the lower levels are passed, too.
    reached = ((level << 16) + uniforms).contiguous()
    passed = torch.searchsorted(thresholds, reached, right=True, out_int32=True)
    return look_up(levels, level * (1 - len(levels)) + passed)
