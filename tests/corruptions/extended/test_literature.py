"""The extended kernels against the published formulas: within two grey levels from the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from corruptions import EXTENDED, SEVERITIES, strength
from corruptions.cpu.draws import draw
from corruptions.draws import philox_key
from corruptions.extended.cpu import compression
from corruptions.spec import find_kernel
from corruptions.table import EXTENDED_KERNELS
from tests.corruptions.extended.remake_checksums import columns
from tests.corruptions.gpu.test_parity import noise
from tests.corruptions.literature.photographs import photographs
from tests.corruptions.pictures import waves

CELLS = [
    (name, profile, dataset)
    for name in EXTENDED
    for profile, dataset in columns(name)
    if strength(name, 1, profile=profile, column=dataset).kernel in EXTENDED_KERNELS
]
WITH_OTHER_EDGES = {"bubble"}
"""Kernels whose shapes Pillow draws with other edges: a test of their own bounds how many pixels that is."""

WITH_THRESHOLDS = {"snow", "frost", "spatter"}
"""Kernels that ask whether a random number is above a threshold, beside which a rounding decides."""


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    return photographs()


@pytest.mark.parametrize(
    "cell",
    [cell for cell in CELLS if strength(cell[0], 1).kernel not in WITH_OTHER_EDGES | WITH_THRESHOLDS],
    ids="-".join,
)
def test_within_two_levels(cell: tuple[str, str, str], pictures: dict[str, NDArray[np.uint8]]) -> None:
    name, profile, dataset = cell
    for severity in SEVERITIES:
        row = strength(name, severity, profile=profile, column=dataset)
        for what, images in pictures.items():
            drawn = draw(row, philox_key(1, dataset, "test", name), [0], images.shape)
            exact = find_kernel("cpu", row.kernel)(images, *drawn, **row.parameters)
            published = find_kernel("literature", row.kernel)(images, *drawn, **row.parameters)
            assert np.abs(exact.astype(np.int16) - published).max() <= 2, (severity, what)


@pytest.mark.parametrize(("profile", "dataset"), columns("bubble"))
def test_bubbles_are_those_of_pillow_but_for_their_edges(
    profile: str, dataset: str, pictures: dict[str, NDArray[np.uint8]]
) -> None:
    for severity in SEVERITIES:
        row = strength("bubble", severity, profile=profile, column=dataset)
        images = pictures["tissue"].repeat(8, axis=0)
        drawn = draw(row, philox_key(1, dataset, "test", "bubble"), range(8), images.shape)
        exact = find_kernel("cpu", "bubble")(images, *drawn, **row.parameters)
        published = find_kernel("literature", "bubble")(images, *drawn, **row.parameters)
        covered = (published != images).any(axis=3).mean()
        apart = (np.abs(exact.astype(np.int16) - published) > 2).any(axis=3).mean()
        assert apart < 0.06 * covered


@pytest.mark.parametrize("name", [name for name in EXTENDED if strength(name, 1).kernel in WITH_THRESHOLDS])
def test_nearly_all_within_two_levels(name: str, pictures: dict[str, NDArray[np.uint8]]) -> None:
    for severity in SEVERITIES:
        row = strength(name, severity)
        for what, images in pictures.items():
            drawn = draw(row, philox_key(1, "pbc", "test", name), [0], images.shape)
            exact = find_kernel("cpu", row.kernel)(images, *drawn, **row.parameters).astype(np.int16)
            apart = exact - find_kernel("literature", row.kernel)(images, *drawn, **row.parameters)
            assert (np.abs(apart) > 2).mean() < 0.015, (severity, what)
            assert abs(apart.mean()) < 0.5, (severity, what)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_has_the_bytes_of_pillow_at_every_quality(channels: int) -> None:
    checkerboard = np.indices((43, 70)).sum(axis=0)[..., None] % 2 * np.full(channels, 255)
    images = np.stack([noise(1, 43, 70, channels)[0], checkerboard.astype(np.uint8), waves(1, 43, 70, channels)[0]])
    qualities = range(1, 101)
    for quality, exact in zip(qualities, compression.jpeg_compression_sweep(images, quality=qualities), strict=True):
        published = find_kernel("literature", "jpeg_compression")(images, quality=quality)
        np.testing.assert_array_equal(exact, published, err_msg=f"quality {quality}")
