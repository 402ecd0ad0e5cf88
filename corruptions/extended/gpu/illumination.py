"""The torch kernels of uneven light. A gain is in 1/4096."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import illumination
from corruptions.gpu.levels import look_up, luma
from corruptions.gpu.tensors import compiled, constant


def bias_field(images: Tensor, words: Tensor, *, coefficient: float, fuse: bool = False) -> Tensor:
    """Multiply by the exponential of a smooth polynomial of order 3, its coefficients up to `coefficient` [new].

    `images` uint8 (N, H, W, C); `words` int64 (N, 9), 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    changes = (illumination.bias_scale(coefficient) * ((words >> 16) - 32768) + 2**14) >> 15
    down, across, exponentials = _bias_tables(*images.shape[1:3], images.device)
    return compiled(_bias, fuse)(images, changes.to(torch.int32), down, across, exponentials)


@functools.lru_cache(64)
def _bias_tables(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    return (
        constant(illumination.powers(height), torch.int32, device),
        constant(illumination.powers(width), torch.int32, device),
        constant(illumination.exponentials(), torch.int32, device),
    )


def _bias(images: Tensor, changes: Tensor, down: Tensor, across: Tensor, exponentials: Tensor) -> Tensor:
    total = torch.full((1, 1, 1), 65536, dtype=torch.int32, device=images.device)
    for i in range(4):
        part = torch.full((1, 1), 2048, dtype=torch.int32, device=images.device)
        for k, (order, j) in enumerate(illumination.ORDERS):
            if order == i:
                part = part + changes[:, k, None] * down[j]
        total = total + (part >> 12)[:, :, None] * across[i]
    return shade(images, look_up(exponentials, (total >> 17).clamp(-4096, 4095) + 4096))


def shade(images: Tensor, gains: Tensor) -> Tensor:
    """Multiply uint8 (N, H, W, C) by `gains`, int32 (N, H, W)."""
    levels = (images.to(torch.int32) * gains[..., None] + 2048) >> 12
    return levels.clamp(max=255).to(torch.uint8)


def vignetting(images: Tensor, words: Tensor, *, falloff: float, fuse: bool = False) -> Tensor:
    """Darken towards the corners, by the square of 1 + `falloff` there, about a centre near the middle [new].

    `images` uint8 (N, H, W, C); `words` int64 (N, 2), 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    centres = (((words >> 16) - 32768) >> 6).to(torch.int32)
    down, across = (_positions(n, images.device) for n in images.shape[1:3])
    return compiled(_vignette, fuse)(images, centres, down, across, _falloffs(falloff, images.device))


@functools.lru_cache(64)
def _positions(n: int, device: torch.device) -> Tensor:
    return constant(illumination.positions(n), torch.int32, device)


@functools.lru_cache(64)
def _falloffs(falloff: float, device: torch.device) -> Tensor:
    return constant(illumination.falloffs(falloff), torch.int32, device)


def _vignette(images: Tensor, centres: Tensor, down: Tensor, across: Tensor, falloffs: Tensor) -> Tensor:
    beside = across - centres[:, :1]
    above = down - centres[:, 1:]
    distance = ((beside * beside)[:, None, :] + (above * above)[:, :, None]) >> 15
    return shade(images, look_up(falloffs, distance))


def uneven_illumination(images: Tensor, angles: Tensor, *, slope: float, fuse: bool = False) -> Tensor:
    """Brighten one side and darken the other, by up to `slope` of the level in the corners [new].

    `images` uint8 (N, H, W, C); `angles` integers (N,), 0 to 255, of a full circle. Return a new tensor like `images`.
    """
    scale = illumination.slope_scale(slope)
    directions = _directions(images.device).index_select(0, angles.to(torch.int64))
    down, across = (_positions(n, images.device) for n in images.shape[1:3])
    return compiled(_tilt, fuse)(images, directions, scale, down, across)


@functools.lru_cache(64)
def _directions(device: torch.device) -> Tensor:
    return constant(illumination.directions(), torch.int32, device)


def _tilt(images: Tensor, directions: Tensor, scale: int, down: Tensor, across: Tensor) -> Tensor:
    right, below = directions[:, 0, None, None], directions[:, 1, None, None]
    distance = (right * across + below * down[:, None] + 2048) >> 12
    return shade(images, 4096 + ((scale * distance + 2048) >> 12))


def acoustic_shadow(images: Tensor, words: Tensor, *, count: int, depth: float, fuse: bool = False) -> Tensor:
    """Darken `count` columns, 0 to 8, below their brightest pixel, by up to `depth` of the level [new].

    `images` uint8 (N, H, W, C); `words` int64 (N, 16), two a shadow, 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    scale = illumination.shadow_scale(count, depth)
    return compiled(_cast_shadows, fuse)(images, words, count, scale)


def _cast_shadows(images: Tensor, words: Tensor, count: int, scale: int) -> Tensor:
    number, height, width, channels = images.shape
    row = torch.arange(height, dtype=torch.int64, device=images.device)
    column = torch.arange(width, dtype=torch.int64, device=images.device)
    brightness = (luma(images) if channels == 3 else images.permute(0, 3, 1, 2)).reshape(number, height, width)
    shadow = torch.zeros((number, height, width), dtype=torch.int32, device=images.device)
    for k in range(count):
        centre = ((words[:, 2 * k] >> 16) * width) >> 16
        reach = 1 + width // 32 + (((words[:, 2 * k] & 65535) * max(1, width // 16)) >> 16)
        share = 32768 + (words[:, 2 * k + 1] >> 17)
        line = brightness.gather(2, centre.reshape(-1, 1, 1).expand(-1, height, 1))[:, :, 0].to(torch.int64)
        # Of equal rows the first: its rank beside the level makes every value a different one.
        top = height - 1 - (line * height + (height - 1 - row)).amax(dim=1) % height
        square = (reach * reach)[:, None]
        inside = (square - (column - centre[:, None]) ** 2).clamp(min=0) * 256 // square
        profile = ((inside * inside >> 8) * share[:, None]) >> 8
        rise = ((row - top[:, None]).clamp(min=0) * 256 // max(1, height // 16)).clamp(max=256)
        shadow = torch.maximum(shadow, ((profile[:, None, :] * rise[:, :, None]) >> 8).to(torch.int32))
    return shade(images, 4096 - ((scale * shadow + 32768) >> 16))


def scatter(images: Tensor, *, fraction: float, fuse: bool = False) -> Tensor:
    """Replace a `fraction` of the light by the light around, blurred over a quarter of the image [new].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    radius = illumination.haze_radius(*images.shape[1:3])
    scale = illumination.scatter_scale(fraction)
    return compiled(_veil, fuse)(images, radius, illumination.haze_reciprocal(radius), scale)


def _veil(images: Tensor, radius: int, reciprocal: int, scale: int) -> Tensor:
    sums = 16 * _box_sums(_box_sums(images.to(torch.int64), radius, 2), radius, 2)
    sums = _box_sums(_box_sums((sums * reciprocal + 2**31) >> 32, radius, 1), radius, 1)
    haze = ((sums * reciprocal + 2**31) >> 32).to(torch.int32)
    levels = images.to(torch.int32) * ((4096 - scale) * 16) + haze * scale
    return ((levels + 32768) >> 16).to(torch.uint8)


def _box_sums(values: Tensor, radius: int, axis: int) -> Tensor:
    """Sum over 2 * `radius` + 1 neighbours along an axis of (N, H, W, C), the edges replicated."""
    n = values.shape[axis]
    around = torch.arange(-radius - 1, n + radius, dtype=torch.int64, device=values.device).clamp(0, n - 1)
    totals = values.index_select(axis, around).cumsum(axis)
    return totals.narrow(axis, 2 * radius + 1, n) - totals.narrow(axis, 0, n)
