"""The draws of `corruptions.draws` in torch, on any device: the same Philox words, hence the same uniforms and angles.

Philox works on unsigned 32-bit words; here they stand in int64, and no product leaves its range.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import Key
from corruptions.gpu.tables import as_asked, table

# Salmon et al. 2011, table 2: multipliers and Weyl increments of Philox4x32.
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, rounds: Tensor) -> Words:
    """Return the four words of Philox4x32-10 at a counter of four words, int64 holding 0..2^32 - 1.

    `rounds` are the key's `round_keys`.
    """
    c0, c1, c2, c3 = counter
    for k0, k1 in rounds.unbind():
        high0, low0 = _product(c0, _M0)
        high1, low1 = _product(c2, _M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


@functools.lru_cache(64)
def round_keys(key: Key, device: torch.device) -> Tensor:
    """Return the key of each of the ten rounds; int64 (10, 2)."""
    steps = [[(key[0] + turn * _W0) & _WORD, (key[1] + turn * _W1) & _WORD] for turn in range(10)]
    return table(np.array(steps, np.int64), torch.int64, device)


def _product(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """Return the high and the low word of a 64-bit product.

    Both multipliers pass 2^31, so multiplier - 2^32 is negative and below 2^30 in size: this product stays inside
    int64, has the same low word, and a high word that is less by `word` itself.
    """
    product = word * (multiplier - 2**32)
    return (product >> 32) + word, product & _WORD


def _counters(indices: Sequence[int] | Tensor, device: torch.device) -> Tensor:
    if isinstance(indices, Tensor):
        return indices.to(device=device, dtype=torch.int64)
    return torch.from_numpy(np.array(indices, np.int64)).to(device)


def uniforms(
    key: Key, indices: Sequence[int] | Tensor, size: int, device: torch.device, *, fuse: bool = False
) -> Tensor:
    """Draw `size` 16-bit uniforms for each image index; int32 (N, size), element e in C-order of (H, W, C)."""
    # The block numbers come in as an argument: torch.compile (2.13) narrows an arange inside to 32 bits, and Philox's
    # products then overflow.
    blocks = torch.arange((size + 7) // 8, dtype=torch.int64, device=device)
    return as_asked(_uniforms, fuse)(_counters(indices, device), blocks, round_keys(key, device))[:, :size]


def _uniforms(images: Tensor, blocks: Tensor, rounds: Tensor) -> Tensor:
    shape = (len(images), len(blocks))
    counter0, counter1 = blocks[None, :].expand(shape), images[:, None].expand(shape)
    zero = torch.zeros_like(counter0)
    words = torch.stack(philox((counter0, counter1, zero, zero), rounds), dim=2)
    halves = torch.stack((words & 0xFFFF, words >> 16), dim=3).to(torch.int32)
    return halves.reshape(len(images), 8 * len(blocks))


def angles(key: Key, indices: Sequence[int] | Tensor, device: torch.device) -> Tensor:
    """Draw one motion direction for each image index; int64 (N,), 0 to 255."""
    images = _counters(indices, device)
    zero = torch.zeros_like(images)
    return philox((zero, images, zero, zero), round_keys(key, device))[0] >> 24
