"""The torch devices that params.yaml and the command line name."""

from __future__ import annotations

import torch

from pipeline.errors import UserError


def parse_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:K``.

    Raises:
        UserError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise UserError(f"no device {name!r}; have auto, cpu, cuda, cuda:K")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(index or 0) >= count:
        raise UserError(f"device {name} was asked for, and torch sees {count or 'none'}; have auto, cpu")
    return torch.device(name)


def list_devices(name: str) -> list[torch.device]:
    """Return every device that ``auto``, ``cpu`` or ``cuda`` stands for: all GPUs, or the CPU alone."""
    first = parse_device(name)
    count = torch.cuda.device_count() if first == torch.device("cuda") else 0
    return [torch.device("cuda", k) for k in range(count)] if count > 1 else [first]
