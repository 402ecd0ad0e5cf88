"""The backend ``cpu``: kernels in integer arithmetic, compiled by Numba, one thread a call, the GIL released.

Images are uint8 (N, H, W, C) with values 0 to 255, C = 1 or 3, C-contiguous; every kernel returns a new array of the
same shape. A kernel never draws: chance comes in as `uniforms` (uint16, the images' shape) or `angles` (uint8, (N,)).
docs/corruptions.md defines each of them to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from corruptions import draws
from corruptions.cpu.levels import (
    add_value,
    channel_mean,
    channel_mean_sweep,
    gaussian_noise,
    gaussian_noise_sweep,
    impulse_noise,
    luma_mean,
    luma_mean_sweep,
    scale,
)
from corruptions.cpu.motion import motion_blur
from corruptions.cpu.pixelate import pixelate
from corruptions.cpu.zoom import zoom_blur, zoom_blur_sweep

__all__ = [
    "add_value",
    "channel_mean",
    "channel_mean_sweep",
    "gaussian_noise",
    "gaussian_noise_sweep",
    "impulse_noise",
    "luma_mean",
    "luma_mean_sweep",
    "motion_blur",
    "pixelate",
    "scale",
    "warm",
    "zoom_blur",
    "zoom_blur_sweep",
]


def warm(*kernels: str) -> Iterator[str]:
    """Compile the kernels named, or all, or load them from Numba's cache; yield the name of each as it gets ready.

    Without it the first call of a kernel waits for the compiler: up to three seconds of a core, once a machine.
    """
    images = np.zeros((1, 2, 2, 3), np.uint8)
    uniforms = draws.uniforms((0, 0), [0], images.size).reshape(images.shape)
    angles = draws.angles((0, 0), [0])
    calls: dict[str, Callable[[], object]] = {
        "gaussian_noise": lambda: gaussian_noise(images, uniforms, std=0.1),
        "impulse_noise": lambda: impulse_noise(images, uniforms, amount=0.1),
        "motion_blur": lambda: motion_blur(images, angles, radius=1, sigma=1),
        "zoom_blur": lambda: zoom_blur(images, percents=[100, 110]),
        "add_value": lambda: (add_value(images, delta=0.1), add_value(images[..., :1], delta=0.1)),
        "scale": lambda: scale(images, percent=100),
        "channel_mean": lambda: channel_mean(images, percent=100),
        "luma_mean": lambda: luma_mean(images, percent=100),
        "pixelate": lambda: pixelate(images, percent=100),
    }
    for kernel in kernels or calls:
        calls[kernel]()
        yield kernel
