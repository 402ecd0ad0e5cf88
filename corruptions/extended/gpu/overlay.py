"""The torch kernel of writing burnt into an image."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from corruptions.extended.lookup import overlay
from corruptions.extended.lookup.overlay import ADVANCE, FEWEST_LETTERS, LETTER, LINE, WORDS_EACH
from corruptions.gpu.tensors import compiled, constant, like


def characters(images: Tensor, words: Tensor, *, max_words: int, max_letters: int, fuse: bool = False) -> Tensor:
    """Write 1 to `max_words` texts of 3 to `max_letters` letters into the image, each in a colour of its own [MM].

    `images` uint8 (N, H, W, C); `words` int64 (N, 31). Return a new tensor like `images`.
    """
    overlay.check_writing(max_words, max_letters)
    written = compiled(_write, fuse)(images, words, _font(images.device), max_words, max_letters)
    return like(images, written)


@functools.lru_cache(64)
def _font(device: torch.device) -> Tensor:
    return constant(overlay.font(), torch.bool, device)


def _write(images: Tensor, words: Tensor, font: Tensor, max_words: int, max_letters: int) -> Tensor:
    height, width, channels = images.shape[1:]
    size = max(1, min(height, width) // 224)
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    texts = 1 + _part(words[:, 0] >> 16, max_words)
    for k in range(max_words):
        number, place, colour, first, second = words[:, 1 + WORDS_EACH * k : 1 + WORDS_EACH * (k + 1)].unbind(1)
        length = FEWEST_LETTERS + _part(number >> 16, max_letters - FEWEST_LETTERS + 1)
        left = _part(place >> 16, (width - ADVANCE * size * length + 1).clamp(min=1))[:, None, None]
        top = _part(place & 65535, max(1, height - LINE * size + 1))[:, None, None]
        letters = torch.cat((_spell(first), _spell(second)), dim=1)
        x = torch.div(columns - left, size, rounding_mode="floor")
        y = torch.div(rows - top, size, rounding_mode="floor")
        letter, column = torch.div(x, ADVANCE, rounding_mode="floor"), x % ADVANCE
        inside = (x >= 0) & (letter < length[:, None, None]) & (column < LETTER) & (y >= 0) & (y < LINE)
        inside &= k < texts[:, None, None]
        shape = inside.shape
        which = letter.clamp(0, letters.shape[1] - 1).expand(shape).flatten(1)
        glyph = letters.gather(1, which).reshape(shape)
        ink = font[glyph, y.clamp(0, LINE - 1).expand(shape), column.clamp(max=LETTER - 1).expand(shape)] & inside
        red, green, blue = colour >> 24, (colour >> 16) & 255, (colour >> 8) & 255
        grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        levels = grey[:, None] if channels == 1 else torch.stack((red, green, blue), dim=1)
        images = torch.where(ink[..., None], levels[:, None, None].to(torch.uint8), images)
    return images


def _part(half: Tensor, n: Tensor | int) -> Tensor:
    """Return whole numbers from 0 to n - 1, evenly by 16 random bits."""
    return (half * n) >> 16


def _spell(words: Tensor) -> Tensor:
    """Return five letters, int64 (N, 5), 0 to 25: the digits after the point of fractions of 2^32 in base 26."""
    letters = []
    for _ in range(5):
        words = words * 26
        letters.append(words >> 32)
        words = words & 0xFFFFFFFF
    return torch.stack(letters, dim=1)
