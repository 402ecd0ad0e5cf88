"""Crop and resize: the exact mean or interpolation, rounded once."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline.sources.imagefolder.resize import fitted


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def exact(image: Any, size: int) -> Any:
    """The documented resampling in fractions, one pixel at a time."""
    height, width, channels = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    out = np.empty((size, size, channels), np.uint8)

    def weights(o: int) -> dict[int, Fraction]:
        step: Any = Fraction(side, size)
        if side > size:
            low, high = o * step, (o + 1) * step
            return {k: min(high, k + 1) - max(low, k) for k in range(side) if min(high, k + 1) > max(low, k)}
        place = (o + Fraction(1, 2)) * step - Fraction(1, 2)
        first = place.numerator // place.denominator
        found: dict[int, Fraction] = {}
        for k, share in ((first, 1 - (place - first)), (first + 1, place - first)):
            at = min(max(k, 0), side - 1)
            found[at] = found.get(at, Fraction(0)) + share
        return found

    rows = [weights(o) for o in range(size)]
    for y in range(size):
        for x in range(size):
            total = sum(rows[y].values()) * sum(rows[x].values())
            for c in range(channels):
                value = sum(
                    a * b * int(image[top + i, left + j, c]) for i, a in rows[y].items() for j, b in rows[x].items()
                )
                out[y, x, c] = int(value / total + Fraction(1, 2))
    return out


@pytest.mark.parametrize("shape", [(2, 2), (5, 9), (7, 7), (8, 30), (9, 8), (16, 16), (31, 23)])
def test_resizing_is_the_rounded_exact_mean_or_interpolation(shape: tuple[int, int]) -> None:
    image = noise(*shape, 3, seed=sum(shape))
    np.testing.assert_array_equal(fitted(image, 8), exact(image, 8))


def test_resizing_does_not_depend_on_blocks_or_memory_workspace() -> None:
    image = noise(700, 900, 3)
    turned = np.ascontiguousarray(image.transpose(1, 0, 2)).transpose(1, 0, 2)
    flat = fitted(np.full((700, 900, 1), 77, np.uint8))
    np.testing.assert_array_equal(fitted(image), fitted(turned))
    assert fitted(image).shape == (224, 224, 3)
    assert (flat == 77).all()
