"""The torch kernels that act on a pixel's grey levels alone: both noises, brightness and contrast.

Images are uint8 (N, H, W, C), values 0 to 255, with any strides; the result has the memory order of the images.
"""

from __future__ import annotations

import functools

import kornia
import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tables import as_asked, table


def gaussian_noise(images: Tensor, uniforms: Tensor, *, std: float, fuse: bool = False) -> Tensor:
    """Add normal noise; `uniforms` int32 (N, H, W, C), 0 to 65535; `std` a fraction of the full range."""
    return as_asked(_noisy, fuse)(images, uniforms, _noise_levels(std, images.device))


@functools.lru_cache(64)
def _noise_levels(std: float, device: torch.device) -> Tensor:
    return table(lookup.noise_levels(std), torch.int16, device)


def _noisy(images: Tensor, uniforms: Tensor, levels: Tensor) -> Tensor:
    return (images.to(torch.int16) + _look_up(levels, uniforms)).clamp(0, 255).to(torch.uint8)


def impulse_noise(images: Tensor, uniforms: Tensor, *, amount: float, fuse: bool = False) -> Tensor:
    """Set pixels to 0 or 255; `uniforms` int32 (N, H, W, C), 0 to 65535; `amount` a fraction of the pixels."""
    return as_asked(_peppered, fuse)(images, uniforms, lookup.impulse_threshold(amount))


def _peppered(images: Tensor, uniforms: Tensor, threshold: int) -> Tensor:
    noisy = images.clone()
    return noisy.masked_fill_(uniforms >= 65536 - threshold, 255).masked_fill_(uniforms < threshold, 0)


def add_value(images: Tensor, *, delta: float, fuse: bool = False) -> Tensor:
    """Raise the HSV value by `delta`, a fraction of the full range."""
    grey = images.shape[3] == 1
    return as_asked(_relit if grey else _raised, fuse)(images, _value_table(delta, grey, images.device))


@functools.lru_cache(64)
def _value_table(delta: float, grey: bool, device: torch.device) -> Tensor:
    """Return the result for each grey level, or for each (value, channel) pair at 256 * value + channel; uint8."""
    levels = lookup.value_table(delta)
    return table(levels.diagonal() if grey else levels.reshape(-1), torch.uint8, device)


def _raised(images: Tensor, levels: Tensor) -> Tensor:
    value = images.amax(dim=3, keepdim=True).to(torch.int32)
    return _look_up(levels, images + (value << 8))


def scale(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Multiply every level by `percent` percent."""
    return as_asked(_relit, fuse)(images, _scale_table(percent, images.device))


@functools.lru_cache(64)
def _scale_table(percent: int, device: torch.device) -> Tensor:
    lookup.check_scale(percent)
    return table(np.minimum((percent * np.arange(256) + 50) // 100, 255), torch.uint8, device)


def _relit(images: Tensor, levels: Tensor) -> Tensor:
    return _look_up(levels, images.to(torch.int32))


def channel_mean(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Move every level towards its channel's mean, to `percent` percent of the distance (ImageNet-C's contrast)."""
    lookup.check_kept("channel_mean", percent)
    return as_asked(_towards_channel_mean, fuse)(images, percent)


def _towards_channel_mean(images: Tensor, percent: int) -> Tensor:
    area = images.shape[1] * images.shape[2]
    total = images.sum(dim=(1, 2), dtype=torch.int64)[:, :, None]
    level = torch.arange(256, dtype=torch.int64, device=images.device)
    moved = (100 - percent) * total + percent * area * level + 50 * area
    levels = torch.div(moved, 100 * area, rounding_mode="floor").clamp(0, 255).to(torch.uint8)
    return _look_up_own(levels, images)


def luma_mean(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Move every level towards the image's mean luma, to `percent` percent of the distance (Pillow's contrast)."""
    lookup.check_kept("luma_mean", percent)
    return as_asked(_towards_luma_mean, fuse)(images, percent)


def _towards_luma_mean(images: Tensor, percent: int) -> Tensor:
    area = images.shape[1] * images.shape[2]
    total = _luma(images).sum(dim=(1, 2, 3), dtype=torch.int64)
    mean = torch.div(2 * total + area, 2 * area, rounding_mode="floor")[:, None, None]
    level = torch.arange(256, dtype=torch.int64, device=images.device)
    moved = 100 * mean + percent * (level - mean) + 50
    levels = torch.div(moved, 100, rounding_mode="floor").clamp(0, 255).to(torch.uint8)
    return _look_up_own(levels, images)


def _luma(images: Tensor) -> Tensor:
    if images.shape[3] == 1:
        return images
    # kornia multiplies and adds elementwise; with integer weights every partial sum is below 2^24, exact in float32.
    weights = torch.tensor([19595.0, 38470.0, 7471.0], dtype=torch.float32, device=images.device)
    weighted: Tensor = kornia.color.rgb_to_grayscale(images.permute(0, 3, 1, 2).to(torch.float32), rgb_weights=weights)
    return (weighted.to(torch.int32) + 32768) >> 16


def _look_up(levels: Tensor, index: Tensor) -> Tensor:
    """Return levels[index] in the memory order of `index`, so that no transposed copy is made."""
    order = sorted(range(index.ndim), key=index.stride, reverse=True)
    inverse = sorted(range(index.ndim), key=order.__getitem__)
    ordered = index.permute(order)
    return levels.index_select(0, ordered.reshape(-1)).reshape(ordered.shape).permute(inverse)


def _look_up_own(levels: Tensor, images: Tensor) -> Tensor:
    """Look each pixel up in its image's own table, or its channel's: `levels` uint8 (N, 1 or C, 256)."""
    count, rows = levels.shape[:2]
    first = torch.arange(count * rows, device=images.device, dtype=torch.int32) << 8
    return _look_up(levels.reshape(-1), images + first.reshape(count, 1, 1, rows))
