"""Many tasks on a few threads, results in order, memory bounded."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from joblib import Parallel, delayed

A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 4  # tasks a worker in one window


def ordered(task: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield ``task(item)`` for each item, in order, computed by `workers` threads.

    The tasks release the GIL in compiled kernels, so threads scale and nothing is copied between processes. No more
    than four results a worker exist at once: joblib's own generator would run ahead of a slow consumer.
    """
    remaining = iter(items)
    if workers == 1:
        yield from map(task, remaining)
        return
    with Parallel(workers, prefer="threads", return_as="generator", pre_dispatch="all") as pool:
        while window := list(itertools.islice(remaining, workers * _AHEAD)):
            results = pool(delayed(task)(item) for item in window)
            try:
                for result in results:  # noqa: UP028 `yield from` would close the results before the except
                    yield result
            except GeneratorExit:
                with warnings.catch_warnings():  # the consumer says why it stopped; joblib's advice would bury that
                    warnings.simplefilter("ignore", UserWarning)
                    results.close()
                raise
