"""The torch kernel of JPEG: the transforms as products of float64 matrices, which hold every sum exactly."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import compression
from corruptions.gpu.tensors import compiled, constant, like


def jpeg_compression(images: Tensor, *, quality: int, fuse: bool = False) -> Tensor:
    """Encode and decode as baseline JPEG at `quality`, 1 to 100, colour at half resolution (4:2:0) [HD], [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    steps = _steps(quality, images.device)
    recode = compiled(_recode_grey if images.shape[3] == 1 else _recode_colour, fuse)
    return like(images, recode(images.permute(0, 3, 1, 2).to(torch.int32), steps, _transform(images.device)))


@functools.lru_cache(64)
def _steps(quality: int, device: torch.device) -> Tensor:
    return constant(compression.quantisation(quality), torch.int32, device)


@functools.lru_cache(64)
def _transform(device: torch.device) -> Tensor:
    return constant(compression.transform(), torch.float64, device)


def _recode_grey(images: Tensor, steps: Tensor, transform: Tensor) -> Tensor:
    """Return uint8 (N, H, W, 1) of int32 (N, 1, H, W)."""
    return _through_frequencies(images[:, 0], steps[0], transform).to(torch.uint8)[..., None]


def _recode_colour(images: Tensor, steps: Tensor, transform: Tensor) -> Tensor:
    """Return uint8 (N, H, W, 3) of int32 (N, 3, H, W)."""
    height, width = images.shape[2:]
    red, green, blue = images.unbind(1)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    differences = torch.stack(
        (
            (-11059 * red - 21709 * green + 32768 * blue + 8421375) >> 16,
            (32768 * red - 27439 * green - 5329 * blue + 8421375) >> 16,
        )
    )
    rows, columns = (height + 1) // 2, (width + 1) // 2
    # Columns are repeated to the end of their blocks at full size, rows of the last pair only.
    wide = _repeat_last(differences, 2 * rows, -(-columns // 8) * 16)
    pairs = wide[..., 0::2, :] + wide[..., 1::2, :]
    bias = 1 + torch.arange(pairs.shape[-1] // 2, dtype=torch.int32, device=images.device) % 2
    half = (pairs[..., 0::2] + pairs[..., 1::2] + bias) >> 2
    y = _through_frequencies(luma, steps[0], transform)
    decoded = _through_frequencies(half.flatten(0, 1), steps[1], transform)[:, :rows, :columns]
    b, r = (_enlarge(decoded)[:, :height, :width] - 128).chunk(2)
    colours = (
        y + ((91881 * r + 32768) >> 16),
        y + ((-22554 * b - 46802 * r + 32768) >> 16),
        y + ((116130 * b + 32768) >> 16),
    )
    return torch.stack(colours, dim=3).clamp(0, 255).to(torch.uint8)


def _through_frequencies(planes: Tensor, steps: Tensor, transform: Tensor) -> Tensor:
    """Return int32 (N, H, W), 0 to 255, quantised in the frequencies of its blocks of 8 x 8."""
    height, width = planes.shape[1:]
    whole = _repeat_last(planes, -(-height // 8) * 8, -(-width // 8) * 8) - 128
    count, rows, columns = len(whole), whole.shape[1] // 8, whole.shape[2] // 8
    blocks = whole.reshape(count, rows, 8, columns, 8).transpose(2, 3)  # (N, rows, columns, 8, 8)
    across = _product(blocks, transform.T, 11)
    frequencies = _product(transform, across, 15)
    size = torch.div(frequencies.abs() + 4 * steps, 8 * steps, rounding_mode="floor") * steps
    quantised = torch.where(frequencies < 0, -size, size)
    samples = _product(_product(transform.T, quantised, 11), transform, 18) + 128
    joined = samples.clamp(0, 255).transpose(2, 3).reshape(whole.shape)
    return joined[:, :height, :width]


def _product(left: Tensor, right: Tensor, shift: int) -> Tensor:
    """Return the matrix product, in units of 2^shift, rounded half up; int32."""
    product = left.to(torch.float64) @ right.to(torch.float64)
    return ((product.to(torch.int64) + (1 << (shift - 1))) >> shift).to(torch.int32)


def _repeat_last(planes: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last column and row of (..., H, W) up to a width and height."""
    rows = torch.arange(height, device=planes.device).clamp(max=planes.shape[-2] - 1)
    columns = torch.arange(width, device=planes.device).clamp(max=planes.shape[-1] - 1)
    return planes[..., rows, :][..., columns]


def _enlarge(planes: Tensor) -> Tensor:
    """Double the sides of int32 (N, rows, columns): three quarters of the nearest sample, a quarter of the next one."""
    if planes.shape[2] <= 2:
        return planes.repeat_interleave(2, 1).repeat_interleave(2, 2)
    mixed = _with_next(planes, 1)
    return (_with_next(mixed, 2) + 8 - torch.arange(2 * planes.shape[2], device=planes.device) % 2) >> 4


def _with_next(planes: Tensor, axis: int) -> Tensor:
    """Return, along an axis of twice the length, three times the nearest sample plus the next nearest one."""
    size = planes.shape[axis]
    place = torch.arange(2 * size, device=planes.device)
    following = (place // 2 + 2 * (place % 2) - 1).clamp(0, size - 1)
    return 3 * planes.index_select(axis, place // 2) + planes.index_select(axis, following)
