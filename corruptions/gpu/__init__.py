"""The kernels of `corruptions.cpu` in torch and kornia: the same names, the same bytes, on any device.

Three ways in: `corruptions.corrupt(..., backend="gpu")` for NumPy arrays; `corrupt` here for tensors that are on
their device already, (N, H, W, C) or (N, C, H, W); `stream` for more images than fit, with copies and kernels at the
same time. Pixels go through integers, or through floats that hold every sum exactly, so no setting of the caller
(TF32, cudnn.benchmark, autocast, memory format, default dtype) reaches the bytes: docs/exactness.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions import SEVERITIES, BackendUnavailable, Strength, draws
from corruptions.table import DRAWS

try:
    import kornia  # noqa: F401
    import torch
    from torch import Tensor
except ImportError as missing:
    raise BackendUnavailable(
        f"backend 'gpu' needs torch and kornia ({missing}); install them with: pip install 'medimeta-c[gpu]'"
    ) from missing

from corruptions.gpu import draws as gpu_draws
from corruptions.gpu.levels import add_value, channel_mean, gaussian_noise, impulse_noise, luma_mean, scale
from corruptions.gpu.spatial import motion_blur, pixelate, zoom_blur

__all__ = [
    "add_value",
    "apply",
    "channel_mean",
    "chosen_device",
    "corrupt",
    "gaussian_noise",
    "give",
    "impulse_noise",
    "luma_mean",
    "motion_blur",
    "pixelate",
    "scale",
    "stream",
    "take",
    "zoom_blur",
]

_KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        add_value,
        channel_mean,
        gaussian_noise,
        impulse_noise,
        luma_mean,
        motion_blur,
        pixelate,
        scale,
        zoom_blur,
    )
}


def chosen_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or the current CUDA device; BackendUnavailable if it is not there."""
    try:
        chosen = torch.device("cuda" if device is None else device)
    except RuntimeError:
        raise BackendUnavailable(f"torch knows no device {str(device)!r}; try cuda, cuda:0 or cpu") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BackendUnavailable(
            f"backend 'gpu' finds {torch.cuda.device_count()} CUDA devices and was asked for {chosen}; use a machine"
            " with one, backend 'cpu' (the same bytes), or device 'cpu' for the torch kernels on the CPU"
        )
    return chosen


def take(array: NDArray[Any], device: str | None = None) -> Tensor:
    """Bring images (uint8), uniforms (uint16) or angles (uint8) to the device; uniforms become int32."""
    wanted = chosen_device(device)
    owned = np.array(array, np.int32 if array.dtype == np.uint16 else array.dtype)
    return torch.from_numpy(owned).to(wanted)


def give(images: Tensor) -> NDArray[np.uint8]:
    """Bring a result back."""
    result: NDArray[np.uint8] = images.contiguous().cpu().numpy()
    return result


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
        name: with all that is not listed here, as in `corruptions.corrupt`.
        severity: 1 to 5.
        dataset: with `split`, `seed` and `name` the key of the draws.
        split: ``train``, ``val`` or ``test``.
        indices: position of each image in its split; 0..N-1 if not given. A tensor's range is not checked.
        seed: of the draws.
        profile: one of `corruptions.PROFILES`.
        column: the data set whose column of the profile ``modality`` is taken, if not `dataset`'s own.
        channels_first: whether axis 1 is the channels; the draws are those of (H, W, C) all the same.
        fuse: whether torch.compile may fuse the kernel; it compiles anew for each shape.

    Returns:
        A new tensor of the same shape, on the same device, in the same memory order.

    Raises:
        TypeError: `images` is not a uint8 tensor.
        ValueError: an argument is outside what is listed above.
    """
    chosen = corruptions.strength(name, severity, profile=profile, column=dataset if column is None else column)
    key = _checked_key(seed, dataset, split, name)
    viewed = images.permute(0, 2, 3, 1) if channels_first and images.ndim == 4 else images
    checked_images(viewed)
    places = _checked_places(indices, len(viewed))
    result = apply(viewed, chosen, drawn(viewed, chosen, key, places, fuse=fuse), fuse=fuse)
    return result.permute(0, 3, 1, 2) if channels_first else result


def _checked_key(seed: int, dataset: str, split: str, name: str) -> draws.Key:
    if not dataset.isascii():
        raise ValueError(f"a data set's name is ASCII text, not {dataset!r}")
    if split not in ("train", "val", "test"):
        raise ValueError(f"no split {split!r}; have train, val, test")
    return draws.key(seed, dataset, split, name)


def checked_images(images: Tensor) -> None:
    """Raise TypeError or ValueError unless `images` is a batch (N, H, W, C) that the kernels take."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be a uint8 tensor of shape (N, H, W, C), not {images.dtype}")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 2:
        raise ValueError(
            f"images must have shape (N, H, W, C), or (N, C, H, W) with channels_first, with C 1 or 3 and H, W >= 2;"
            f" as (N, H, W, C) they have {tuple(images.shape)}"
        )


def _checked_places(indices: Sequence[int] | Tensor | None, count: int) -> Sequence[int] | Tensor:
    if indices is None:
        return range(count)
    if not isinstance(indices, Tensor):
        checked: Sequence[int] = corruptions._checked_indices(indices, count)
        return checked
    if indices.shape != (count,) or indices.dtype.is_floating_point:
        raise ValueError(f"indices must be {count} integers, one per image, not {indices.dtype} {tuple(indices.shape)}")
    return indices


def drawn(
    images: Tensor, chosen: Strength, key: draws.Key, indices: Sequence[int] | Tensor, *, fuse: bool = False
) -> tuple[Tensor, ...]:
    """Draw on the images' device what the kernel takes beside its images: uniforms, angles or nothing."""
    kind = DRAWS.get(chosen.kernel)
    if kind is None:
        return ()
    if kind == "angles":
        return (gpu_draws.angles(key, indices, images.device),)
    size = images.shape[1] * images.shape[2] * images.shape[3]
    return (gpu_draws.uniforms(key, indices, size, images.device, fuse=fuse).reshape(images.shape),)


def apply(images: Tensor, chosen: Strength, drawn: tuple[Tensor, ...], *, fuse: bool = False) -> Tensor:
    """Run one cell's kernel on uint8 (N, H, W, C) with what was drawn for it."""
    result: Tensor = _KERNELS[chosen.kernel](images, *drawn, **chosen.parameters, fuse=fuse)  # type: ignore[operator]
    return result


def stream(
    chunks: Iterable[NDArray[np.uint8]],
    name: str,
    severities: Sequence[int] = SEVERITIES,
    *,
    dataset: str,
    split: str,
    start: int = 0,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    device: str | torch.device | None = None,
    fuse: bool = False,
) -> Iterator[list[NDArray[np.uint8]]]:
    """Corrupt chunk after chunk; yield for each the list of its images at `severities`, uint8 (n, H, W, C).

    The next chunk is copied and computed while the caller uses the last: two slots, each with a CUDA stream and
    pinned buffers of its own. So what is yielded is only good until the next is asked for; copy what is to stay.
    On a CPU the same code runs without streams and pins. Draws once for all severities. The first chunk begins at
    index `start` of its split; other arguments and errors are those of `corruptions.corrupt`.
    """
    column = dataset if column is None else column
    strengths = [corruptions.strength(name, severity, profile=profile, column=column) for severity in severities]
    key = _checked_key(seed, dataset, split, name)
    return _streamed(chunks, strengths, key, start, chosen_device(device), fuse)


def _streamed(
    chunks: Iterable[NDArray[np.uint8]],
    strengths: Sequence[Strength],
    key: draws.Key,
    start: int,
    device: torch.device,
    fuse: bool,
) -> Iterator[list[NDArray[np.uint8]]]:
    idle, busy = _Slot(device), None
    for chunk in chunks:
        idle.begin(corruptions._checked(chunk), strengths, key, start, fuse)
        start += len(chunk)
        if busy is not None:
            yield busy.finish()
        idle, busy = busy or _Slot(device), idle
    if busy is not None:
        yield busy.finish()


class _Slot:
    """One chunk on its way: up, through the kernels and down, all in the order of the slot's own stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._buffers: dict[int, Tensor] = {}
        self._results: list[Tensor] = []

    def begin(
        self,
        chunk: NDArray[np.uint8],
        strengths: Sequence[Strength],
        key: draws.Key,
        start: int,
        fuse: bool,
    ) -> None:
        """Queue the work on `chunk`; the slot's last results are overwritten."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            staged = self._buffer(0, chunk.shape)
            np.copyto(staged.numpy(), chunk)
            images = staged.to(self._device, non_blocking=True)
            with_draws: dict[str, tuple[Tensor, ...]] = {}
            self._results = []
            for number, chosen in enumerate(strengths, 1):
                kind = DRAWS.get(chosen.kernel, "nothing")
                if kind not in with_draws:
                    with_draws[kind] = drawn(images, chosen, key, range(start, start + len(chunk)), fuse=fuse)
                result = self._buffer(number, chunk.shape)
                result.copy_(apply(images, chosen, with_draws[kind], fuse=fuse), non_blocking=True)
                self._results.append(result)

    def finish(self) -> list[NDArray[np.uint8]]:
        """Wait for the work, and return its results in the slot's buffers."""
        if self._stream is not None:
            self._stream.synchronize()
        return [result.numpy() for result in self._results]

    def _buffer(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """Return a host buffer, pinned if there is a CUDA device to copy to, reused while it is large enough."""
        have = self._buffers.get(number)
        if have is None or len(have) < shape[0] or have.shape[1:] != shape[1:]:
            have = torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=self._stream is not None)
            self._buffers[number] = have
        return have[: shape[0]]
