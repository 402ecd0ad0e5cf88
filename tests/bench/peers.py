"""Other people's corruptions at our strengths, each where its package is installed: `make bench` brings them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, Strength, strength

COLUMN = "pbc"  # of the modality profile
# The two profiles differ in two kernels: imagecorruptions has those of the first, medmnistc those of the second.
_ROWS = {
    strength(name, 1, profile=profile, column=COLUMN).kernel: (name, profile)
    for profile in reversed(PROFILES)
    for name in CORRUPTIONS
}
KERNELS, MEDMNISTC = (
    tuple(strength(name, 1, profile=profile, column=COLUMN).kernel for name in CORRUPTIONS) for profile in PROFILES
)


def profile_of(kernel: str) -> str:
    """Return the profile that has the kernel, the first if both have it."""
    return _ROWS[kernel][1]


def name_of(kernel: str) -> str:
    """Return the corruption that the kernel makes."""
    return _ROWS[kernel][0]


def strengths(kernel: str) -> list[Strength]:
    """Return the kernel's strengths at the five severities."""
    name, profile = _ROWS[kernel]
    return [strength(name, k, profile=profile, column=COLUMN) for k in SEVERITIES]


def medmnistc() -> dict[str, Any]:
    """Return medmnistc's own objects for `MEDMNISTC`, given our strengths; empty if it is not installed."""
    try:
        from medmnistc.corruptions.compression import Pixelate
        from medmnistc.corruptions.enhance import Brightness, Contrast
        from medmnistc.corruptions.filter import MotionBlur, ZoomBlur
        from medmnistc.corruptions.noise import GaussianNoise, ImpulseNoise
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    # medmnistc 0.1.0 calls a form of np.fromstring that NumPy 2.3 took away; frombuffer is what it did.
    np.fromstring = np.frombuffer
    readings: dict[str, tuple[Any, Callable[..., Any]]] = {
        "gaussian_noise": (GaussianNoise, lambda std: std),
        "impulse_noise": (ImpulseNoise, lambda amount: amount),
        "motion_blur": (MotionBlur, lambda radius, sigma: (radius, sigma)),
        "zoom_blur": (ZoomBlur, lambda percents: np.array(percents) / 100),
        "scale": (Brightness, lambda percent: percent / 100),
        "luma_mean": (Contrast, lambda percent: percent / 100),
        "pixelate": (Pixelate, lambda percent: percent / 100),
    }
    corruptions = {}
    for kernel, (corruption, reading) in readings.items():
        corruptions[kernel] = corruption([reading(**strength.parameters) for strength in strengths(kernel)])
        corruptions[kernel].rng = np.random.default_rng(0)
    return corruptions
