"""The torch kernels of the blurs: shifted images, weighted and added up in int32."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from corruptions.extended.cpu.blur import glass_order
from corruptions.extended.lookup import blur
from corruptions.gpu.tensors import compiled, constant, in_planes
from corruptions.lookup import Ints

Edge = Callable[[int, int], Ints]


def gaussian_blur(images: Tensor, *, sigma: float, fuse: bool = False) -> Tensor:
    """Blur with a Gaussian of `sigma` pixels, 0 to 20, cut at four sigma, edges replicated [HD].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    return _blurred(images, blur.gaussian_weights("gaussian_blur", sigma), blur.clamped, fuse)


def gaussian_window(images: Tensor, *, size: int, fuse: bool = False) -> Tensor:
    """Blur with a Gaussian in a window of `size` pixels, odd, 1 to 63; mirrored at the edges: torchvision's [MM].

    `images` uint8 (N, H, W, C). Return a new tensor like `images`.
    """
    return _blurred(images, blur.window_weights(size), blur.mirrored, fuse)


def _blurred(images: Tensor, weights: Ints, edge: Edge, fuse: bool) -> Tensor:
    def kernel(planes: Tensor, _: int) -> Tensor:
        return compiled(_blur, fuse)(planes, tuple(weights.tolist()), *_places(edge, planes, len(weights) - 1))

    return in_planes(images, kernel)


def _places(edge: Edge, planes: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Return which row, and which column, stands at each place up to `reach` beyond the edges; int64."""
    return _on(edge, planes.shape[1], reach, planes.device), _on(edge, planes.shape[2], reach, planes.device)


@functools.lru_cache(64)
def _on(edge: Edge, n: int, reach: int, device: torch.device) -> Tensor:
    return constant(edge(n, reach), torch.int64, device)


def _blur(planes: Tensor, weights: tuple[int, ...], down: Tensor, across: Tensor) -> Tensor:
    return _soften(planes.to(torch.int32) << 6, weights, down, across)


def _soften(levels: Tensor, weights: tuple[int, ...], down: Tensor, across: Tensor) -> Tensor:
    """Blur `levels`, int32 (A, H, W, B) in units of 1/64, down and across; return uint8."""
    rows = (weigh(levels.index_select(1, down), 1, weights) + 2**13) >> 14
    columns = (weigh(rows.index_select(2, across), 2, weights) + 2**19) >> 20
    return columns.clamp_max(255).to(torch.uint8)


def weigh(padded: Tensor, axis: int, weights: Sequence[int]) -> Tensor:
    """Sum along an axis, padded to both sides, by the weights 0, 1, .. pixels from the centre."""
    reach = len(weights) - 1
    size = padded.shape[axis] - 2 * reach
    total = padded.narrow(axis, reach, size) * weights[0]
    for j, weight in enumerate(weights[1:], 1):
        both = padded.narrow(axis, reach - j, size) + padded.narrow(axis, reach + j, size)
        total = total + both * weight
    return total


def defocus_blur(images: Tensor, *, radius: float, alias_blur: float, fuse: bool = False) -> Tensor:
    """Average over a disk of `radius` pixels, its edge softened by a Gaussian of `alias_blur` pixels [HD], [MM].

    `radius` 0 to 12, in halves up to 8; mirrored at the edges. `images` uint8 (N, H, W, C). Return a new tensor like
    `images`.
    """
    disk = blur.disk(radius, alias_blur)
    reach, weights = tuple(disk.reach.tolist()), tuple(disk.weights.tolist())

    def kernel(planes: Tensor, _: int) -> Tensor:
        wide = _places(blur.mirrored, planes, len(reach) // 2)
        soft = _places(blur.mirrored, planes, len(weights) - 1)
        return compiled(_defocus, fuse)(planes, reach, disk.factor, weights, wide, soft)

    return in_planes(images, kernel)


def _defocus(
    planes: Tensor,
    reach: tuple[int, ...],
    factor: int,
    weights: tuple[int, ...],
    wide: tuple[Tensor, Tensor],
    soft: tuple[Tensor, Tensor],
) -> Tensor:
    _, height, width, _ = planes.shape
    sums = planes.index_select(1, wide[0]).index_select(2, wide[1]).cumsum(dim=2, dtype=torch.int32)
    before = torch.cat((torch.zeros_like(sums[:, :, :1]), sums), dim=2)
    total = torch.zeros(planes.shape, dtype=torch.int32, device=planes.device)
    for row, most in enumerate(reach):
        strip = before.narrow(1, row, height)
        first, end = len(reach) // 2 - most, len(reach) // 2 + most + 1
        total = total + (strip.narrow(2, end, width) - strip.narrow(2, first, width))
    # Products are below 2^32.
    levels = (total.to(torch.int64) * factor + 2**16) >> 17
    return _soften(levels.to(torch.int32), weights, *soft)


def glass_blur(
    images: Tensor, pixels: Tensor, *, sigma: float, max_delta: int, iterations: int, fuse: bool = False
) -> Tensor:
    """Blur, swap neighbouring pixels, and blur again [HD].

    `sigma` of the Gaussian in pixels, 0 to 20; `max_delta` is how far apart swapped pixels are at most; `iterations` is
    how often each is swapped. `images` uint8 (N, H, W, C); `pixels` int32 (N, H, W), 0 to 65535. Return a new tensor
    like `images`. Each swap works on what the ones before have left, so the host makes the permutation.
    """
    weights = blur.gaussian_weights("glass_blur", sigma)
    drawn = pixels.cpu().numpy().astype(np.uint16)
    order = torch.from_numpy(glass_order(drawn, max_delta, iterations)).to(images.device, torch.int64)

    def kernel(planes: Tensor, repeats: int) -> Tensor:
        places = _places(blur.clamped, planes, len(weights) - 1)
        by_plane = order.repeat_interleave(repeats, dim=0)
        return compiled(_glass, fuse)(planes, by_plane, tuple(weights.tolist()), *places)

    return in_planes(images, kernel)


def _glass(planes: Tensor, order: Tensor, weights: tuple[int, ...], down: Tensor, across: Tensor) -> Tensor:
    soft = _blur(planes, weights, down, across)
    flat = soft.flatten(1, 2)
    moved = flat.gather(1, order[:, :, None].expand(flat.shape)).reshape(planes.shape)
    return _blur(moved, weights, down, across)
