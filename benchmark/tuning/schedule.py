"""How the learning rate moves, and how long training still takes."""

from __future__ import annotations

import math


def warm_cosine(step: int, steps: int, *, warmup: float) -> float:
    """Return the fraction of the learning rate at `step`: linear over the first `warmup`, then a half cosine to 0."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def time_left(done: int, total: int, seconds: float) -> str:
    """Return in words how long the rest of `total` takes if it goes on as `done` did, which took `seconds`."""
    left = round(seconds / done * (total - done))
    return f"about {left // 60} min {left % 60} s left" if left >= 60 else f"about {left} s left"
