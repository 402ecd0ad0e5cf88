"""The random numbers of the torch kernels: the Philox words of `cpu.draws` on any device.

Philox works on unsigned 32-bit words; here they are int64, and no product leaves its range.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import INCREMENTS, MULTIPLIERS, ROUNDS, PhiloxKey
from corruptions.gpu.tensors import compiled, constant
from corruptions.spec import Indices, Strength

_M0, _M1 = MULTIPLIERS
_WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, rounds: Tensor) -> Words:
    """Return the four words of Philox4x32-10 at a counter of four words, int64 holding 0..2^32 - 1.

    `rounds` is `round_keys` of the key.
    """
    c0, c1, c2, c3 = counter
    for k0, k1 in rounds.unbind():
        high0, low0 = _product(c0, _M0)
        high1, low1 = _product(c2, _M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


@functools.lru_cache(64)
def round_keys(key: PhiloxKey, device: torch.device) -> Tensor:
    """Return the key of each of the ten rounds; int64 (10, 2)."""
    rounds = [
        [(word + turn * step) & _WORD for word, step in zip(key, INCREMENTS, strict=True)] for turn in range(ROUNDS)
    ]
    return constant(np.array(rounds, np.int64), torch.int64, device)


def _product(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """Return the high and the low word of a 64-bit product.

    Both multipliers pass 2^31, so multiplier - 2^32 is negative and below 2^30 in size: this product stays inside
    int64, has the same low word, and a high word that is less by `word` itself.
    """
    product = word * (multiplier - 2**32)
    return (product >> 32) + word, product & _WORD


def _counters(indices: Indices | Tensor, device: torch.device) -> Tensor:
    if isinstance(indices, Tensor):
        return indices.to(device=device, dtype=torch.int64)
    return torch.from_numpy(np.array(indices, np.int64)).to(device)


def draw(
    strength: Strength,
    key: PhiloxKey,
    indices: Indices | Tensor,
    shape: tuple[int, ...],
    device: torch.device,
    *,
    fuse: bool = False,
) -> tuple[Tensor, ...]:
    """Draw on `device` what the kernel takes beside its images of `shape` (N, H, W, C), each as its function says."""
    by_name: dict[str, Callable[[], Tensor]] = {
        "uniforms": lambda: uniforms(key, indices, math.prod(shape[1:]), device, fuse=fuse).reshape(shape),
        "pixels": lambda: uniforms(key, indices, math.prod(shape[1:3]), device, fuse=fuse).reshape(shape[:3]),
        "angles": lambda: angles(key, indices, device),
        "words": lambda: words(key, indices, strength.words, device),
    }
    return tuple(by_name[name]() for name in strength.draws)


def uniforms(
    key: PhiloxKey, indices: Indices | Tensor, size: int, device: torch.device, *, fuse: bool = False
) -> Tensor:
    """Draw `size` 16-bit uniforms for each image index; int32 (N, size), element e in C order of (H, W, C)."""
    # The block numbers come in as an argument: torch.compile (2.13) narrows an arange inside to 32 bits, and Philox's
    # products then overflow.
    blocks = torch.arange((size + 7) // 8, dtype=torch.int64, device=device)
    return compiled(_uniforms, fuse)(_counters(indices, device), blocks, round_keys(key, device))[:, :size]


def _uniforms(images: Tensor, blocks: Tensor, rounds: Tensor) -> Tensor:
    shape = (len(images), len(blocks))
    counter0, counter1 = blocks[None, :].expand(shape), images[:, None].expand(shape)
    zero = torch.zeros_like(counter0)
    words = torch.stack(philox((counter0, counter1, zero, zero), rounds), dim=2)
    halves = torch.stack((words & 0xFFFF, words >> 16), dim=3).to(torch.int32)
    return halves.reshape(len(images), 8 * len(blocks))


def angles(key: PhiloxKey, indices: Indices | Tensor, device: torch.device) -> Tensor:
    """Draw one direction of motion for each image index; int64 (N,), 0 to 255."""
    images = _counters(indices, device)
    zero = torch.zeros_like(images)
    return philox((zero, images, zero, zero), round_keys(key, device))[0] >> 24


def words(key: PhiloxKey, indices: Indices | Tensor, count: int, device: torch.device) -> Tensor:
    """Draw `count` words for each image index; int64 (N, count), 0 to 2^32 - 1."""
    images = _counters(indices, device)[:, None]
    blocks = torch.arange((count + 3) // 4, dtype=torch.int64, device=device)[None, :]
    shape = (len(images), blocks.shape[1])
    zero = torch.zeros(shape, dtype=torch.int64, device=device)
    counter = (blocks.expand(shape), images.expand(shape), zero + 1, zero)
    return torch.stack(philox(counter, round_keys(key, device)), dim=2).flatten(1)[:, :count]
