"""The torch kernels of the colours."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import colour
from corruptions.gpu.levels import look_up, look_up_level, scale_about_luma_mean
from corruptions.gpu.tensors import compiled, constant


def saturate(images: Tensor, *, percent: int, rise: int, fuse: bool = False) -> Tensor:
    """Scale the HSV saturation to `percent` percent, add `rise` percent of the full range; keep hue and value [HD].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`; grey images stay as they are.
    """
    factors = _saturation_factors(percent, rise, images.device)
    return images.clone() if images.shape[3] == 1 else compiled(_saturate, fuse)(images, factors)


@functools.lru_cache(64)
def _saturation_factors(percent: int, rise: int, device: torch.device) -> Tensor:
    return constant(colour.saturation_factors(percent, rise).reshape(-1), torch.int32, device)


def _saturate(images: Tensor, factors: Tensor) -> Tensor:
    levels = images.to(torch.int32)
    value = levels.amax(dim=3, keepdim=True)
    chroma = value - levels.amin(dim=3, keepdim=True)
    factor = look_up(factors, (value << 8) + chroma)
    # A pixel without a hue becomes red, as hue 0 is.
    not_red = (torch.arange(3, device=images.device) > 0).to(torch.int32)
    distance = value - levels + (chroma == 0).to(torch.int32) * not_red
    return (((value << 16) - distance * factor + 32768) >> 16).to(torch.uint8)


def luma_stretch(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Stretch each level's distance to the image's mean luma to `percent` percent, 100 to 10000.

    That is Pillow's ImageEnhance.Contrast above 1 [MM]. `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    colour.check_stretch(percent)
    return compiled(scale_about_luma_mean, fuse)(images, percent)


def gamma(images: Tensor, *, exponent: float, fuse: bool = False) -> Tensor:
    """Raise each level, as a fraction of the full range, to the power `exponent`, 0.01 to 100 [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    return compiled(look_up_level, fuse)(images, _gamma_levels(exponent, images.device))


@functools.lru_cache(64)
def _gamma_levels(exponent: float, device: torch.device) -> Tensor:
    return constant(colour.gamma_levels(exponent), torch.uint8, device)


def stain_variation(images: Tensor, words: Tensor, *, spread: float, fuse: bool = False) -> Tensor:
    """Scale the amount of each stain by up to `spread`, a fraction, and shift it by up to a quarter as much [new].

    `images` uint8 (N, H, W, C); `words` int64 (N, 6), 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    channels = images.shape[3]
    mixing, colours = _stains(channels, images.device)
    change = (colour.stain_scale(spread) * ((words >> 16) - 32768) + 2**14) >> 15
    scales, shifts = change[:, : len(mixing)], change[:, 3 : 3 + len(mixing)]
    identity = 4096 * torch.eye(channels, dtype=torch.int64, device=images.device)
    matrices = identity + (((scales[:, :, None, None] * mixing).sum(dim=1) + 2**15) >> 16)
    offsets = ((shifts[:, :, None] * colours).sum(dim=1) + 2**7) >> 8
    densities, levels = _densities(images.device)
    return compiled(_stain, fuse)(images, matrices.to(torch.int32), offsets.to(torch.int32), densities, levels)


@functools.lru_cache(64)
def _stains(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    mixing, colours = colour.stains(channels)
    return constant(mixing, torch.int64, device), constant(colours, torch.int64, device)


@functools.lru_cache(64)
def _densities(device: torch.device) -> tuple[Tensor, Tensor]:
    return (
        constant(colour.densities(), torch.int32, device),
        constant(colour.transmitted(), torch.uint8, device),
    )


def _stain(images: Tensor, matrices: Tensor, offsets: Tensor, densities: Tensor, levels: Tensor) -> Tensor:
    density = look_up(densities, images.to(torch.int32))
    mixed = torch.empty_like(density)
    for i in range(images.shape[3]):
        total = offsets[:, i, None, None] + 2048
        for j in range(images.shape[3]):
            total = total + density[..., j] * matrices[:, j, i, None, None]
        mixed[..., i] = (total >> 12).clamp(0, 8191)
    return look_up(levels, mixed)
