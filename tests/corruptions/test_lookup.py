"""The integer tables: their checksums, their sums, their reciprocals, and what they refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions import lookup


def test_normal_table() -> None:
    table = lookup.normal_table()
    assert table.dtype == np.int16
    assert not table.flags.writeable
    assert hashlib.sha256(table.astype("<i2").tobytes()).hexdigest() == (
        "1ea009ce409dac97d6bd609266910f809c5fb912f78e16bd89145b08174d6fc5"
    )


def test_motion_weights_of_radius_3() -> None:
    assert lookup.motion_weights(3, 3).tolist() == [15795, 14942, 12648, 9580, 6494, 3939, 2138]


@settings(deadline=None)
@given(radius=st.integers(0, 60), sigma=st.floats(0.1, 1000))
def test_motion_weights_sum_to_65536_and_fall(radius: int, sigma: float) -> None:
    weights = lookup.motion_weights(radius, sigma)
    assert weights.size == 2 * radius + 1
    assert weights.sum() == 65536
    assert (np.diff(weights) <= 0).all()


def test_motion_offsets_checksum() -> None:
    offsets = lookup.motion_offsets(41)
    assert offsets.shape == (256, 2, 41)
    assert hashlib.sha256(offsets.astype(np.int8).tobytes()).hexdigest().startswith("b00f17e898d9dcd1")


def test_shorter_motion_offsets_begin_the_longer_ones() -> None:
    assert (lookup.motion_offsets(41)[:, :, :7] == lookup.motion_offsets(7)).all()


def test_boxes_share_all_pixels_among_counts_that_differ_by_one() -> None:
    # cpu.pixelate relies on it.
    for n in range(2, 120):
        for percent in range(1, 101):
            edges, reciprocals, shown = lookup.boxes(n, percent)
            counts = np.diff(edges)
            assert edges[0] == 0
            assert edges[-1] == n
            assert counts.min() >= 1
            assert counts.max() - counts.min() <= 1
            assert shown.min() >= 0
            assert shown.max() == len(reciprocals) - 1


def test_zoom_taps_stay_inside() -> None:
    # cpu.zoom reads the pixel after the first tap, and relies on its weight being 0 past the edge.
    for n in (*range(2, 40), 224, 1000):
        first, weight = lookup.zoom_taps(n, tuple(range(100, 131)))
        assert first.min() >= 0
        assert (first + (weight > 0) < n).all()
        assert weight.min() >= 0
        assert weight.max() <= 512
        assert (first[0] == np.arange(n)).all()
        assert (weight[0] == 0).all()


def test_the_zoom_reciprocal_divides_exactly() -> None:
    for parts in range(2, 33):
        totals = np.arange(256 * parts, dtype=np.uint64)
        reciprocal = (1 << 22) // parts + 1
        assert 256 * parts * reciprocal < 2**32
        assert (totals * np.uint64(reciprocal) >> np.uint64(22) == totals // np.uint64(parts)).all()


REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lookup.noise_levels, (-0.1,)),
    (lookup.noise_levels, (1.1,)),
    (lookup.noise_levels, (float("nan"),)),
    (lookup.impulse_threshold, (1.1,)),
    (lookup.impulse_threshold, (-0.1,)),
    (lookup.motion_weights, (-1, 3)),
    (lookup.motion_weights, (3, 0)),
    (lookup.check_zooms, ((),)),
    (lookup.check_zooms, ((99,),)),
    (lookup.check_zooms, ((100,) * 32,)),
    (lookup.value_table, (1.5,)),
    (lookup.check_scale, (-1,)),
    (lookup.check_scale, (257,)),
    (lookup.check_contrast, ("channel_mean", 101)),
    (lookup.boxes, (9, 0)),
    (lookup.boxes, (9, 101)),
]


@pytest.mark.parametrize(("make", "arguments"), REFUSED)
def test_illegal_parameters_are_refused_with_the_rule_and_the_value(
    make: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match=r"needs .*, not .*\d|nan|\[\]"):
        make(*arguments)
