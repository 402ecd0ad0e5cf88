"""Choices of rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.arrays import evenly, runs, take

LABELS = st.lists(st.integers(0, 5), max_size=40).map(lambda labels: np.array(labels, np.int64))


@given(labels=LABELS, count=st.none() | st.integers(0, 50))
def test_a_limit_is_spread_evenly_over_the_classes(labels: np.ndarray, count: int | None) -> None:
    positions = evenly(labels, count)
    assert len(positions) == min(len(labels), len(labels) if count is None else count)
    assert (np.diff(positions) > 0).all()
    chosen, all_of_them = np.bincount(labels[positions], minlength=6), np.bincount(labels, minlength=6)
    for label in range(6):
        for other in range(6):
            assert chosen[label] >= min(chosen[other] - 1, all_of_them[label])


def test_images_of_a_class_are_spread_over_it() -> None:
    labels = np.repeat([0, 1], [100, 2])
    assert evenly(labels, 6).tolist() == [0, 25, 50, 75, 100, 101]


@given(st.sets(st.integers(0, 30)))
def test_runs_are_what_positions_are_made_of(positions: set[int]) -> None:
    found = list(runs(sorted(positions)))
    assert [n for start, stop in found for n in range(start, stop)] == sorted(positions)
    assert all(stop < start for (_, stop), (start, _) in pairwise(found))


@given(st.lists(st.integers(0, 29)))
def test_rows_are_taken_in_any_order_and_read_once(positions: list[int]) -> None:
    rows, reads = np.arange(60).reshape(30, 2), []

    def read(start: int, stop: int) -> Any:
        reads.extend(range(start, stop))
        return rows[start:stop]

    assert take(read, positions).tolist() == rows[np.array(positions, int)].tolist()
    assert reads == sorted(set(positions))
