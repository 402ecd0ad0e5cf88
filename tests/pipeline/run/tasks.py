"""Tasks for the cluster tests."""

from __future__ import annotations

import os
import signal
import time


def sleep(root: str, seconds: float, options: dict[str, object]) -> None:
    """Take time."""
    time.sleep(seconds)


def die(root: str, when: str, options: dict[str, object]) -> None:
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)
