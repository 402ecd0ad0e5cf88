"""Acquisition: what a scanner, a lens and an exposure do to the picture, the same for every class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corruptions import draws
from pipeline.sources.phantom import brush
from pipeline.sources.phantom.chance import Chance
from pipeline.sources.phantom.plane import CENTRE, Field, X, Y

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """One acquisition domain of one modality; every range is drawn from for each image.

    Attributes:
        blur: standard deviation, pixels.
        grain: standard deviation of the noise, grey levels of 255.
        mean, spread: mean and standard deviation of the whole picture, fractions of the range.
        curve: tone curve, added v(1 - v) times this: below 0 darkens the middle tones.
        vignette: loss of light in the corners, fraction.
        tint: what each channel is multiplied with; for grey pictures one number three times.
        cast: how far the tint strays from image to image.
        coarse: share of the noise that neighbouring pixels have in common, 0 to 1/3.
    """

    blur: Range
    grain: Range
    mean: Range
    spread: Range
    curve: Range = (0.0, 0.0)
    vignette: Range = (0.0, 0.0)
    tint: Colour = (1.0, 1.0, 1.0)
    cast: float = 0.0
    coarse: float = 0.0


_FIELD = ((X - CENTRE) * (X - CENTRE) + (Y - CENTRE) * (Y - CENTRE)) / (2.0 * CENTRE * CENTRE)


def _moments(image: Field) -> tuple[float, float]:
    """Return mean and standard deviation; summed in integers, so the order of the sum does not matter."""
    whole = np.rint(image * 4096.0).astype(np.int64)
    mean = int(whole.sum()) / whole.size
    return mean / 4096.0, math.sqrt(max(int((whole * whole).sum()) / whole.size - mean * mean, 1.0)) / 4096.0


def expose(image: Field, camera: Camera, chance: Chance, stream: draws.Key, index: int) -> NDArray[np.uint8]:
    """Take the picture: blur, vignette, exposure, tone curve, tint and noise.

    Args:
        image: float64 (224, 224, C), fractions of the range, written over.
        camera: the acquisition domain.
        chance: numbers of this image.
        stream, index: key and position of the noise.

    Returns:
        uint8 (224, 224, C).
    """
    sigma = chance.uniform(*camera.blur)
    passes = 1 + int(sigma * sigma / 0.6)
    brush.soften(image, sigma * sigma / (2.0 * passes), passes)
    image *= (1.0 - chance.uniform(*camera.vignette) * _FIELD)[..., None]
    mean, spread = _moments(image)
    gain = chance.uniform(*camera.spread) / spread
    image -= mean
    image *= gain
    image += chance.uniform(*camera.mean)
    np.clip(image, 0.0, 1.0, out=image)
    image += chance.uniform(*camera.curve) * image * (1.0 - image)
    channels = image.shape[2]
    if channels == 3:
        stray = chance.uniforms(3, 1.0 - camera.cast, 1.0 + camera.cast)
        image *= np.array(camera.tint) * stray
    deviates = brush.noise(draws.uniforms(stream, [index], image.size).reshape(image.shape))
    strength = chance.uniform(*camera.grain) / 255.0
    if camera.coarse:
        brush.soften(deviates, camera.coarse, 1)
        keep = 1.0 - 2.0 * camera.coarse
        strength /= keep * keep + 2.0 * camera.coarse * camera.coarse
    picture: NDArray[np.uint8] = brush.develop(image, deviates, strength)
    return picture
