"""How two trees of the same clean images differ, cell by cell, and which strengths of the table come closest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.api import sweep
from corruptions.spec import SEVERITIES, Strength, strength
from corruptions.table import COLUMNS
from pipeline.errors import UserError
from pipeline.io.records import Record
from pipeline.published import npz_tree
from pipeline.sources import Clean
from pipeline.workspace.cell import Cell

Images = NDArray[np.uint8]

SAMPLE = 16
"""Images of a cell that SSIM and the strengths are looked at on, evenly spread over the file."""

_ANGLES = 12
_BATCH = 64


class CellDifference(Record):
    """One cell in both trees.

    Attributes:
        mean_absolute: difference, grey levels.
        psnr: peak signal-to-noise ratio of all pixels together, decibels; none where the cells are equal.
        ssim: structural similarity (Wang et al. 2004), mean over `SAMPLE` images.
        equal: share of equal pixel values.
    """

    dataset: str
    split: str
    corruption: str
    severity: int
    images: int
    mean_absolute: float
    psnr: float | None
    ssim: float
    equal: float


class NearestStrength(Record):
    """The strength of the table that comes closest to a cell of the second tree.

    Attributes:
        strengths: where it stands in the table, such as ``imagenet-c 3``; several places may have the same strength.
        parameters: of the kernel.
        distance: grey levels. Others' draws are not known, so of noise it is Wasserstein's distance between the changes
            of all pixels, and of motion blur the mean absolute difference at the closest of `_ANGLES` angles an image;
            else the mean absolute difference.
    """

    dataset: str
    split: str
    corruption: str
    severity: int
    strengths: tuple[str, ...]
    kernel: str
    parameters: str
    distance: float


@dataclass(frozen=True)
class Pair:
    """A data set's split in two trees, the clean images equal.

    Attributes:
        dataset, split: its name.
        folders: of the data set in the first and the second tree.
        clean: the clean images of the first.
        corruptions: that both have.
    """

    dataset: str
    split: str
    folders: tuple[Path, Path]
    clean: Clean
    corruptions: tuple[str, ...]

    def cells(self) -> Iterator[Cell]:
        """Yield the corrupted cells, in order."""
        for corruption in self.corruptions:
            for severity in SEVERITIES:
                yield Cell(self.dataset, self.split, corruption, severity)

    def load(self, cell: Cell) -> tuple[Clean, Clean]:
        """Return a cell in both trees; UserError if their labels differ, or the number of their images."""
        first, second = (npz_tree.load(folder, cell) for folder in self.folders)
        if first.labels.tolist() != second.labels.tolist():
            raise UserError(f"{cell.path} has other labels in {self.folders[1]} than in {self.folders[0]}")
        return first, second

    @property
    def sample(self) -> list[int]:
        """Positions of the images that are looked at closely."""
        count = len(self.clean.labels)
        return sorted(set(np.linspace(0, count - 1, min(SAMPLE, count), dtype=int).tolist()))


def pair(dataset: str, split: str, first: Path, second: Path) -> Pair:
    """Return a data set's split in two trees; UserError unless images, labels and order of the clean files agree."""
    both = Pair(dataset, split, (first, second), npz_tree.load(first, Cell(dataset, split)), ())
    clean, other = both.load(Cell(dataset, split))
    different = [
        start + k
        for start, a, b in _batches(clean, other)
        for k in np.flatnonzero((a != b).reshape(len(a), -1).any(axis=1)).tolist()
    ]
    if different:
        raise UserError(
            f"clean images of {dataset}, {split} are not the same in both trees: {len(different)} of"
            f" {len(clean.labels)} differ, the first at index {different[0]}; only trees of the same images in the same"
            " order can be compared"
        )
    in_second = npz_tree.corruptions(second)
    common = tuple(name for name in npz_tree.corruptions(first) if name in in_second)
    return Pair(dataset, split, (first, second), clean, common)


def difference(both: Pair, cell: Cell) -> CellDifference:
    """Return how one cell differs between the trees."""
    from skimage.metrics import structural_similarity  # takes a while to import

    first, second = both.load(cell)
    absolute = squared = equal = values = 0
    for _, a, b in _batches(first, second):
        levels = np.abs(a.astype(np.int16) - b)
        absolute += int(levels.sum(dtype=np.int64))
        squared += int((levels.astype(np.int64) ** 2).sum())
        equal += int((levels == 0).sum())
        values += levels.size
    pairs = zip(first.read(both.sample), second.read(both.sample), strict=True)
    similarity = [structural_similarity(a.mean(-1), b.mean(-1), data_range=255) for a, b in pairs]
    return CellDifference(
        dataset=cell.dataset,
        split=cell.split,
        corruption=cell.corruption,
        severity=cell.severity,
        images=len(first.labels),
        mean_absolute=absolute / values,
        psnr=10 * math.log10(255**2 * values / squared) if squared else None,
        ssim=float(np.mean(similarity)),
        equal=equal / values,
    )


@dataclass
class _Candidate:
    """A strength of the table.

    Attributes:
        row: its kernel and parameters.
        places: where it stands in the table, such as ``imagenet-c 3``.
        copies: what it makes of a sample, once for each seed that is tried.
    """

    row: Strength
    places: list[str]
    copies: list[Images]


def nearest(both: Pair, corruption: str) -> list[NearestStrength]:
    """Return the strength of the table closest to each severity of a corruption of the second tree."""
    clean = both.clean.read(both.sample)
    candidates = _candidates(both, corruption, clean[..., :1] if (clean == clean[..., :1]).all() else clean)
    measure = _distribution_distance if "uniforms" in strength(corruption, 1).draws else _pixel_distance
    own = COLUMNS.get(both.dataset, "imagenet-c")
    results = []
    for severity in SEVERITIES:
        images = both.load(Cell(both.dataset, both.split, corruption, severity))[1].read(both.sample)
        distances = [measure(clean, images, candidate.copies) for candidate in candidates]
        distance, best = min(zip(distances, candidates, strict=True), key=lambda pair: pair[0])
        results.append(
            NearestStrength(
                dataset=both.dataset,
                split=both.split,
                corruption=corruption,
                severity=severity,
                strengths=tuple(sorted(best.places, key=lambda place: own not in place)),  # its own column first
                kernel=best.row.kernel,
                parameters=", ".join(f"{name} {value}" for name, value in best.row.parameters.items()),
                distance=distance,
            )
        )
    return results


def _candidates(both: Pair, corruption: str, sample: Images) -> list[_Candidate]:
    """Return the different strengths that the table has of a corruption, in all profiles and columns."""
    seeds = range(_ANGLES if "angles" in strength(corruption, 1).draws else 1)
    columns: dict[str, str | None] = {"imagenet-c": None}
    columns |= {f"modality {kind}": column for column, kind in COLUMNS.items()}
    candidates: list[_Candidate] = []
    for place, column in columns.items():
        key: dict[str, Any] = {"dataset": both.dataset, "split": both.split}
        key |= {"profile": place.partition(" ")[0], "column": column}
        new: dict[int, _Candidate] = {}
        for severity in SEVERITIES:
            row = strength(corruption, severity, profile=key["profile"], column=column)
            known = next((candidate for candidate in candidates if candidate.row[:2] == row[:2]), None)
            if known is None:
                known = new[severity] = _Candidate(row, [], [])
                candidates.append(known)
            known.places.append(f"{place} {severity}")
        for seed in seeds if new else ():
            for severity, images in sweep(sample, corruption, seed=seed, **key):
                if severity in new:
                    new[severity].copies.append(images)
    return candidates


def _pixel_distance(clean: Images, images: Images, candidates: Sequence[Images]) -> float:
    """Return the mean absolute difference to the closest candidate of each image, grey levels."""
    levels = [np.abs(images.astype(np.int16) - candidate).mean(axis=(1, 2, 3)) for candidate in candidates]
    return float(np.min(levels, axis=0).mean())


def _distribution_distance(clean: Images, images: Images, candidates: Sequence[Images]) -> float:
    """Return Wasserstein's distance between the changes that all pixels have in two corrupted copies, grey levels."""
    shares = [
        np.bincount((some.astype(np.int16) - clean).ravel() + 255, minlength=511) / np.broadcast(some, clean).size
        for some in (images, candidates[0])
    ]
    return float(np.abs(np.cumsum(shares[0] - shares[1])).sum())


def _batches(first: Clean, second: Clean) -> Iterator[tuple[int, Images, Images]]:
    """Yield the images of two cells side by side, with the index of the first of each batch."""
    for positions in first.batches(_BATCH):
        a, b = np.broadcast_arrays(first.read(positions), second.read(positions))
        yield positions.start, a, b
