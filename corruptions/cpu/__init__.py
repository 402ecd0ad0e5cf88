"""The backend ``cpu``: kernels in integer arithmetic, compiled by Numba, one thread a call, the GIL released.

Images are uint8 (N, H, W, C), levels 0 to 255, C = 1 or 3, C-contiguous; every kernel returns a new array of the same
shape. A kernel never draws: random numbers are its arguments `uniforms` (uint16, the images' shape), `pixels` (uint16,
(N, H, W)), `angles` (uint8, (N,)) or `words` (uint32, (N, W)). A kernel whose severities share more work than that has
a second function, ``<kernel>_sweep``, which takes a list of each parameter and returns a list of results.
docs/corruptions.md defines each kernel to the bit; the tags [HD] and [MM] in the kernels' docstrings are the sources
named in `corruptions.table`.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from corruptions.cpu.draws import draw
from corruptions.draws import PhiloxKey
from corruptions.spec import EVERY, PROFILES, Images, Indices, Strength, find_kernel, strength
from corruptions.table import COLUMNS, KERNELS

__all__ = ["run", "warm"]


def run(images: Images, strengths: Sequence[Strength], key: PhiloxKey, indices: Indices) -> Iterator[Images]:
    """Yield the images at each of `strengths`, which are of one kernel; the random numbers are drawn once."""
    name = strengths[0].kernel
    kernel = find_kernel("cpu", name)
    drawn = draw(strengths[0], key, indices, images.shape)
    sweep = getattr(importlib.import_module(kernel.__module__), f"{name}_sweep", None)
    if sweep is None:
        return (kernel(images, *drawn, **strength.parameters) for strength in strengths)
    parameters = {key: [strength.parameters[key] for strength in strengths] for key in strengths[0].parameters}
    return iter(sweep(images, *drawn, **parameters))


def warm(*kernels: str) -> Iterator[str]:
    """Compile the named kernels, or those of the seven, or load them from Numba's cache; yield each that is ready.

    Without it the first call of a kernel waits for the compiler: up to three seconds of a core, once a machine.
    """
    strengths = [
        strength(name, 1, profile=profile, column=next(iter(COLUMNS))) for profile in PROFILES for name in EVERY
    ]
    by_kernel = {strength.kernel: strength for strength in strengths}
    for kernel in kernels or KERNELS:
        # Grey and colour may take different functions.
        for channels in (1, 3):
            images = np.zeros((1, 2, 2, channels), np.uint8)
            deque(run(images, [by_kernel[kernel]], (0, 0), [0]), maxlen=0)
        yield kernel
