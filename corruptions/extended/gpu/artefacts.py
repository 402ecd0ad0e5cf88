"""The torch kernels of things that lie on the glass, on the sensor or in the way."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.gpu.illumination import shade
from corruptions.extended.lookup import artefacts
from corruptions.extended.lookup.artefacts import DISC, EDGE, FEWEST, LOBES, RIM, SMALLEST
from corruptions.gpu.levels import look_up
from corruptions.gpu.tensors import compiled, constant


def bubble(images: Tensor, words: Tensor, *, max_radius: int, max_bubbles: int, fuse: bool = False) -> Tensor:
    """Lay 7 to `max_bubbles` white bubbles over the image, of radius 3 to `max_radius` pixels, with a lighter rim [MM].

    `images` uint8 (N, H, W, C); `words` int64 (N, 76), 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    artefacts.check_bubbles(max_radius, max_bubbles)
    return compiled(_lay_bubbles, fuse)(images, words >> 16, max_radius, max_bubbles)


def _lay_bubbles(images: Tensor, parts: Tensor, max_radius: int, max_bubbles: int) -> Tensor:
    count, height, width, _ = images.shape
    fewest = min(FEWEST, max_bubbles)
    number = fewest + (parts[:, 0] * (max_bubbles - fewest + 1) >> 16)
    opacity = torch.zeros((count, height, width), dtype=torch.int32, device=images.device)
    for k in range(max_bubbles):
        radius = SMALLEST + (parts[:, 3 * k + 1] * (max_radius - SMALLEST + 1) >> 16)
        x = radius + (parts[:, 3 * k + 2] * (width - 2 * radius + 1).clamp(min=1) >> 16)
        y = radius + (parts[:, 3 * k + 3] * (height - 2 * radius + 1).clamp(min=1) >> 16)
        square = _squares(images, x, y)
        reach = radius + RIM
        # A bubble that is not drawn reaches no pixel.
        outer = torch.where(k < number, reach * reach + reach, -1)[:, None, None]
        inner = torch.where(k < number, radius * radius + radius, -1)[:, None, None]
        opacity = opacity.masked_fill(square <= outer, EDGE).masked_fill(square <= inner, DISC)
    white = opacity[..., None]
    levels = images.to(torch.int32) * (255 - white) + 255 * white + 127
    return torch.div(levels, 255, rounding_mode="floor").to(torch.uint8)


def _squares(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distance of each pixel from column `x` and row `y` of its image; int64 (N, H, W)."""
    height, width = images.shape[1:3]
    below = torch.arange(height, dtype=torch.int64, device=images.device) - y[:, None]
    right = torch.arange(width, dtype=torch.int64, device=images.device) - x[:, None]
    return (below * below)[:, :, None] + (right * right)[:, None, :]


def stain_deposit(images: Tensor, words: Tensor, *, count: int, fuse: bool = False) -> Tensor:
    """Lay `count` black marks with soft edges over the image, 0 to 5 [MM].

    `images` uint8 (N, H, W, C); `words` int64 (N, 30), six a mark, 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    artefacts.check_marks(count)
    return compiled(_lay_marks, fuse)(images, words, count)


def _lay_marks(images: Tensor, words: Tensor, count: int) -> Tensor:
    number, height, width, _ = images.shape
    unit = max(1, min(height, width) // 28)
    ink = torch.zeros((number, height, width), dtype=torch.int32, device=images.device)
    for k in range(0, count * (LOBES + 1), LOBES + 1):
        x, y = (words[:, k] >> 16) * width >> 16, (words[:, k] & 65535) * height >> 16
        for word in words[:, k + 1 : k + 1 + LOBES].unbind(1):
            right = x + (((word >> 24) - 128) * unit >> 7)
            below = y + (((word >> 16 & 255) - 128) * unit >> 7)
            radius = 1 + unit // 2 + ((word & 65535) * unit >> 16)
            square = (radius * radius)[:, None, None]
            inside = (square - _squares(images, right, below)).clamp(min=0)
            part = torch.div(8192 * inside, square, rounding_mode="floor").clamp(max=4096)
            ink = torch.maximum(ink, part.to(torch.int32))
    return ((images.to(torch.int32) * (4096 - ink[..., None]) + 2048) >> 12).to(torch.uint8)


def black_corner(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Blacken what lies outside a circle of `percent` percent of the radius of the largest that fits [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    return compiled(_blacken, fuse)(images, _circle(*images.shape[1:3], percent, images.device))


@functools.lru_cache(64)
def _circle(height: int, width: int, percent: int, device: torch.device) -> Tensor:
    return constant(artefacts.circle(height, width, percent), torch.int64, device)


def _blacken(images: Tensor, columns: Tensor) -> Tensor:
    column = torch.arange(images.shape[2], dtype=torch.int64, device=images.device)
    kept = (column >= columns[:, :1]) & (column < columns[:, 1:])
    return images.clone().masked_fill_(~kept[:, :, None], 0)


def grid_lines(images: Tensor, words: Tensor, *, depth: float, fuse: bool = False) -> Tensor:
    """Darken lines of an anti-scatter grid, 4 to 8 pixels apart and nearly upright or level, by up to `depth` [new].

    `images` uint8 (N, H, W, C); `words` int64 (N, 2), 0 to 2^32 - 1; `depth` a fraction of the level. Return a new
    tensor like `images`.
    """
    return compiled(_lay_grid, fuse)(images, words, _grid_gains(depth, images.device))


@functools.lru_cache(64)
def _grid_gains(depth: float, device: torch.device) -> Tensor:
    return constant(artefacts.grid_gains(depth), torch.int32, device)


def _lay_grid(images: Tensor, words: Tensor, gains: Tensor) -> Tensor:
    row = torch.arange(images.shape[1], dtype=torch.int64, device=images.device)[:, None]
    column = torch.arange(images.shape[2], dtype=torch.int64, device=images.device)
    place, speed = words[:, 0, None, None], words[:, 1, None, None]
    step, tilt = 8192 + (speed >> 19), ((speed & 65535) - 32768) >> 6
    level = (place & 1) > 0
    phase = (place >> 16) + row * torch.where(level, step, tilt) + column * torch.where(level, tilt, step)
    return shade(images, look_up(gains, (phase >> 8) & 255))
