"""Many tasks on a few threads, results in order, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 4
"""Results a worker that may wait for a slow consumer."""


def ordered(task: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield ``task(item)`` for each item, in order, computed by `workers` threads.

    The tasks release the GIL in compiled kernels, so threads scale and nothing is copied between processes. When a
    task fails or the consumer stops, the tasks that run are waited for and the others never start.
    """
    remaining = iter(items)
    if workers == 1:
        yield from map(task, remaining)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            window = deque(pool.submit(task, item) for item in islice(remaining, workers * AHEAD))
            while window:
                yield window.popleft().result()
                window.extend(pool.submit(task, item) for item in islice(remaining, 1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
