"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress(items: Iterable[Any] | None = None, **options: Any) -> tqdm[Any]:
    """Return tqdm's progress bar over `items`; `options` are tqdm's."""
    from tqdm import tqdm

    return tqdm(items, disable=None, dynamic_ncols=True, smoothing=0.1, **options)
