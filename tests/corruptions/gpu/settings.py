"""Settings of torch that a caller may have made, none of which may reach the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


@contextmanager
def _low_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    tf32, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32, cudnn
        torch.set_float32_matmul_precision(before)


@contextmanager
def _benchmark() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def _half_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def autocast(device: str) -> AbstractContextManager[None]:
    return torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16)


SETTINGS: dict[str, Callable[[str], AbstractContextManager[None]]] = {
    "low precision": lambda device: _low_precision(),
    "cudnn.benchmark": lambda device: _benchmark(),
    "deterministic": lambda device: _deterministic(),
    "default dtype": lambda device: _half_by_default(),
    "autocast": autocast,
    "inference mode": lambda device: torch.inference_mode(),
    "default device": lambda device: torch.device("meta"),
}
"""By name, a context that makes the setting on a type of device and restores what was."""
