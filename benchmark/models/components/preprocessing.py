"""From uint8 pixels to a tower's input, on whatever device the tower is: what Pillow and torchvision do, as tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.models.record import Channels, Preprocessing
from pipeline.errors import UserError

LUMA = (19595, 38470, 7471)
"""Pillow's ``L``: ITU-R 601-2 weights in 65536ths, `L24` in src/libImaging/Convert.c of Pillow."""


def preprocess(
    images: NDArray[np.uint8] | Tensor, settings: Preprocessing, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Return uint8 (N, H, W, 3) images as float32 (N, 3, S, S) on `device`, resized, cropped and normalised.

    Equal to Pillow's resize and torchvision's crop and normalisation but for one grey level where Pillow's fixed-point
    sum falls on the other side of a half. The order is across and then down, as in every Pillow that the models were
    trained with; Pillow 13 shrinks the other way round. Images of the tower's own size are not resized at all.

    Raises:
        UserError: anything but uint8 (N, H, W, 3), or images that are smaller than what is cropped from them.
    """
    levels = _as_tensor(images).to(device)
    if levels.dtype != torch.uint8 or levels.ndim != 4 or levels.shape[3] != 3:
        raise UserError(f"images must be uint8 (N, H, W, 3), not {levels.dtype} {tuple(levels.shape)}")
    if settings.grey:
        levels = _grey(levels)
    values = _fit(levels.permute(0, 3, 1, 2), settings).to(torch.float32).div_(255)
    rows = values.permute(0, 2, 3, 1)
    if not rows.is_contiguous():
        mean, std = (_channels(values, of).reshape(1, 3, 1, 1) for of in (settings.mean, settings.std))
        return (values - mean) / std
    # in place and by whole rows, where a pixel's channels are neighbours: loops of three are four times as slow
    mean, std = (_channels(values, of).repeat(rows.shape[2]) for of in (settings.mean, settings.std))
    rows.flatten(2).sub_(mean).div_(std)
    return values


def _channels(values: Tensor, channels: Channels) -> Tensor:
    """Return three numbers on the device of `values`, without waiting for a GPU."""
    return torch.tensor(channels, dtype=values.dtype).to(values.device, non_blocking=True)


def _as_tensor(images: NDArray[np.uint8] | Tensor) -> Tensor:
    if isinstance(images, Tensor):
        return images
    # torch warns about arrays that it could write through, such as memory-mapped ones opened for reading
    return torch.from_numpy(np.ascontiguousarray(images) if images.flags.writeable else images.copy())


def _grey(images: Tensor) -> Tensor:
    red, green, blue = (images[..., channel].to(torch.int32) for channel in range(3))
    luma = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 0x8000) >> 16
    return luma.to(torch.uint8)[..., None].expand(-1, -1, -1, 3)


def _fit(images: Tensor, settings: Preprocessing) -> Tensor:
    size, target = settings.size, settings.resized or settings.size
    height, width = images.shape[2:]
    if settings.resize == "pad":
        images = _pad(images, max(target, height, width))
    if settings.resize == "shortest":
        # the longer side is cut to a whole number, as torchvision's Resize does
        short = min(height, width)
        images = _resize(images, int(target * height / short), int(target * width / short), settings.interpolation)
    elif settings.resize != "none":
        images = _resize(images, target, target, settings.interpolation)
    height, width = images.shape[2:]
    if (height, width) == (size, size):
        return images
    if min(height, width) < size:
        raise UserError(f"images of {height} x {width} pixels are smaller than the {size} x {size} that are cropped")
    top, left = round((height - size) / 2), round((width - size) / 2)  # as torchvision's CenterCrop: half to even
    return images[:, :, top : top + size, left : left + size]


def _pad(images: Tensor, side: int) -> Tensor:
    height, width = images.shape[2:]
    top, left = (side - height) // 2, (side - width) // 2
    return functional.pad(images, (left, side - width - left, top, side - height - top))


def _resize(images: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """Resize with antialiasing, across and then down, each rounded to whole grey levels as Pillow does."""
    if tuple(images.shape[2:]) == (height, width):
        return images
    levels = images.to(torch.float32)
    for target in ((images.shape[2], width), (height, width)):
        if tuple(levels.shape[2:]) != target:
            levels = functional.interpolate(levels, size=target, mode=interpolation, antialias=True)
            levels = levels.add_(0.5).floor_().clamp_(0, 255)
    return levels
