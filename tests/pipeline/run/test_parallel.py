"""Order, bounds and ends of tasks on threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.run.parallel import AHEAD, ordered


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_results_come_in_order(workers: int, count: int) -> None:
    def task(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    assert list(ordered(task, range(count), workers=workers)) == [number * number for number in range(count)]


def test_tasks_run_at_once() -> None:
    meeting = threading.Barrier(3)
    assert list(ordered(lambda _: meeting.wait(timeout=10), range(3), workers=3))


def test_no_more_than_a_few_results_wait_for_a_slow_consumer() -> None:
    begun = []

    def items() -> Iterator[int]:
        for number in range(100):
            begun.append(number)
            yield number

    results = ordered(lambda number: number, items(), workers=2)
    for consumed in range(1, 20):
        next(results)
        time.sleep(0.005)
        assert len(begun) <= consumed + 2 * AHEAD
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_task_that_fails_ends_the_others(workers: int) -> None:
    """Those that run are waited for, so that their temporary files are gone; the others never start."""
    begun, running = [], set()

    def task(number: int) -> int:
        begun.append(number)
        running.add(number)
        try:
            if number == 2:
                raise ValueError("two")
            time.sleep(0.01)
        finally:
            running.discard(number)
        return number

    with pytest.raises(ValueError, match="two"):
        list(ordered(task, range(1000), workers=workers))
    assert not running
    assert len(begun) < 30


def test_a_consumer_that_stops_ends_the_tasks() -> None:
    begun = []
    results = ordered(begun.append, range(1000), workers=2)
    next(results)
    results.close()
    assert len(begun) < 1 + 3 * 2 * AHEAD
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
