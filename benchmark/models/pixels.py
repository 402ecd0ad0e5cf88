"""From uint8 pixels to a tower's input, on whatever device the tower is: what Pillow and torchvision do, as tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.models.record import ModelError, View

LUMA = (19595, 38470, 7471)
"""Pillow's ``L``: ITU-R 601-2 weights in 65536ths, `L24` in src/libImaging/Convert.c of Pillow."""


def prepare(images: NDArray[np.uint8] | Tensor, view: View, *, device: torch.device | str = "cpu") -> Tensor:
    """Return uint8 (N, H, W, 3) images as float32 (N, 3, S, S) on `device`, resized, cropped and normalised.

    Equal to Pillow's resize and torchvision's crop and normalisation but for one grey level where Pillow's fixed-point
    sum falls on the other side of a half. The order is across and then down, as in every Pillow that the models were
    trained with; Pillow 13 shrinks the other way round. Images of the view's own size are not resized at all.

    Raise ModelError for anything but uint8 (N, H, W, 3).
    """
    tensor = _tensor(images).to(device)
    if tensor.dtype != torch.uint8 or tensor.ndim != 4 or tensor.shape[3] != 3:
        raise ModelError(f"images must be uint8 (N, H, W, 3), not {tensor.dtype} {tuple(tensor.shape)}")
    if view.grey:
        tensor = _grey(tensor)
    levels = _fitted(tensor.permute(0, 3, 1, 2), view).to(torch.float32).div_(255)
    pixels = levels.permute(0, 2, 3, 1)
    if not pixels.is_contiguous():
        return normalise(levels, view)
    # in place and by whole rows, where a pixel's channels are neighbours: loops of three are four times as slow
    mean, std = (_like(levels, of).repeat(pixels.shape[2]) for of in (view.mean, view.std))
    pixels.flatten(2).sub_(mean).div_(std)
    return levels


def normalise(values: Tensor, view: View) -> Tensor:
    """Return float (N, 3, S, S) values in 0..1 with the view's mean taken off and divided by its standard deviation."""
    mean, std = (_like(values, of).reshape(1, 3, 1, 1) for of in (view.mean, view.std))
    return (values - mean) / std


def _like(values: Tensor, of: tuple[float, ...]) -> Tensor:
    """Return numbers on the device of `values`, without waiting for a GPU."""
    return torch.tensor(of, dtype=values.dtype).to(values.device, non_blocking=True)


def _tensor(images: NDArray[np.uint8] | Tensor) -> Tensor:
    if isinstance(images, Tensor):
        return images
    # torch warns about arrays that it could write through, such as memory-mapped ones opened for reading
    return torch.from_numpy(np.ascontiguousarray(images) if images.flags.writeable else images.copy())


def _grey(images: Tensor) -> Tensor:
    red, green, blue = (images[..., channel].to(torch.int32) for channel in range(3))
    luma = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 0x8000) >> 16
    return luma.to(torch.uint8)[..., None].expand(-1, -1, -1, 3)


def _fitted(images: Tensor, view: View) -> Tensor:
    height, width = images.shape[2:]
    size = view.size
    if (height, width) == (size, size):
        return images
    if view.resize == "pad":
        images = _padded(images, max(size, height, width))
        return _resized(images, size, size, view.interpolation)
    if view.resize == "squash":
        return _resized(images, size, size, view.interpolation)
    # the longer side is cut to a whole number and the crop's corner rounded, as torchvision's Resize and CenterCrop do
    short = min(height, width)
    resized = _resized(images, int(size * height / short), int(size * width / short), view.interpolation)
    top, left = round((resized.shape[2] - size) / 2), round((resized.shape[3] - size) / 2)
    return resized[:, :, top : top + size, left : left + size]


def _padded(images: Tensor, side: int) -> Tensor:
    height, width = images.shape[2:]
    top, left = (side - height) // 2, (side - width) // 2
    return functional.pad(images, (left, side - width - left, top, side - height - top))


def _resized(images: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """Resize with antialiasing, across and then down, each rounded to whole grey levels as Pillow does."""
    levels = images.to(torch.float32)
    for target in ((images.shape[2], width), (height, width)):
        if tuple(levels.shape[2:]) != target:
            levels = functional.interpolate(levels, size=target, mode=interpolation, antialias=True)
            levels = levels.add_(0.5).floor_().clamp_(0, 255)
    return levels
