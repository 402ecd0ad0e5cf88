"""A task for the cluster tests that takes its time."""

from __future__ import annotations

import time


def sleep(root: str, seconds: float, options: dict[str, object]) -> None:
    """Sleep."""
    time.sleep(seconds)
