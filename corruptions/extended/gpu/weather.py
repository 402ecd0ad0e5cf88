"""The torch kernels of fog and frost."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import weather
from corruptions.gpu.tensors import compiled, constant, like


def fog(images: Tensor, words: Tensor, *, amount: float, decay: float, fuse: bool = False) -> Tensor:
    """Add a plasma of up to `amount` times the full range, rougher for a `decay` nearer to 1, and darken again [HD].

    `images` uint8 (N, H, W, C); `words` int64 (N, 32768). Return a new tensor like `images`.
    """
    scales = weather.plasma_scales(decay).tolist()
    return like(images, compiled(_fog, fuse)(images, words, weather.fog_height(amount), scales))


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


def frost(images: Tensor, words: Tensor, *, keep: float, ice: float, fuse: bool = False) -> Tensor:
    """Keep a fraction `keep` of the image and add `ice` times a picture of crystals [HD].

    `images` uint8 (N, H, W, C); `words` int64 (N, 96). Return a new tensor like `images`.
    """
    shares = weather.fraction("frost", "keep", keep), weather.fraction("frost", "ice", ice)
    return like(images, compiled(_frost, fuse)(images, words, _directions(images.device), shares))


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
