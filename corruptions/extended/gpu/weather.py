"""The torch kernels of the weather."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from corruptions import lookup
from corruptions.extended.lookup import blur, weather
from corruptions.gpu.levels import luma
from corruptions.gpu.motion import motion_blur
from corruptions.gpu.tensors import compiled, constant

Taps = tuple[Tensor, Tensor, Tensor]
"""Both neighbours of each position along an axis, and the weight of the second in 1/512; int64 (n,)."""


def fog(images: Tensor, words: Tensor, *, amount: float, decay: float, fuse: bool = False) -> Tensor:
    """Add a plasma of up to `amount` times the full range, rougher for a `decay` nearer to 1, and darken again [HD].

    `images` uint8 (N, H, W, C); `words` int64 (N, 32768). Return a new tensor like `images`.
    """
    scales = weather.plasma_scales(decay).tolist()
    return _like(images, compiled(_fog, fuse)(images, words, weather.fog_height(amount), scales))


def _fog(images: Tensor, words: Tensor, height: int, scales: list[int]) -> Tensor:
    brightest = images.amax((1, 2, 3), keepdim=True).to(torch.int64)
    # A black image stays black, whatever it is divided by.
    whole = (16 * brightest + height).clamp(min=1)
    kept = torch.div((brightest << 18) + (whole >> 1) * (brightest > 0), whole, rounding_mode="floor")
    plasma = _stretched(_plasma(words, scales))
    rows, columns = (torch.arange(size, device=images.device) % weather.SIDE for size in images.shape[1:3])
    veil = height * plasma[:, rows][:, :, columns, None]
    return (((images.to(torch.int64) << 16) + veil) * kept + (1 << 29)) >> 30


def _plasma(words: Tensor, scales: list[int]) -> Tensor:
    """Return a map by the diamond-square method, int64 (N, 256, 256), which repeats at its edges."""
    side = weather.SIDE
    drawn = torch.stack((words & 65535, words >> 16), dim=2).reshape(-1, side, side) - 32768
    plasma = torch.zeros_like(drawn)
    step = side
    for scale in scales:
        half = step // 2
        moved = (scale * drawn[:, ::half, ::half] + (1 << 14)) >> 15
        corners = plasma[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        middles = ((pairs + pairs.roll(-1, 2) + 2) >> 2) + moved[:, 1::2, 1::2]
        upright, level = middles + middles.roll(1, 1), middles + middles.roll(1, 2)
        plasma[:, half::step, half::step] = middles
        plasma[:, ::step, half::step] = ((upright + corners + corners.roll(-1, 2) + 2) >> 2) + moved[:, ::2, 1::2]
        plasma[:, half::step, ::step] = ((level + corners + corners.roll(-1, 1) + 2) >> 2) + moved[:, 1::2, ::2]
        step = half
    return plasma


def _stretched(plasma: Tensor) -> Tensor:
    """Bring the lowest point of each map to 0 and the highest to 4096."""
    low, high = plasma.amin((1, 2), keepdim=True), plasma.amax((1, 2), keepdim=True)
    span = (high - low).clamp(min=1)
    return torch.div((plasma - low) * 4096 + span // 2, span, rounding_mode="floor")


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
    flakes = weather.layer("snow", mean, spread, threshold)
    kept = weather.fraction("snow", "keep", keep)
    lookup.check_zooms((percent,))
    down, across = (_taps(size, percent, images.device) for size in images.shape[1:3])
    layer = compiled(_lay, fuse)(pixels, _normal(images.device), flakes, down, across)
    # Across first: the flakes fall.
    fallen = motion_blur(layer.transpose(1, 2)[..., None], words[:, 0] >> 24, radius=radius, sigma=sigma, fuse=fuse)
    return _like(images, compiled(_whiten, fuse)(images, luma(images), fallen[..., 0].transpose(1, 2), kept))


@functools.lru_cache(64)
def _taps(size: int, percent: int, device: torch.device) -> Taps:
    ((first,), (weight,)) = lookup.zoom_taps(size, (percent,))
    places = (first, np.minimum(first + 1, size - 1), weight)
    one, other, share = (constant(place, torch.int64, device) for place in places)
    return one, other, share


@functools.lru_cache(64)
def _normal(device: torch.device) -> Tensor:
    return constant(lookup.normal_table(), torch.int64, device)


def _lay(pixels: Tensor, normal: Tensor, flakes: weather.Layer, down: Taps, across: Taps) -> Tensor:
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


def frost(images: Tensor, words: Tensor, *, keep: float, ice: float, fuse: bool = False) -> Tensor:
    """Keep a fraction `keep` of the image and add `ice` times a picture of crystals [HD].

    `images` uint8 (N, H, W, C); `words` int64 (N, 96). Return a new tensor like `images`.
    """
    shares = weather.fraction("frost", "keep", keep), weather.fraction("frost", "ice", ice)
    return _like(images, compiled(_frost, fuse)(images, words, _directions(images.device), shares))


@functools.lru_cache(64)
def _directions(device: torch.device) -> Tensor:
    return constant(weather.directions(), torch.int64, device)


def _frost(images: Tensor, words: Tensor, directions: Tensor, shares: tuple[int, int]) -> Tensor:
    height, width = images.shape[1:3]
    unit = max(1, min(height, width) // 28)
    spacing = 4096 * max(2, unit // 2 + 1)
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    crystals = torch.zeros(images.shape[:3], dtype=torch.int64, device=images.device)
    for place, form in zip(words[:, 0::2].unbind(1), words[:, 1::2].unbind(1), strict=True):
        column = (((place >> 16) * width) >> 16)[:, None, None]
        row = (((place & 65535) * height) >> 16)[:, None, None]
        cosine, sine = (part[:, None, None] for part in directions[form >> 24].unbind(1))
        length = (unit * 16384 + (((form & 65535) * unit * 20480) >> 16))[:, None, None]
        along = (cosine * (columns - column) + sine * (rows - row)).abs()
        aside = (cosine * (rows - row) - sine * (columns - column)).abs()
        left = (length - along).clamp(min=0)
        stem = 256 - torch.div(aside * 256, unit * 512 + 2048, rounding_mode="floor")
        between = (along + (aside >> 1)) % spacing
        branch = 256 - torch.div(1024 * torch.minimum(between, spacing - between), spacing, rounding_mode="floor")
        white = torch.where(2 * aside < left, torch.maximum(stem, (branch * 3) >> 2), stem)
        tip = torch.div(left * 256, unit * 8192, rounding_mode="floor").clamp(max=256)
        crystals = torch.maximum(crystals, (white * tip) >> 8)
    frozen = shares[1] * (70 + ((170 * crystals) >> 8)) + 2048
    return (shares[0] * images.to(torch.int64) + frozen[..., None]) >> 12


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
    liquid = weather.layer("spatter", mean, spread, threshold)
    share = weather.fraction("spatter", "opacity", opacity)
    colour = _colour(images.shape[3], weather.flag("spatter", "mud", mud), images.device)
    weights, edges = (blur.gaussian_weights("spatter", one).tolist() for one in (sigma, edge))
    normal = _normal(images.device)
    if mud:
        return _like(images, compiled(_muddy, fuse)(images, pixels, normal, liquid, weights, edges, colour))
    return _like(images, compiled(_wet, fuse)(images, pixels, normal, liquid, weights, share, colour))


@functools.lru_cache(64)
def _colour(channels: int, mud: int, device: torch.device) -> Tensor:
    return constant(np.array(weather.colour_of(channels, mud=mud)), torch.int64, device)


def _depth(pixels: Tensor, normal: Tensor, liquid: weather.Layer, weights: list[int]) -> Tensor:
    """Return how far the liquid is above the threshold, in 1/4096 level; int64 (N, H, W)."""
    softened = _soften(normal[pixels.to(torch.int64)], weights)
    return liquid.mean - liquid.threshold + ((liquid.spread * softened + 2048) >> 12)


def _muddy(
    images: Tensor,
    pixels: Tensor,
    normal: Tensor,
    liquid: weather.Layer,
    weights: list[int],
    edges: list[int],
    colour: Tensor,
) -> Tensor:
    cover = _soften((_depth(pixels, normal, liquid, weights) > 0).to(torch.int64) * 16384, edges)[..., None]
    share = torch.where(cover >= weather.DENSE, cover, 0)
    return (images * (16384 - share) + colour * share + 8192) >> 14


def _wet(
    images: Tensor,
    pixels: Tensor,
    normal: Tensor,
    liquid: weather.Layer,
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
        places = torch.arange(planes.shape[axis], device=planes.device)
        total = 8192 + weights[0] * planes
        for distance, weight in enumerate(weights[1:], 1):
            for place in (places - distance, places + distance):
                total = total + weight * planes.index_select(axis, place.clamp(0, planes.shape[axis] - 1))
        planes = total >> 14
    return planes


def _like(images: Tensor, levels: Tensor) -> Tensor:
    """Return levels, limited to 0..255, in the memory order of the images."""
    return torch.empty_like(images).copy_(levels.clamp(0, 255))
