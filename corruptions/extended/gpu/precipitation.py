"""The torch kernels of snow and spatter: layers of normal noise, what is above a threshold falls on the image."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.extended.gpu.blur import weigh
from corruptions.extended.lookup import blur, precipitation
from corruptions.extended.lookup.weather import fraction
from corruptions.gpu.levels import luma
from corruptions.gpu.motion import motion_blur
from corruptions.gpu.tensors import compiled, constant, like

Taps = tuple[Tensor, Tensor, Tensor]
"""Both neighbours of each position along an axis, and the weight of the second in 1/512; int64 (n,)."""


def snow(
    images: Tensor,
    pixels: Tensor,
    words: Tensor,
    *,
    mean: float,
    spread: float,
    percent: int,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
    fuse: bool = False,
) -> Tensor:
    """Whiten, keeping `keep` of the image, and add flakes: normal noise, enlarged, thresholded and blurred [HD].

    `images` uint8 (N, H, W, C); `pixels` int32 (N, H, W), 0 to 65535; `words` int64 (N, 1). Return a new tensor like
    `images`.
    """
    flakes = precipitation.layer("snow", mean, spread, threshold)
    kept = fraction("snow", "keep", keep)
    lookup.check_zooms((percent,))
    down, across = (_taps(size, percent, images.device) for size in images.shape[1:3])
    layer = compiled(_lay, fuse)(pixels, _normal(images.device), flakes, down, across)
    # Across first: the flakes fall.
    fallen = motion_blur(layer.transpose(1, 2)[..., None], words[:, 0] >> 24, radius=radius, sigma=sigma, fuse=fuse)
    return like(images, compiled(_whiten, fuse)(images, luma(images), fallen[..., 0].transpose(1, 2), kept))


@functools.lru_cache(64)
def _taps(size: int, percent: int, device: torch.device) -> Taps:
    ((first,), (weight,)) = lookup.zoom_taps(size, (percent,))
    places = (first, np.minimum(first + 1, size - 1), weight)
    one, other, share = (constant(place, torch.int64, device) for place in places)
    return one, other, share


@functools.lru_cache(64)
def _normal(device: torch.device) -> Tensor:
    return constant(lookup.normal_table(), torch.int64, device)


def _lay(pixels: Tensor, normal: Tensor, flakes: precipitation.Layer, down: Taps, across: Taps) -> Tensor:
    """Return the layer, uint8 (N, H, W), of the enlarged noise."""
    deviate = normal[pixels.to(torch.int64)]
    for axis, (one, other, share) in ((1, down), (2, across)):
        weight = share[:, None] if axis == 1 else share
        deviate = deviate.index_select(axis, one) * (512 - weight) + deviate.index_select(axis, other) * weight
    level = flakes.mean + ((flakes.spread * ((deviate + (1 << 13)) >> 14) + (1 << 15)) >> 16)
    return torch.where(level >= flakes.threshold, ((level + 2048) >> 12).clamp(0, 255), 0).to(torch.uint8)


def _whiten(images: Tensor, grey: Tensor, flakes: Tensor, kept: int) -> Tensor:
    levels = images.to(torch.int32)
    bright = (grey.reshape(*images.shape[:3], 1) if images.shape[3] == 1 else grey.permute(0, 2, 3, 1)).to(torch.int32)
    white = torch.maximum(2 * levels, 3 * bright + 255)
    snow = (flakes.to(torch.int32) + flakes.flip((1, 2)))[..., None]
    return (2 * kept * levels + (4096 - kept) * white + 8192 * snow + 4096) >> 13


def spatter(
    images: Tensor,
    pixels: Tensor,
    *,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    edge: float,
    opacity: float,
    mud: int,
    fuse: bool = False,
) -> Tensor:
    """Splash water, or mud if `mud` is 1: normal noise, blurred by `sigma` and thresholded [HD].

    `edge` is the sigma of the mud's edges, in pixels; `opacity` that of the water. `images` uint8 (N, H, W, C);
    `pixels` int32 (N, H, W), 0 to 65535. Return a new tensor like `images`.
    """
    liquid = precipitation.layer("spatter", mean, spread, threshold)
    share = fraction("spatter", "opacity", opacity)
    colour = _colour(images.shape[3], precipitation.flag("spatter", "mud", mud), images.device)
    weights, edges = (blur.gaussian_weights("spatter", one).tolist() for one in (sigma, edge))
    normal = _normal(images.device)
    if mud:
        return like(images, compiled(_muddy, fuse)(images, pixels, normal, liquid, weights, edges, colour))
    return like(images, compiled(_wet, fuse)(images, pixels, normal, liquid, weights, share, colour))


@functools.lru_cache(64)
def _colour(channels: int, mud: int, device: torch.device) -> Tensor:
    return constant(np.array(precipitation.colour_of(channels, mud=mud)), torch.int64, device)


def _depth(pixels: Tensor, normal: Tensor, liquid: precipitation.Layer, weights: list[int]) -> Tensor:
    """Return how far the liquid is above the threshold, in 1/4096 level; int64 (N, H, W)."""
    softened = _soften(normal[pixels.to(torch.int64)], weights)
    return liquid.mean - liquid.threshold + ((liquid.spread * softened + 2048) >> 12)


def _muddy(
    images: Tensor,
    pixels: Tensor,
    normal: Tensor,
    liquid: precipitation.Layer,
    weights: list[int],
    edges: list[int],
    colour: Tensor,
) -> Tensor:
    cover = _soften((_depth(pixels, normal, liquid, weights) > 0).to(torch.int64) * 16384, edges)[..., None]
    share = torch.where(cover >= precipitation.DENSE, cover, 0)
    return (images * (16384 - share) + colour * share + 8192) >> 14


def _wet(
    images: Tensor,
    pixels: Tensor,
    normal: Tensor,
    liquid: precipitation.Layer,
    weights: list[int],
    opacity: int,
    colour: Tensor,
) -> Tensor:
    depth = _depth(pixels, normal, liquid, weights)
    slope = _shifted(depth, 1) - _shifted(depth, -1)
    light = torch.where(depth > 0, (depth + 2 * slope).clamp(min=0), 0)
    brightest = light.amax((1, 2), keepdim=True).clamp(min=1)
    shine = torch.div(opacity * light + (brightest >> 1), brightest, rounding_mode="floor")
    return ((images.to(torch.int64) << 12) + shine[..., None] * colour + 2048) >> 12


def _shifted(planes: Tensor, by: int) -> Tensor:
    """Return for each pixel the one that is `by` rows and columns further, inside the image."""
    rows, columns = ((torch.arange(size, device=planes.device) + by).clamp(0, size - 1) for size in planes.shape[1:])
    return planes.index_select(1, rows).index_select(2, columns)


def _soften(planes: Tensor, weights: list[int]) -> Tensor:
    """Blur int64 (N, H, W), down and then across, by the weights 0, 1, .. pixels from the centre."""
    for axis in (1, 2):
        size, reach = planes.shape[axis], len(weights) - 1
        places = torch.arange(-reach, size + reach, device=planes.device).clamp(0, size - 1)
        planes = (weigh(planes.index_select(axis, places), axis, weights) + 8192) >> 14
    return planes
