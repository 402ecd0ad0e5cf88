"""What a data set's cells depend on, and their images in batches, read or made ahead of the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from benchmark import data
from benchmark.places import CLEAN, cell_name, corruptions_of
from corruptions import BYTES_VERSION, SEVERITIES, strength
from pipeline import UserError, manifest, npz
from pipeline.layout import Layout
from pipeline.settings import settings

T = TypeVar("T")
AHEAD = 3
"""Batches that are read or made while the model works on one."""


class Batch(NamedTuple):
    """Some images of one cell, uint8 (n, 224, 224, 3), the first of them at `start`."""

    cell: str
    start: int
    images: Tensor


class Cells:
    """All cells of a data set's split.

    Attributes:
        labels: int64 (N,), of the clean images.
        checksums: what each cell's pixels depend on, by cell: those of the manifests, or of the recipe.
    """

    def __init__(
        self,
        layout: Layout,
        dataset: str,
        split: str,
        *,
        made: str = "files",
        device: str | None = None,
    ) -> None:
        """Take the cells as `made` says; those of an adopted data set, which nothing here can make, from its files.

        How they are made stands in the params.yaml beside the data.
        """
        facts = manifest.read(layout, dataset, manifest.CLEAN)
        if split not in facts["splits"]:
            raise UserError(f"{dataset} has no split {split}; have {', '.join(facts['splits'])}")
        self._layout, self.dataset, self.split = layout, dataset, split
        self._how: dict[str, Any] = {"made": "files"}
        if made != "files" and "corruptions" not in facts:
            chosen = settings(layout.root)
            self._how = {"made": made, "device": device, "seed": chosen.seed, "profile": chosen.profile}
            self._how["column"] = chosen.column(dataset)
        expected = facts["splits"][split]
        self.labels = npz.Npz(layout.clean(dataset, split)).labels
        if hashlib.sha256(self.labels.astype("<i8").tobytes()).hexdigest() != expected["labels"]:
            raise UserError(f"{layout.clean(dataset, split)} has other labels than its manifest; make it anew")
        self.checksums = {CLEAN: str(expected["images"])}
        self._cells: dict[str, tuple[str | None, int]] = {CLEAN: (None, 0)}
        for corruption in corruptions_of(facts):
            files = self._how["made"] == "files"
            released = manifest.read(layout, dataset, corruption)["cells"][split] if files else None
            for severity in SEVERITIES:
                name = cell_name(corruption, severity)
                self._cells[name] = corruption, severity
                recipe = self._recipe(corruption, severity) if released is None else released[str(severity)]["images"]
                self.checksums[name] = recipe

    def _recipe(self, corruption: str, severity: int) -> str:
        how = strength(corruption, severity, profile=self._how["profile"], column=self._how["column"])
        facts = [self.checksums[CLEAN], BYTES_VERSION, self._how["seed"], self.dataset, self.split, corruption, how]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def batches(self, wanted: Sequence[str], size: int) -> Iterator[Batch]:
        """Yield the images of the `wanted` cells, `size` at a time, each cell's in order."""
        for name in wanted:
            corruption, severity = self._cells[name]
            cell = data.cell(self._layout, self.dataset, self.split, corruption, severity, **self._how)
            if cell.labels.tolist() != self.labels.tolist():
                raise UserError(f"{name} of {self.dataset} has other labels than clean.npz; make it anew")
            start = 0
            for images, _ in cell.batches(size):
                yield Batch(name, start, images if images.shape[-1] == 3 else images.repeat(1, 1, 1, 3))
                start += len(images)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield `items`, making up to `AHEAD` of them in a thread while the caller works on one."""
    end: Any = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = [thread.submit(next, items, end) for _ in range(AHEAD)]
        try:
            while (item := waiting.pop(0).result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()
