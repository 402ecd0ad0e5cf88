"""The backend ``gpu``: the kernels of ``cpu`` in torch and kornia, with the same names and bytes, on any device.

There are three ways to call it: `corruptions.corrupt(..., backend="gpu")` for NumPy arrays; `corrupt` here for tensors
on any device, (N, H, W, C) or (N, C, H, W); `stream` for more images than fit, which copies and computes at the same
time.

Kernels take uint8 (N, H, W, C), levels 0 to 255, of any strides, and return a tensor in the same memory order. Pixels
go through integers, or through floats that hold every sum exactly, so no setting of the caller (TF32, cudnn.benchmark,
autocast, memory format, default dtype) reaches the bytes: docs/exactness.md. Nothing is compiled unless a caller says
``fuse=True``. The tags [HD] and [MM] in the kernels' docstrings are the sources named in `corruptions.table`.
"""

from __future__ import annotations

from corruptions.spec import BackendUnavailable

try:
    import kornia  # noqa: F401
    import torch  # noqa: F401
except ImportError as missing:
    raise BackendUnavailable(
        f"backend 'gpu' needs torch and kornia ({missing}); in a checkout of this project: pip install -e '.[gpu]'"
    ) from missing

from corruptions.gpu.api import apply, corrupt, run, select_device
from corruptions.gpu.streaming import stream

__all__ = ["apply", "corrupt", "run", "select_device", "stream"]
