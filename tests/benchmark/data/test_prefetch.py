"""Reading ahead in a thread."""

import threading

import pytest

from benchmark.data.prefetch import AHEAD, prefetch


def test_everything_is_passed_on_in_order_and_errors_too():
    assert list(prefetch(iter(range(10)))) == list(range(10))

    def failing():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(prefetch(failing()))


def test_items_are_made_ahead_in_another_thread():
    made, enough = [], threading.Event()

    def items():
        for k in range(10):
            made.append((k, threading.current_thread()))
            if k == AHEAD:
                enough.set()
            yield k

    ahead = prefetch(items())
    assert next(ahead) == 0
    assert enough.wait(10), "the next ones are made while the caller has the first"
    ahead.close()
    assert all(thread is not threading.current_thread() for _, thread in made)
    assert len(made) <= AHEAD + 1, "and no more than these"
