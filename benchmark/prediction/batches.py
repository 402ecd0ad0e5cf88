"""What a data set's cells depend on, and their images in batches, read or made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from benchmark.data.cells import open_cell
from corruptions.spec import strength
from corruptions.table import BYTES_VERSION
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.checksums import labels_checksum
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace


class Batch(NamedTuple):
    """Some images of one cell, uint8 (n, 224, 224, 3), the first of them at `start`."""

    cell: Cell
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
        workspace: Workspace,
        dataset: str,
        split: str,
        corruptions: Sequence[str],
        *,
        backend: str = "files",
        device: str | None = None,
    ) -> None:
        """Open the cells, clean and of all `corruptions`; those of an adopted data set are read from its files.

        No backend can make these. The parameters of the draws stand in the params.yaml beside the data.
        """
        clean = manifest.read_clean(workspace, dataset)
        entry = clean.split(split)
        self._workspace, self.dataset, self.split = workspace, dataset, split
        self._options: dict[str, Any] = {"backend": "files"}
        if backend != "files" and not clean.is_adopted:
            config = read_config(workspace)
            self._options = {"backend": backend, "device": device, "seed": config.seed, "profile": config.profile}
            self._options["column"] = config.column(dataset)
        path = workspace.npz(Cell(dataset, split))
        self.labels = npz.Npz(path).labels
        if labels_checksum(self.labels) != entry.labels:
            raise UserError(f"{path} has other labels than its manifest; make it anew")
        manifests = {}
        if self._options["backend"] == "files":
            manifests = {name: manifest.read_corruption(workspace, dataset, name) for name in corruptions}
        self.checksums: dict[Cell, str] = {}
        for cell in cells_of(dataset, split, corruptions):
            if cell.is_clean:
                self.checksums[cell] = entry.images
            elif manifests:
                self.checksums[cell] = manifests[cell.corruption].cell(cell).images
            else:
                self.checksums[cell] = self._recipe(cell, entry.images)

    def _recipe(self, cell: Cell, clean: str) -> str:
        profile, column = self._options["profile"], self._options["column"]
        strength_at = strength(cell.corruption, cell.severity, profile=profile, column=column)
        parts = [clean, BYTES_VERSION, self._options["seed"], self.dataset, self.split, cell.corruption, strength_at]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def batches(self, cells: Sequence[Cell], size: int) -> Iterator[Batch]:
        """Yield the images of `cells`, `size` at a time, each cell's in order."""
        for cell in cells:
            images_of_cell = open_cell(self._workspace, cell, **self._options)
            if images_of_cell.labels.tolist() != self.labels.tolist():
                raise UserError(f"{cell.path} has other labels than clean.npz; make it anew")
            start = 0
            for images, _ in images_of_cell.batches(size):
                yield Batch(cell, start, images if images.shape[-1] == 3 else images.repeat(1, 1, 1, 3))
                start += len(images)
