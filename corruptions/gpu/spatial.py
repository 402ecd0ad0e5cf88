"""The torch kernels that gather from other pixels: motion blur, zoom blur and pixelate.

Images are uint8 (N, H, W, C), values 0 to 255, with any strides. Inside they are planes (A, H, W, B), dense in memory:
B = C, or A = N * C and B = 1 where the batch has its channels first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import kornia
import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tables import as_asked, table


def _in_planes(images: Tensor, filtered: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Run `filtered` on the planes and the number of neighbouring planes that belong to one image."""
    count, height, width, channels = images.shape
    first = images.permute(0, 3, 1, 2)
    if first.is_contiguous() and not images.is_contiguous():
        planes = filtered(first.reshape(count * channels, height, width, 1), channels)
        return planes.reshape(count, channels, height, width).permute(0, 2, 3, 1)
    return filtered(images.contiguous(), 1)


def motion_blur(
    images: Tensor, angles: Tensor, *, radius: int, sigma: float, route: str = "gather", fuse: bool = False
) -> Tensor:
    """Blur along one direction, one-sided, edges replicated; `angles` integers (N,), 0 to 255; the rest in pixels.

    Two routes lead to the same bytes: ``gather`` sums shifted images in int32; ``kornia`` runs kornia's filter2d in
    float64, where direct, Winograd and FFT convolutions all err by far less than the half that rounding forgives.
    """
    blurred = {"gather": _gathered, "kornia": _convolved}[route]
    weights = tuple(lookup.motion_weights(radius, sigma).tolist())

    def filtered(planes: Tensor, repeats: int) -> Tensor:
        own = angles.to(torch.int64).repeat_interleave(repeats)
        tables = _shifts(len(weights), planes.shape[2], planes.device)
        if route == "kornia":
            tables = _filters(radius, sigma, planes.device)
        return as_asked(blurred, fuse)(planes, tables.index_select(0, own), weights, _reach(len(weights)))

    return _in_planes(images, filtered)


@functools.lru_cache(64)
def _reach(steps: int) -> tuple[int, int]:
    """Return how far `steps` steps go to the right at most, and up or down."""
    offsets = lookup.motion_offsets(steps)
    return int(offsets[:, 0].max()), int(np.abs(offsets[:, 1]).max())


@functools.lru_cache(64)
def _shifts(steps: int, width: int, device: torch.device) -> Tensor:
    """Return for each angle and step where the shifted image begins in a flat padded plane; int64 (256, steps)."""
    offsets = lookup.motion_offsets(steps).astype(np.int64)
    right, aside = _reach(steps)
    return table((offsets[:, 1] + aside) * (width + right) + offsets[:, 0], torch.int64, device)


@functools.lru_cache(64)
def _filters(radius: int, sigma: float, device: torch.device) -> Tensor:
    """Return the blur along each angle as a dense filter; float64 (256, rows, columns), integers in 1/65536."""
    weights = lookup.motion_weights(radius, sigma)
    offsets = lookup.motion_offsets(len(weights))
    right, aside = _reach(len(weights))
    filters = np.zeros((256, 2 * aside + 1, right + 1), np.int64)
    np.add.at(filters, (np.arange(256)[:, None], offsets[:, 1] + aside, offsets[:, 0]), weights)
    return table(filters, torch.float64, device)


def _padded(planes: Tensor, right: int, aside: int) -> Tensor:
    """Replicate the edges: `right` columns to the right, `aside` rows above and below."""
    _, height, width, _ = planes.shape
    rows = torch.arange(-aside, height + aside, dtype=torch.int64, device=planes.device).clamp(0, height - 1)
    columns = torch.arange(width + right, dtype=torch.int64, device=planes.device).clamp(0, width - 1)
    return planes.index_select(1, rows).index_select(2, columns)


def _gathered(planes: Tensor, shifts: Tensor, weights: tuple[int, ...], reach: tuple[int, int]) -> Tensor:
    count, height, width, channels = planes.shape
    padded = _padded(planes, *reach)
    row = torch.arange(height, dtype=torch.int64, device=planes.device)[:, None] * padded.shape[2]
    pixel = (row + torch.arange(width, dtype=torch.int64, device=planes.device)[None, :]).reshape(1, -1, 1)
    flat = padded.flatten(1, 2)
    total = torch.full((count, height * width, channels), 32768, dtype=torch.int32, device=planes.device)
    for step, weight in enumerate(weights):
        index = pixel + shifts[:, step].reshape(-1, 1, 1)
        total.add_(flat.gather(1, index.expand(-1, -1, channels)), alpha=weight)
    return (total >> 16).to(torch.uint8).reshape(planes.shape)


def _convolved(planes: Tensor, filters: Tensor, weights: tuple[int, ...], reach: tuple[int, int]) -> Tensor:
    padded = _padded(planes, *reach).permute(0, 3, 1, 2).to(torch.float64)
    total: Tensor = kornia.filters.filter2d(padded, filters, padding="valid").round().to(torch.int32)
    return ((total + 32768) >> 16).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def zoom_blur(images: Tensor, *, percents: Sequence[int], fuse: bool = False) -> Tensor:
    """Average the image with itself zoomed about its centre by each of `percents`, 100 or more, up to 31 zooms."""
    lookup.check_zooms(tuple(percents))

    def filtered(planes: Tensor, _: int) -> Tensor:
        down, across = (_taps(size, tuple(percents), planes.device) for size in planes.shape[1:3])
        return as_asked(_zoomed, fuse)(planes, down, across, 1 + len(percents) - len(down))

    return _in_planes(images, filtered)


Taps = tuple[Tensor, Tensor, Tensor, Tensor]


@functools.lru_cache(64)
def _taps(size: int, percents: tuple[int, ...], device: torch.device) -> list[Taps]:
    """Return for each zoom but 100 percent, which is the image itself, what one axis reads.

    Both neighbours of each output position, int64 (size,), and their weights in 1/512, int32 (size,).
    """
    taps = lookup.zoom_taps(size, percents)
    return [
        (
            table(first, torch.int64, device),
            table(np.minimum(first + 1, size - 1), torch.int64, device),
            table(512 - weight, torch.int32, device),
            table(weight, torch.int32, device),
        )
        for percent, first, weight in zip(percents, *taps, strict=True)
        if percent != 100
    ]


def _zoomed(planes: Tensor, down: list[Taps], across: list[Taps], unzoomed: int) -> Tensor:
    parts = len(down) + unzoomed
    total = planes.to(torch.int32) * (unzoomed << 18) + (parts << 17)
    for vertical, horizontal in zip(down, across, strict=True):
        total += _interpolated(_interpolated(planes, horizontal, 2), vertical, 1)
    return torch.div(total >> 18, parts, rounding_mode="floor").to(torch.uint8)


def _interpolated(planes: Tensor, taps: Taps, axis: int) -> Tensor:
    first, second, first_weight, second_weight = taps
    shape = _along(axis)
    return planes.index_select(axis, first) * first_weight.reshape(shape) + planes.index_select(
        axis, second
    ) * second_weight.reshape(shape)


def _along(axis: int) -> list[int]:
    return [-1 if axis == each else 1 for each in range(4)]


def pixelate(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Shrink to `percent` percent of height and width by box means, and grow back by nearest neighbours."""

    def filtered(planes: Tensor, _: int) -> Tensor:
        down, across = (_boxes(size, percent, planes.device) for size in planes.shape[1:3])
        return as_asked(_pixelated, fuse)(planes, down, across)

    return _in_planes(images, filtered)


Boxes = tuple[Tensor, Tensor, Tensor, Tensor]


@functools.lru_cache(64)
def _boxes(size: int, percent: int, device: torch.device) -> Boxes:
    """Return the boxes over one axis.

    Their pixels, int64 (longest, boxes); membership of each, int32, the same shape; reciprocals in 2^-22, int32
    (boxes,); and the box that each pixel shows in the end, int64 (size,).
    """
    boxes = lookup.boxes(size, percent)
    length = np.diff(boxes.edges)
    step = np.arange(length.max())[:, None]
    return (
        table(np.minimum(boxes.edges[:-1] + step, size - 1), torch.int64, device),
        table((step < length).astype(np.int64), torch.int32, device),
        table(boxes.reciprocals, torch.int32, device),
        table(boxes.shown, torch.int64, device),
    )


def _pixelated(planes: Tensor, down: Boxes, across: Boxes) -> Tensor:
    small = _box_means(_box_means(planes, across, 2), down, 1)
    return small.index_select(2, across[3]).index_select(1, down[3])


def _box_means(planes: Tensor, boxes: Boxes, axis: int) -> Tensor:
    pixels, members, reciprocals, _ = boxes
    shape = _along(axis)
    total = planes.index_select(axis, pixels[0]) * members[0].reshape(shape)
    for pixel, member in zip(pixels[1:], members[1:], strict=True):
        total = total + planes.index_select(axis, pixel) * member.reshape(shape)
    return ((total * reciprocals.reshape(shape) + 2**21) >> 22).to(torch.uint8)
