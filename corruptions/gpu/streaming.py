"""Corrupt more images than fit on a device: copies and kernels at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import PhiloxKey
from corruptions.gpu.api import apply, select_device
from corruptions.gpu.draws import draw
from corruptions.spec import SEVERITIES, DrawKey, Images, Strength, check_images


def stream(
    chunks: Iterable[Images],
    name: str,
    key: DrawKey,
    *,
    severities: Sequence[int] = SEVERITIES,
    start: int = 0,
    device: str | torch.device | None = None,
    fuse: bool = False,
) -> Iterator[list[Images]]:
    """Corrupt chunk after chunk; yield for each the list of its images at `severities`, uint8 (n, H, W, C).

    The next chunk is copied and computed while the caller uses the last: two slots, each with a CUDA stream and pinned
    buffers of its own. So a result is valid until the next one is asked for; copy what is to stay. On a CPU the same
    code runs without streams and pins. The severities share their random numbers.

    Args:
        chunks: uint8 (n, H, W, C) each, as in `corruptions.corrupt`.
        name: one of `corruptions.CORRUPTIONS`.
        key: of the random numbers and the table.
        severities: 1 to 5.
        start: position of the first image in its split.
        device: where to work, such as ``cuda:1`` or ``cpu``; the current CUDA device by default.
        fuse: whether torch.compile may fuse the kernel; it compiles anew for each shape.

    Raises:
        TypeError: a chunk is not a uint8 array.
        ValueError: an argument is outside what is listed above.
        BackendUnavailable: there is no such device.
    """
    strengths = [key.strength(name, severity) for severity in severities]
    return _stream(chunks, strengths, key.philox(name), start, select_device(device), fuse)


def _stream(
    chunks: Iterable[Images],
    strengths: Sequence[Strength],
    key: PhiloxKey,
    start: int,
    device: torch.device,
    fuse: bool,
) -> Iterator[list[Images]]:
    idle, busy = _Slot(device), None
    for chunk in chunks:
        idle.begin(check_images(chunk), strengths, key, start, fuse)
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

    def begin(self, chunk: Images, strengths: Sequence[Strength], key: PhiloxKey, start: int, fuse: bool) -> None:
        """Queue the work on `chunk`; the slot's last results are overwritten."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            staged = self._buffer(0, chunk.shape)
            np.copyto(staged.numpy(), chunk)
            images = staged.to(self._device, non_blocking=True)
            indices = range(start, start + len(chunk))
            drawn = draw(strengths[0], key, indices, images.shape, self._device, fuse=fuse)
            self._results = []
            for number, strength in enumerate(strengths, 1):
                result = self._buffer(number, chunk.shape)
                result.copy_(apply(images, strength, drawn, fuse=fuse), non_blocking=True)
                self._results.append(result)

    def finish(self) -> list[Images]:
        """Wait for the work, and return its results in the slot's buffers."""
        if self._stream is not None:
            self._stream.synchronize()
        return [result.numpy() for result in self._results]

    def _buffer(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """Return a host buffer, pinned if there is a CUDA device to copy to, reused while it is large enough."""
        buffer = self._buffers.get(number)
        if buffer is None or len(buffer) < shape[0] or buffer.shape[1:] != shape[1:]:
            buffer = torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=self._stream is not None)
            self._buffers[number] = buffer
        return buffer[: shape[0]]
