"""Strengths that were chosen here: each severity is worse than the one before by about as much as any other."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions.table import EXTENDED_STRENGTHS
from tests.corruptions.extended.similarity import mean_similarity

CHOSEN_HERE = [name for name, row in EXTENDED_STRENGTHS["imagenet-c"].items() if row["source"] == "new"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CHOSEN_HERE)
def test_similarity_falls_evenly(name: str) -> None:
    steps = -np.diff([1.0, *mean_similarity(name)])
    assert (steps > 0.7 * steps.mean()).all(), steps
    assert (steps < 1.4 * steps.mean()).all(), steps
