"""Corrupt tensors where they are, or NumPy images on a device of one's choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import PhiloxKey
from corruptions.gpu.draws import draw
from corruptions.spec import (
    BackendUnavailable,
    DrawKey,
    Images,
    Indices,
    Strength,
    check_indices,
    find_kernel,
)


def corrupt(
    images: Tensor,
    name: str,
    severity: int,
    *,
    dataset: str,
    split: str,
    indices: Sequence[int] | Tensor | None = None,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    channels_first: bool = False,
    fuse: bool = False,
) -> Tensor:
    """Corrupt a batch on the device that it is on, at one severity.

    Args:
        images: uint8 (N, H, W, C), or (N, C, H, W) with `channels_first`; any strides; C = 1 or 3, H and W >= 2.
        name: this and what is not explained here, as in `corruptions.corrupt`.
        severity: 1 to 5.
        dataset: with `split`, `seed` and `name` the key of the random numbers.
        split: ``train``, ``val`` or ``test``.
        indices: position of each image in its split; 0..N-1 by default. The range of a tensor is not checked.
        seed: any integer, Python's or NumPy's.
        profile: one of `corruptions.PROFILES`.
        column: the data set whose column of the profile ``modality`` is used; `dataset` by default.
        channels_first: whether axis 1 is the channels; the random numbers are those of (H, W, C) all the same.
        fuse: whether torch.compile may fuse the kernel; it compiles anew for each shape.

    Returns:
        A new tensor of the same shape, on the same device, in the same memory order.

    Raises:
        TypeError: `images` is not a uint8 tensor, or `seed` is not an integer.
        ValueError: an argument is outside what is listed above.
    """
    key = DrawKey(dataset=dataset, split=split, seed=seed, profile=profile, column=column)
    strength = key.strength(name, severity)
    channels_last = images.permute(0, 2, 3, 1) if channels_first and images.ndim == 4 else images
    _check_tensor(channels_last)
    counters = _check_indices(indices, len(images))
    drawn = draw(strength, key.philox(name), counters, channels_last.shape, images.device, fuse=fuse)
    result = apply(channels_last, strength, drawn, fuse=fuse)
    return result.permute(0, 3, 1, 2) if channels_first else result


def run(
    images: Images,
    strengths: Sequence[Strength],
    key: PhiloxKey,
    indices: Indices,
    device: str | torch.device | None = None,
) -> Iterator[Images]:
    """Yield NumPy images at each of `strengths`, which are of one kernel; draw once, on `device`."""
    selected = select_device(device)
    tensor = torch.from_numpy(np.array(images)).to(selected)
    drawn = draw(strengths[0], key, indices, images.shape, selected)
    return (apply(tensor, strength, drawn).contiguous().cpu().numpy() for strength in strengths)


def apply(images: Tensor, strength: Strength, drawn: tuple[Tensor, ...], *, fuse: bool = False) -> Tensor:
    """Run the kernel of `strength` on uint8 (N, H, W, C) with the random numbers drawn for it."""
    result: Tensor = find_kernel("gpu", strength.kernel)(images, *drawn, **strength.parameters, fuse=fuse)
    return result


def select_device(device: str | torch.device | None = None) -> torch.device:
    """Return `device`, or the current CUDA device if it is None; BackendUnavailable if it is not there."""
    try:
        selected = torch.device("cuda" if device is None else device)
    except RuntimeError:
        raise BackendUnavailable(f"torch knows no device {str(device)!r}; try cuda, cuda:0 or cpu") from None
    if selected.type == "cuda" and (selected.index or 0) >= torch.cuda.device_count():
        raise BackendUnavailable(
            f"backend 'gpu' finds {torch.cuda.device_count()} CUDA devices and was asked for {selected}; use a machine"
            " with one, backend 'cpu' (the same bytes), or device 'cpu' for the torch kernels on the CPU"
        )
    return selected


def _check_tensor(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be a uint8 tensor of shape (N, H, W, C), not {images.dtype}")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 2:
        raise ValueError(
            f"images must have shape (N, H, W, C), or (N, C, H, W) with channels_first, with C 1 or 3 and H, W >= 2;"
            f" as (N, H, W, C) they have {tuple(images.shape)}"
        )


def _check_indices(indices: Sequence[int] | Tensor | None, count: int) -> Indices | Tensor:
    if not isinstance(indices, Tensor):
        return check_indices(indices, count)
    if indices.shape != (count,) or indices.dtype.is_floating_point:
        raise ValueError(f"indices must be {count} integers, one per image, not {indices.dtype} {tuple(indices.shape)}")
    return indices
