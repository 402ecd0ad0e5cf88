"""Acquisition: what a scanner, a lens and an exposure do to the picture, the same for every class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corruptions.cpu import draws
from corruptions.draws import PhiloxKey
from pipeline.sources.phantom import brush
from pipeline.sources.phantom.plane import CENTRE, Field, X, Y
from pipeline.sources.phantom.random_state import RandomState
from pipeline.workspace.cell import SIZE

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """One acquisition domain of one modality; every range is drawn from for each image.

    Attributes:
        blur: standard deviation, pixels.
        grain: standard deviation of the noise, grey levels of 255.
        level, spread: mean and standard deviation of the whole picture, fractions of the range.
        curve: tone curve, added v(1 - v) times this: below 0 darkens the middle tones.
        vignette: loss of light in the corners, fraction.
        tint: what each channel is multiplied with; for grey pictures one number three times.
        cast: how far the tint strays from image to image.
        coarse: share of the noise that neighbouring pixels have in common, 0 to 1/3.
        black: keep black as it is: the exposure multiplies, so `spread` has no say.
    """

    blur: Range
    grain: Range
    level: Range
    spread: Range
    curve: Range = (0.0, 0.0)
    vignette: Range = (0.0, 0.0)
    tint: Colour = (1.0, 1.0, 1.0)
    cast: float = 0.0
    coarse: float = 0.0
    black: bool = False


_FIELD = ((X - CENTRE) * (X - CENTRE) + (Y - CENTRE) * (Y - CENTRE)) / (2.0 * CENTRE * CENTRE)


def _moments(image: Field) -> tuple[float, float]:
    """Return mean and standard deviation; summed in integers, so the order of the sum does not matter."""
    total, squares = brush.moments(image)
    mean = total / image.size
    return mean / 4096.0, math.sqrt(max(squares / image.size - mean * mean, 1.0)) / 4096.0


def expose(image: Field, camera: Camera, random: RandomState, stream: PhiloxKey, index: int) -> NDArray[np.uint8]:
    """Take the picture: blur, vignette, exposure, tone curve, tint and noise.

    Args:
        image: float64 (224, 224, C), fractions of the range, written over.
        camera: the acquisition domain.
        random: numbers of this image.
        stream: key of the noise.
        index: position of the image in its split.

    Returns:
        uint8 (224, 224, C).
    """
    sigma = random.uniform(*camera.blur)
    passes = 1 + int(sigma * sigma / 0.6)
    flat = image.reshape(SIZE, -1)
    brush.soften(flat, image.shape[2], sigma * sigma / (2.0 * passes), passes)
    image *= (1.0 - random.uniform(*camera.vignette) * _FIELD)[..., None]
    mean, spread = _moments(flat)
    if camera.black:
        gain, shift = random.uniform(*camera.level) / mean, 0.0
    else:
        gain = random.uniform(*camera.spread) / spread
        shift = random.uniform(*camera.level) - gain * mean
    curve = random.uniform(*camera.curve)
    channels = image.shape[2]
    tint = np.array(camera.tint[:channels]) * (1.0 + camera.cast * random.uniforms(channels, -1.0, 1.0))
    deviates = brush.noise(draws.uniforms(stream, [index], image.size).reshape(image.shape))
    strength = random.uniform(*camera.grain) / 255.0
    if camera.coarse:
        brush.soften(deviates.reshape(SIZE, -1), channels, camera.coarse, 1)
        keep = 1.0 - 2.0 * camera.coarse
        strength /= keep * keep + 2.0 * camera.coarse * camera.coarse
    picture: NDArray[np.uint8] = brush.develop(image, deviates, gain, shift, curve, tint, strength)
    return picture
