"""One cell of the benchmark: a data set's split, clean or under one corruption at one severity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corruptions.spec import CORRUPTIONS, SEVERITIES

CLEAN = "clean"
"""Name of the corruption, at severity 0, of images that have none."""

SIZE = 224
"""Height and width of every released image, pixels."""

RELEASED = ("val", "test")
"""Splits of the released tree."""

PREPARED = ("train", "pretrain", "pretest")
"""Splits that are prepared but not released. The last two come from the phantom's first acquisition domain only."""

HUB_SPLITS = {"val": "validation", "test": "test"}
"""Released split to its name on the Hub."""


@dataclass(frozen=True)
class Cell:
    """A data set's split under one corruption at severity 1 to 5, or clean at severity 0.

    Raise ValueError for a severity that does not go with the corruption.
    """

    dataset: str
    split: str
    corruption: str = CLEAN
    severity: int = 0

    def __post_init__(self) -> None:
        if self.severity not in ((0,) if self.is_clean else SEVERITIES):
            raise ValueError(
                f"severity 0 goes with {CLEAN!r}, and 1 to 5 with a corruption; not {self.severity!r} with"
                f" {self.corruption!r}"
            )

    @property
    def is_clean(self) -> bool:
        """Whether the images have no corruption."""
        return self.corruption == CLEAN

    @property
    def name(self) -> str:
        """Name within its data set and split, such as ``motion_blur_severity_3``, or ``clean``."""
        return CLEAN if self.is_clean else f"{self.corruption}_severity_{self.severity}"

    @property
    def path(self) -> str:
        """Path of its npz file in the released tree."""
        return f"{self.dataset}/{self.split}/{self.name}.npz"

    @property
    def parquet_stem(self) -> str:
        """Path of its parquet files in the Hub repository, up to the number of the shard."""
        return f"data/{self.dataset}/{HUB_SPLITS[self.split]}/{self.corruption}_severity_{self.severity}"


def cells_of(dataset: str, split: str, corruptions: Sequence[str] = CORRUPTIONS) -> Iterator[Cell]:
    """Yield every cell of a data set's split: clean, then by corruption and severity."""
    yield Cell(dataset, split)
    for corruption in corruptions:
        for severity in SEVERITIES:
            yield Cell(dataset, split, corruption, severity)
