"""The torch kernels that change an element by its own level: the two noises, brightness and contrast."""

from __future__ import annotations

import functools

import kornia
import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tensors import compiled, constant


def gaussian_noise(images: Tensor, uniforms: Tensor, *, std: float, fuse: bool = False) -> Tensor:
    """Add normal noise of standard deviation `std`, a fraction of the full range [HD].

    `images` uint8 (N, H, W, C); `uniforms` int32 of the same shape, 0 to 65535. Return a new tensor like `images`.
    """
    return compiled(_add_noise, fuse)(images, uniforms, _noise_levels(std, images.device))


@functools.lru_cache(64)
def _noise_levels(std: float, device: torch.device) -> Tensor:
    return constant(lookup.noise_levels(std), torch.int16, device)


def _add_noise(images: Tensor, uniforms: Tensor, levels: Tensor) -> Tensor:
    return (images.to(torch.int16) + look_up(levels, uniforms)).clamp(0, 255).to(torch.uint8)


def impulse_noise(images: Tensor, uniforms: Tensor, *, amount: float, fuse: bool = False) -> Tensor:
    """Set a fraction `amount` of the elements to 0 or 255, half of them each, every channel on its own [HD].

    `images` uint8 (N, H, W, C); `uniforms` int32 of the same shape, 0 to 65535. Return a new tensor like `images`.
    """
    return compiled(_replace, fuse)(images, uniforms, lookup.impulse_threshold(amount))


def _replace(images: Tensor, uniforms: Tensor, threshold: int) -> Tensor:
    noisy = images.clone()
    return noisy.masked_fill_(uniforms >= 65536 - threshold, 255).masked_fill_(uniforms < threshold, 0)


def add_value(images: Tensor, *, delta: float, fuse: bool = False) -> Tensor:
    """Raise the HSV value by `delta`, a fraction of the full range, -1 to 1; keep hue and saturation [HD].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    grey = images.shape[3] == 1
    return compiled(look_up_level if grey else _raise_value, fuse)(images, _value_table(delta, grey, images.device))


@functools.lru_cache(64)
def _value_table(delta: float, grey: bool, device: torch.device) -> Tensor:
    """Return the result for each grey level, or for each (value, channel) pair at 256 * value + channel; uint8."""
    levels = lookup.value_table(delta)
    return constant(levels.diagonal() if grey else levels.reshape(-1), torch.uint8, device)


def _raise_value(images: Tensor, levels: Tensor) -> Tensor:
    value = images.amax(dim=3, keepdim=True).to(torch.int32)
    return look_up(levels, images + (value << 8))


def scale(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Scale every level to `percent` percent, 0 to 256: Pillow's ImageEnhance.Brightness [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    return compiled(look_up_level, fuse)(images, _scale_table(percent, images.device))


@functools.lru_cache(64)
def _scale_table(percent: int, device: torch.device) -> Tensor:
    lookup.check_scale(percent)
    return constant(np.minimum((percent * np.arange(256) + 50) // 100, 255), torch.uint8, device)


def look_up_level(images: Tensor, levels: Tensor) -> Tensor:
    """Return levels[level] of each element of uint8 images; `levels` has 256."""
    return look_up(levels, images.to(torch.int32))


def channel_mean(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Keep `percent` percent, 0 to 100, of each level's distance to the mean of its channel over the image [HD].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    lookup.check_contrast("channel_mean", percent)
    return compiled(_scale_about_channel_mean, fuse)(images, percent)


def _scale_about_channel_mean(images: Tensor, percent: int) -> Tensor:
    area = images.shape[1] * images.shape[2]
    total = images.sum(dim=(1, 2), dtype=torch.int64)[:, :, None]
    level = torch.arange(256, dtype=torch.int64, device=images.device)
    numerator = (100 - percent) * total + percent * area * level + 50 * area
    levels = torch.div(numerator, 100 * area, rounding_mode="floor").clamp(0, 255).to(torch.uint8)
    return look_up_own(levels, images)


def luma_mean(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Keep `percent` percent, 0 to 100, of each level's distance to the image's mean luma (ITU-R BT.601).

    That is Pillow's ImageEnhance.Contrast [MM]. `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    lookup.check_contrast("luma_mean", percent)
    return compiled(scale_about_luma_mean, fuse)(images, percent)


def scale_about_luma_mean(images: Tensor, percent: int) -> Tensor:
    """Scale each level's distance to the image's mean luma to `percent` percent; uint8 (N, H, W, C)."""
    area = images.shape[1] * images.shape[2]
    total = luma(images).sum(dim=(1, 2, 3), dtype=torch.int64)
    mean = torch.div(2 * total + area, 2 * area, rounding_mode="floor")[:, None, None]
    level = torch.arange(256, dtype=torch.int64, device=images.device)
    hundredths = 100 * mean + percent * (level - mean) + 50
    levels = torch.div(hundredths, 100, rounding_mode="floor").clamp(0, 255).to(torch.uint8)
    return look_up_own(levels, images)


def luma(images: Tensor) -> Tensor:
    """Return the luma (ITU-R BT.601) of each pixel, rounded half up: integers (N, 1, H, W), or the images if grey."""
    if images.shape[3] == 1:
        return images
    # kornia multiplies and adds elementwise; with integer weights every partial sum is below 2^24, exact in float32.
    weights = torch.tensor([19595.0, 38470.0, 7471.0], dtype=torch.float32, device=images.device)
    weighted: Tensor = kornia.color.rgb_to_grayscale(images.permute(0, 3, 1, 2).to(torch.float32), rgb_weights=weights)
    return (weighted.to(torch.int32) + 32768) >> 16


def look_up(levels: Tensor, index: Tensor) -> Tensor:
    """Return levels[index] in the memory order of `index`, so that no transposed copy is made."""
    order = sorted(range(index.ndim), key=index.stride, reverse=True)
    inverse = sorted(range(index.ndim), key=order.__getitem__)
    ordered = index.permute(order)
    return levels.index_select(0, ordered.reshape(-1)).reshape(ordered.shape).permute(inverse)


def look_up_own(levels: Tensor, images: Tensor) -> Tensor:
    """Look each pixel up in its image's own table, or its channel's: `levels` uint8 (N, 1 or C, 256)."""
    count, rows = levels.shape[:2]
    first = torch.arange(count * rows, device=images.device, dtype=torch.int32) << 8
    return look_up(levels.reshape(-1), images + first.reshape(count, 1, 1, rows))
