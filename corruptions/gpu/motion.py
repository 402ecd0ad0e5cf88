"""The torch kernel of motion blur: shifted images, weighted and added up."""

from __future__ import annotations

import functools

import kornia
import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tensors import compiled, constant, in_planes


def motion_blur(
    images: Tensor, angles: Tensor, *, radius: int, sigma: float, route: str = "gather", fuse: bool = False
) -> Tensor:
    """Blur each image along its own direction, to one side, edges replicated: ImageMagick's motion blur [HD].

    `images` uint8 (N, H, W, C); `angles` integers (N,), 0 to 255; `radius` and `sigma` in pixels. Return a new tensor
    like `images`. Two routes lead to the same bytes: ``gather`` sums shifted images in int32; ``kornia`` runs kornia's
    filter2d in float64, where direct, Winograd and FFT convolutions all err by far less than the half that rounding
    forgives.
    """
    blur = {"gather": _gather, "kornia": _convolve}[route]
    weights = tuple(lookup.motion_weights(radius, sigma).tolist())

    def kernel(planes: Tensor, repeats: int) -> Tensor:
        by_plane = angles.to(torch.int64).repeat_interleave(repeats)
        tables = _shifts(len(weights), planes.shape[2], planes.device)
        if route == "kornia":
            tables = _filters(radius, sigma, planes.device)
        return compiled(blur, fuse)(planes, tables.index_select(0, by_plane), weights, _reach(len(weights)))

    return in_planes(images, kernel)


@functools.lru_cache(64)
def _reach(steps: int) -> tuple[int, int]:
    """Return how many pixels `steps` steps go at most to the right, and up or down."""
    offsets = lookup.motion_offsets(steps)
    return int(offsets[:, 0].max()), int(np.abs(offsets[:, 1]).max())


@functools.lru_cache(64)
def _shifts(steps: int, width: int, device: torch.device) -> Tensor:
    """Return for each angle and step where the shifted image begins in a flat padded plane; int64 (256, steps)."""
    offsets = lookup.motion_offsets(steps).astype(np.int64)
    right, aside = _reach(steps)
    return constant((offsets[:, 1] + aside) * (width + right) + offsets[:, 0], torch.int64, device)


@functools.lru_cache(64)
def _filters(radius: int, sigma: float, device: torch.device) -> Tensor:
    """Return the blur along each angle as a dense filter; float64 (256, rows, columns), integers in 1/65536."""
    weights = lookup.motion_weights(radius, sigma)
    offsets = lookup.motion_offsets(len(weights))
    right, aside = _reach(len(weights))
    filters = np.zeros((256, 2 * aside + 1, right + 1), np.int64)
    np.add.at(filters, (np.arange(256)[:, None], offsets[:, 1] + aside, offsets[:, 0]), weights)
    return constant(filters, torch.float64, device)


def _pad(planes: Tensor, right: int, aside: int) -> Tensor:
    """Replicate the edges: `right` columns to the right, `aside` rows above and below."""
    _, height, width, _ = planes.shape
    rows = torch.arange(-aside, height + aside, dtype=torch.int64, device=planes.device).clamp(0, height - 1)
    columns = torch.arange(width + right, dtype=torch.int64, device=planes.device).clamp(0, width - 1)
    return planes.index_select(1, rows).index_select(2, columns)


def _gather(planes: Tensor, shifts: Tensor, weights: tuple[int, ...], reach: tuple[int, int]) -> Tensor:
    count, height, width, channels = planes.shape
    padded = _pad(planes, *reach)
    row = torch.arange(height, dtype=torch.int64, device=planes.device)[:, None] * padded.shape[2]
    pixel = (row + torch.arange(width, dtype=torch.int64, device=planes.device)[None, :]).reshape(1, -1, 1)
    flat = padded.flatten(1, 2)
    total = torch.full((count, height * width, channels), 32768, dtype=torch.int32, device=planes.device)
    for step, weight in enumerate(weights):
        index = pixel + shifts[:, step].reshape(-1, 1, 1)
        total.add_(flat.gather(1, index.expand(-1, -1, channels)), alpha=weight)
    return (total >> 16).to(torch.uint8).reshape(planes.shape)


def _convolve(planes: Tensor, filters: Tensor, weights: tuple[int, ...], reach: tuple[int, int]) -> Tensor:
    padded = _pad(planes, *reach).permute(0, 3, 1, 2).to(torch.float64)
    total: Tensor = kornia.filters.filter2d(padded, filters, padding="valid").round().to(torch.int32)
    return ((total + 32768) >> 16).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
