"""Other people's corruptions at our strengths, each where its package is installed: `make bench` brings them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, Strength, strength

COLUMN = "pbc"  # of the modality profile
Reading = tuple[Any, Callable[..., Any]]
"""A peer's class, and what it takes in place of our parameters."""

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


def strengths(name: str, profile: str) -> list[Strength]:
    """Return the strengths of a corruption at the five severities."""
    return [strength(name, k, profile=profile, column=COLUMN) for k in SEVERITIES]


def imagecorruptions() -> dict[str, Any]:
    """Return imagecorruptions' functions of an image and a severity by name; empty if it is not installed."""
    try:
        from imagecorruptions import corruption_dict, corruptions
        from skimage.filters import gaussian
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    # imagecorruptions 1.1.2 calls NumPy and scikit-image by names that they have taken away since.
    setattr(np, "float_", np.float64)  # noqa: B010, since linters take the name as a slip
    corruptions.gaussian = lambda *arguments, multichannel=False, **options: gaussian(
        *arguments, channel_axis=-1 if multichannel else None, **options
    )
    return {name: partial(_corrupt, name) for name in corruption_dict}


def _corrupt(name: str, image: NDArray[np.uint8], *, severity: int) -> NDArray[np.uint8]:
    from imagecorruptions import corrupt

    corrupted: NDArray[np.uint8] = corrupt(image, corruption_name=name, severity=severity)
    return corrupted


def corrupt_tta() -> dict[str, Any]:
    """Return corrupt-tta's functions of an image and a severity by name; empty if it is not installed."""
    try:
        from corrupt_tta import corruption_dict
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    return dict(corruption_dict)


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
    readings: dict[str, Reading] = {
        "gaussian_noise": (GaussianNoise, lambda std: std),
        "impulse_noise": (ImpulseNoise, lambda amount: amount),
        "motion_blur": (MotionBlur, lambda radius, sigma: (radius, sigma)),
        "zoom_blur": (ZoomBlur, lambda percents: np.array(percents) / 100),
        "scale": (Brightness, lambda percent: percent / 100),
        "luma_mean": (Contrast, lambda percent: percent / 100),
        "pixelate": (Pixelate, lambda percent: percent / 100),
    }
    return {kernel: _medmnistc(readings[kernel], *_ROWS[kernel]) for kernel in readings}


def extended_medmnistc(rows: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Return medmnistc's own objects for rows of the extended set, each a corruption and a profile, by our kernels.

    Given our strengths; without those rows that it has not, and empty if it is not installed.
    """
    try:
        from medmnistc.corruptions import enhance, filter, microscopy, noise
        from medmnistc.corruptions.compression import JPEGCompression
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    readings: dict[str, Reading] = {
        "shot_noise": (noise.ShotNoise, lambda photons: photons),
        "speckle_noise": (noise.SpeckleNoise, lambda std: std),
        "gaussian_window": (filter.GaussianBlur, lambda size: size),
        "defocus_blur": (filter.DefocusBlur, lambda radius, alias_blur: (radius, alias_blur)),
        "saturate": (enhance.Saturate, lambda percent, rise: rise / 100),
        "scale": (enhance.Brightness, lambda percent: percent / 100),
        "luma_stretch": (enhance.Contrast, lambda percent: percent / 100),
        "luma_mean": (enhance.Contrast, lambda percent: percent / 100),
        "gamma": (enhance.GammaCorrection, lambda exponent: exponent),
        "jpeg_compression": (JPEGCompression, lambda quality: quality),
        "bubble": (microscopy.Bubble, lambda max_radius, max_bubbles: (max_radius, max_bubbles)),
        "stain_deposit": (microscopy.StainDeposit, lambda count: count),
        "black_corner": (microscopy.BlackCorner, lambda percent: percent / 100),
        # The scale of its font is its own; ours has one size.
        "characters": (microscopy.Characters, lambda max_words, max_letters: (max_words, max_letters, 0.18)),
    }
    kernels = {row: strengths(*cell)[0].kernel for row, cell in rows.items()}
    return {row: _medmnistc(readings[kernel], *rows[row]) for row, kernel in kernels.items() if kernel in readings}


def _medmnistc(reading: Reading, name: str, profile: str) -> Any:
    kind, read = reading
    corruption = kind([read(**strength.parameters) for strength in strengths(name, profile)])
    corruption.rng = np.random.default_rng(0)
    return corruption


def albumentations(rows: dict[str, tuple[str, str]]) -> dict[str, list[Any]]:
    """Return AlbumentationsX's transforms at our five strengths for rows of the extended set; empty without it."""
    try:
        import albumentations as library
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    readings: dict[str, Reading] = {
        "shot_noise": (library.ShotNoise, lambda photons: {"scale_range": _both(1 / photons)}),
        "gaussian_blur": (library.GaussianBlur, lambda sigma: {"sigma_range": _both(sigma)}),
        "gaussian_window": (library.GaussianBlur, lambda size: {"blur_range": _both(size), "sigma_range": (0, 0)}),
        "defocus_blur": (
            library.Defocus,
            lambda radius, alias_blur: {"radius_range": _both(radius), "alias_blur_range": _both(alias_blur)},
        ),
        "glass_blur": (library.GlassBlur, lambda **parameters: {**parameters, "mode": "exact"}),
        "scale": (library.ColorJitter, lambda percent: _ONE_JITTER | {"brightness_range": _both(percent / 100)}),
        "luma_stretch": (library.ColorJitter, lambda percent: _ONE_JITTER | {"contrast_range": _both(percent / 100)}),
        "luma_mean": (library.ColorJitter, lambda percent: _ONE_JITTER | {"contrast_range": _both(percent / 100)}),
        "gamma": (library.RandomGamma, lambda exponent: {"gamma_range": _both(100 * exponent)}),
        "spatter": (library.Spatter, _spatter),
        "jpeg_compression": (library.ImageCompression, lambda quality: {"quality_range": _both(quality)}),
    }
    return {
        row: [readings[cell.kernel][0](**readings[cell.kernel][1](**cell.parameters), p=1) for cell in cells]
        for row, cells in ((row, strengths(*cell)) for row, cell in rows.items())
        if cells[0].kernel in readings
    }


_ONE_JITTER = {
    "brightness_range": (1, 1),
    "contrast_range": (1, 1),
    "saturation_range": (1, 1),
    "hue_range": (0, 0),
}


def _spatter(
    mean: float, spread: float, sigma: float, threshold: float, edge: float, opacity: float, mud: int
) -> dict[str, Any]:
    return {
        "mean_range": _both(mean),
        "std_range": _both(spread),
        "gauss_sigma_range": _both(sigma),
        "cutout_threshold_range": _both(threshold),
        "intensity_range": _both(min(edge, 1) if mud else opacity),
        "mode": "mud" if mud else "rain",
    }


def _both(value: float) -> tuple[float, float]:
    return value, value
