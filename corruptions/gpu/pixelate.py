"""The torch kernel of pixelate: box averages along the rows, then down the columns, then nearest pixels."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.gpu.tensors import along, compiled, constant, in_planes

BoxTensors = tuple[Tensor, Tensor, Tensor, Tensor]
"""The boxes along an axis of n pixels.

Their pixels, int64 (longest box, boxes); 1 for each pixel that belongs to the box, else 0, int32 of the same shape;
reciprocals in 2^-22, int32 (boxes,); and the box that each pixel of the result shows, int64 (n,).
"""


def pixelate(images: Tensor, *, percent: int, fuse: bool = False) -> Tensor:
    """Shrink to `percent` percent, 1 to 100, by box averages, and enlarge again by nearest neighbours [HD], [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """

    def kernel(planes: Tensor, _: int) -> Tensor:
        down, across = (_boxes(size, percent, planes.device) for size in planes.shape[1:3])
        return compiled(_shrink_and_enlarge, fuse)(planes, down, across)

    return in_planes(images, kernel)


@functools.lru_cache(64)
def _boxes(size: int, percent: int, device: torch.device) -> BoxTensors:
    boxes = lookup.boxes(size, percent)
    length = np.diff(boxes.edges)
    step = np.arange(length.max())[:, None]
    return (
        constant(np.minimum(boxes.edges[:-1] + step, size - 1), torch.int64, device),
        constant((step < length).astype(np.int64), torch.int32, device),
        constant(boxes.reciprocals, torch.int32, device),
        constant(boxes.shown, torch.int64, device),
    )


def _shrink_and_enlarge(planes: Tensor, down: BoxTensors, across: BoxTensors) -> Tensor:
    small = _box_means(_box_means(planes, across, 2), down, 1)
    return small.index_select(2, across[3]).index_select(1, down[3])


def _box_means(planes: Tensor, boxes: BoxTensors, axis: int) -> Tensor:
    pixels, members, reciprocals, _ = boxes
    shape = along(axis)
    total = planes.index_select(axis, pixels[0]) * members[0].reshape(shape)
    for pixel, member in zip(pixels[1:], members[1:], strict=True):
        total = total + planes.index_select(axis, pixel) * member.reshape(shape)
    return ((total * reciprocals.reshape(shape) + 2**21) >> 22).to(torch.uint8)
