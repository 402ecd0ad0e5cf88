"""The learning rate, and the time that is left."""

import pytest

from benchmark.tuning.schedule import time_left, warm_cosine


@pytest.mark.parametrize(
    ("step", "fraction"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (8, 0.75), (10, 0.5), (12, 0.25), (16, 0.0)],
)
def test_the_learning_rate_rises_for_a_quarter_and_falls_by_a_cosine(step, fraction):
    assert warm_cosine(step, 16, warmup=0.25) == pytest.approx(fraction)


def test_a_learning_rate_without_warmup_starts_at_its_highest():
    assert [warm_cosine(step, 3, warmup=0) for step in range(4)] == pytest.approx([1, 1, 0.5, 0])
    assert warm_cosine(0, 1, warmup=0.1) == 1


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [(1, 10, "about 30 s left"), (2, 130, "about 2 min 10 s left"), (4, 9, "about 0 s left")],
)
def test_time_left(done, seconds, words):
    assert time_left(done, 4, seconds) == words
