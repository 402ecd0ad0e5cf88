"""Make the next items in a thread while the caller works on one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

AHEAD = 3
"""Items that are made ahead of the caller."""


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield `items` in order, making up to `AHEAD` of them in one thread while the caller works on one.

    An error of `items` is raised where its item would have come.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        waiting = [thread.submit(next, items, end) for _ in range(AHEAD)]
        try:
            while (item := waiting.pop(0).result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()
