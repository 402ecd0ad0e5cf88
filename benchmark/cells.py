"""The cells of one data set as batches of images: read from the release, or made in memory with the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.places import CLEAN, cell_name
from benchmark.pool import Images, rgb
from corruptions import BYTES_VERSION, CORRUPTIONS, SEVERITIES, strength, sweep
from pipeline import UserError, manifest, npz
from pipeline.layout import Layout
from pipeline.settings import Settings

T = TypeVar("T")
AHEAD = 3
"""Batches that are read or made while the model works on one."""


@dataclass(frozen=True)
class Batch:
    """Some images of one cell: uint8 (n, 224, 224, 3), the first of them at `start`."""

    cell: str
    start: int
    images: Images


class Cells:
    """All cells of a data set's split.

    Attributes:
        labels: int64 (N,), of the clean images.
        checksums: what each cell's pixels depend on, by cell.
    """

    def __init__(self, layout: Layout, given: Settings, dataset: str, split: str, *, on_the_fly: bool) -> None:
        self._layout, self._given, self.dataset, self.split = layout, given, dataset, split
        self._facts = manifest.read(layout, dataset, manifest.CLEAN)
        self._clean = npz.Npz(layout.clean(dataset, split))
        self._on_the_fly = on_the_fly
        self.labels = self._clean.labels
        expected = self._facts["splits"][split]
        if hashlib.sha256(self.labels.astype("<i8").tobytes()).hexdigest() != expected["labels"]:
            raise UserError(f"{layout.clean(dataset, split)} has other labels than its manifest; run `dvc repro`")
        self.checksums = {CLEAN: str(expected["images"])}
        for corruption in CORRUPTIONS:
            self.checksums |= self._made(corruption) if on_the_fly else self._read(corruption)

    def _read(self, corruption: str) -> dict[str, str]:
        cells = manifest.read(self._layout, self.dataset, corruption)["cells"][self.split]
        return {cell_name(corruption, s): cells[str(s)]["images"] for s in SEVERITIES}

    def _made(self, corruption: str) -> dict[str, str]:
        column = self._given.column(self.dataset)
        recipe = [self.checksums[CLEAN], BYTES_VERSION, self._given.seed, self.dataset, self.split, corruption]
        return {
            cell_name(corruption, s): hashlib.sha256(
                json.dumps([*recipe, strength(corruption, s, profile=self._given.profile, column=column)]).encode()
            ).hexdigest()
            for s in SEVERITIES
        }

    def batches(self, wanted: Sequence[str], size: int) -> Iterator[Batch]:
        """Yield the images of the `wanted` cells, `size` at a time, each cell's in order."""
        for corruption, cells in by_corruption(wanted).items():
            if corruption == CLEAN:
                yield from _chunks(CLEAN, self._clean, size)
            elif self._on_the_fly:
                yield from self._sweep(corruption, cells, size)
            else:
                for cell, severity in cells.items():
                    opened = npz.Npz(self._layout.cell(self.dataset, self.split, corruption, severity))
                    if not np.array_equal(opened.labels, self.labels):
                        raise UserError(f"{opened.path} has other labels than clean.npz; run `dvc repro`")
                    yield from _chunks(cell, opened, size)

    def _sweep(self, corruption: str, cells: Mapping[str, int], size: int) -> Iterator[Batch]:
        names = {severity: cell for cell, severity in cells.items()}
        grey = self._facts["native_channels"] == 1
        for start, images in _starts(self._clean.chunks(size)):
            levels = sweep(
                images[..., :1] if grey else images,
                corruption,
                dataset=self.dataset,
                split=self.split,
                indices=range(start, start + len(images)),
                seed=self._given.seed,
                profile=self._given.profile,
                column=self._given.column(self.dataset),
            )
            for severity, corrupted in levels:
                if severity in names:
                    yield Batch(names[severity], start, np.ascontiguousarray(rgb(corrupted)))


def by_corruption(cells: Sequence[str]) -> dict[str, dict[str, int]]:
    """Group names of cells by corruption, with their severities; ``clean`` is a group of its own, at severity 0."""
    groups: dict[str, dict[str, int]] = {}
    for cell in cells:
        corruption, _, severity = cell.rpartition("_severity_")
        groups.setdefault(corruption or CLEAN, {})[cell] = int(severity) if corruption else 0
    return groups


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield `items`, making up to `AHEAD` of them in a thread while the caller works on one."""
    with ThreadPoolExecutor(1) as thread:
        end: Any = object()
        waiting = [thread.submit(next, items, end) for _ in range(AHEAD)]
        try:
            while (item := waiting.pop(0).result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()


def _chunks(cell: str, opened: npz.Npz, size: int) -> Iterator[Batch]:
    for start, images in _starts(opened.chunks(size)):
        yield Batch(cell, start, np.ascontiguousarray(rgb(np.array(images))))


def _starts(chunks: Iterator[NDArray[np.uint8]]) -> Iterator[tuple[int, Images]]:
    start = 0
    for images in chunks:
        yield start, images
        start += len(images)
