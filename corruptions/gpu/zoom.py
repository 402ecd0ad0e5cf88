"""The torch kernel of zoom blur: two linear interpolations for each zoom, added up."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tensors import along, compiled, constant, in_planes

TapTensors = tuple[Tensor, Tensor, Tensor, Tensor]
"""Both neighbours of each position along an axis, int64 (n,), and their weights in 1/512, int32 (n,)."""


def zoom_blur(images: Tensor, *, percents: Sequence[int], fuse: bool = False) -> Tensor:
    """Average each image with its enlargements by `percents`, 1 to 31 of 100 or more, bilinear, cut to the centre [HD].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    lookup.check_zooms(tuple(percents))

    def kernel(planes: Tensor, _: int) -> Tensor:
        down, across = (_taps(size, tuple(percents), planes.device) for size in planes.shape[1:3])
        return compiled(_average_zooms, fuse)(planes, down, across, 1 + len(percents) - len(down))

    return in_planes(images, kernel)


@functools.lru_cache(64)
def _taps(size: int, percents: tuple[int, ...], device: torch.device) -> list[TapTensors]:
    """Return the taps along one axis for each zoom, without 100 percent, which is the image itself."""
    taps = lookup.zoom_taps(size, percents)
    return [
        (
            constant(first, torch.int64, device),
            constant(np.minimum(first + 1, size - 1), torch.int64, device),
            constant(512 - weight, torch.int32, device),
            constant(weight, torch.int32, device),
        )
        for percent, first, weight in zip(percents, *taps, strict=True)
        if percent != 100
    ]


def _average_zooms(planes: Tensor, down: list[TapTensors], across: list[TapTensors], unzoomed: int) -> Tensor:
    parts = len(down) + unzoomed
    total = planes.to(torch.int32) * (unzoomed << 18) + (parts << 17)
    for vertical, horizontal in zip(down, across, strict=True):
        total += _interpolate(_interpolate(planes, horizontal, 2), vertical, 1)
    return torch.div(total >> 18, parts, rounding_mode="floor").to(torch.uint8)


def _interpolate(planes: Tensor, taps: TapTensors, axis: int) -> Tensor:
    first, second, first_weight, second_weight = taps
    shape = along(axis)
    return planes.index_select(axis, first) * first_weight.reshape(shape) + planes.index_select(
        axis, second
    ) * second_weight.reshape(shape)
