"""The torch kernels that move pixels. Positions are in 1/1024 pixel."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import geometry
from corruptions.gpu.tensors import compiled, constant


def elastic_transform(
    images: Tensor, pixels: Tensor, words: Tensor, *, alpha: float, sigma: float, shift: float, fuse: bool = False
) -> Tensor:
    """Stretch the image by moving three corners by up to `shift`, then every pixel by a smooth random field [HD].

    The field is noise from -`alpha` to `alpha`, blurred by `sigma`; all in pixels. `images` uint8 (N, H, W, C);
    `pixels` int32 (N, H, W), 0 to 65535; `words` int64 (N, 3), 0 to 2^32 - 1. Return a new tensor like `images`.
    """
    geometry.check_elastic(alpha, sigma, shift)
    down, across = (_smoothing(n, sigma, images.device) for n in images.shape[1:3])
    scales = geometry.shift_scale(shift), geometry.height_scale(alpha)
    return compiled(_transform, fuse)(images, pixels, words, down, across, scales)


@functools.lru_cache(16)
def _smoothing(n: int, sigma: float, device: torch.device) -> Tensor:
    return constant(geometry.smoothing(n, sigma), torch.float64, device)


def _transform(
    images: Tensor, pixels: Tensor, words: Tensor, down: Tensor, across: Tensor, scales: tuple[int, int]
) -> Tensor:
    row, column = _places(images)
    x, y = _stretch(words, row, column, scales[0])
    stretched = (_sample(images.to(torch.int64), x, y, 1) + 2**13) >> 14
    # Whole numbers whose sums stay below 2^48, so float64 is exact in any order.
    noise = torch.stack((2 * (pixels >> 8) - 255, 2 * (pixels & 255) - 255)).to(torch.float64)
    fields = torch.matmul(torch.matmul(down, noise), across.T).to(torch.int64)
    right, below = ((((fields + 2**19) >> 20) * scales[1] + 2**29) >> 30).unbind()
    moved = _sample(stretched, 1024 * column + right, 1024 * row[:, None] + below, 0)
    return ((moved + 2**25) >> 26).to(torch.uint8)


def _places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of the rows and of the columns; int64 (H,) and (W,)."""
    height, width = images.shape[1:3]
    row = torch.arange(height, dtype=torch.int64, device=images.device)
    return row, torch.arange(width, dtype=torch.int64, device=images.device)


def _stretch(words: Tensor, row: Tensor, column: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Return where the affine map takes each pixel from, across and down; int64 (N, H, W)."""
    x, y, s = geometry.corners(len(row), len(column))
    halves = torch.stack((words >> 16, words & 65535), dim=2)
    moved = (scale * (2 * halves - 65535) + 2**15) >> 16
    corner = [
        (moved[:, k, 0] + 256 * (x + right * s), moved[:, k, 1] + 256 * (y + below * s))
        for k, (right, below) in enumerate(((1, 1), (1, -1), (-1, -1)))
    ]
    ux, uy = corner[0][0] - corner[1][0], corner[0][1] - corner[1][1]
    vx, vy = corner[1][0] - corner[2][0], corner[1][1] - corner[2][1]
    area = ux * vy - uy * vx
    sign = torch.where(area < 0, -2 * s, 2 * s)
    area = area.abs().clamp(min=1)
    above = (256 * row - corner[1][1][:, None])[:, :, None]
    beside = (256 * column - corner[1][0][:, None])[:, None, :]

    def source(start: int, per_column: Tensor, per_row: Tensor) -> Tensor:
        shares = [
            torch.div((sign * part << 29) + area, 2 * area, rounding_mode="floor").clamp(-(2**31), 2**31)
            for part in (per_column, per_row)
        ]
        return 1024 * start + ((shares[0][:, None, None] * beside + shares[1][:, None, None] * above + 2**17) >> 18)

    return source(x + s, -uy, ux), source(y - s, vy, -vx)


def _sample(images: Tensor, x: Tensor, y: Tensor, repeat_less: int) -> Tensor:
    """Return (N, H, W, C) between the pixels at `x`, `y`, int64 (N, H, W), in 2^-20 of their levels.

    Outside the image stands its mirror image, which has the last pixels once more unless `repeat_less` is 1.
    """
    count, height, width, channels = images.shape
    left, right = (_mirrored((x >> 10) + k, width, repeat_less) for k in range(2))
    upper, lower = (_mirrored((y >> 10) + k, height, repeat_less) * width for k in range(2))
    across, down = (x & 1023)[..., None], (y & 1023)[..., None]
    pixels = images.reshape(count, height * width, channels)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row + column).reshape(count, height * width, 1).expand(-1, -1, channels)
        return pixels.gather(1, index).reshape(images.shape)

    top = at(upper, left) * (1024 - across) + at(upper, right) * across
    bottom = at(lower, left) * (1024 - across) + at(lower, right) * across
    return top * (1024 - down) + bottom * down


def _mirrored(index: Tensor, n: int, repeat_less: int) -> Tensor:
    period = 2 * (n - repeat_less)
    place = torch.remainder(index, period)
    return torch.minimum(place, period - 1 + repeat_less - place)
