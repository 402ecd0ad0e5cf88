"""Any cell of the benchmark as a torch dataset: read from its file, or made from clean.npz with the same bytes.

Whoever has the clean images has the whole benchmark:

    images = open_cell(Workspace("."), Cell("fundus", "test", "motion_blur", 3), backend="cpu", seed=2025)
    for batch, labels in DataLoader(images, batch_size=64, num_workers=8): ...     # uint8 (64, H, W, C), int64 (64,)

    images = open_cell(Workspace("."), Cell("fundus", "test", "motion_blur", 3), backend="gpu", seed=2025)
    for batch, labels in images.batches(256): ...                                  # on the GPU, and never elsewhere
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from corruptions.api import corrupt
from corruptions.spec import strength
from pipeline.io.npz import Npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

BACKENDS = ("files", "cpu", "gpu")
"""Where the pixels come from: the released file, or clean.npz through the kernels on a CPU or a GPU."""


def open_cell(
    workspace: Workspace,
    cell: Cell,
    *,
    backend: str = "files",
    seed: int | None = None,
    profile: str = "imagenet-c",
    column: str | None = None,
    native_channels: int | None = None,
    device: str | None = None,
) -> CellImages:
    """Return one cell as a torch dataset.

    Args:
        workspace: where the files are.
        cell: which one; its split may be ``train`` if it is not read from files.
        backend: one of `BACKENDS`; all three give the same bytes.
        seed: of the draws, params.yaml's for the released files, which are read without it.
        profile: one of `corruptions.PROFILES`.
        column: the data set whose column of the profile ``modality`` is taken, if not `dataset`'s own.
        native_channels: 1 if the images are grey, else 3; taken from the data set's manifest if not given.
        device: for ``gpu``, where to work in torch's words; the current CUDA device if not given.

    Raises:
        ValueError: an argument is outside what is listed above.
        UserError: the npz or the manifest is not there, or not whole.
        BackendUnavailable: there is no such device.
    """
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r} for a cell; have {', '.join(BACKENDS)}")
    if device is not None and backend != "gpu":
        raise ValueError(f"only backend 'gpu' has a device; not {device!r} with {backend!r}")
    from_file = backend == "files" or cell.is_clean
    recipe = None
    if not from_file:
        if seed is None:
            raise ValueError(f"backend {backend!r} needs the seed of the draws")
        strength(cell.corruption, cell.severity, profile=profile, column=column or cell.dataset)
        recipe = {"name": cell.corruption, "severity": cell.severity, "dataset": cell.dataset, "split": cell.split}
        recipe |= {"seed": seed, "profile": profile, "column": column}
    source = Npz(workspace.npz(cell if from_file else Cell(cell.dataset, cell.split)))
    if native_channels is None:
        native_channels = 3 if from_file else manifest.read_clean(workspace, cell.dataset).native_channels
    return CellImages(source, recipe, native_channels, _device(device) if backend == "gpu" else None)


def _device(device: str | None) -> torch.device:
    from corruptions import gpu

    return gpu.select_device(device)


class CellImages(Dataset[tuple[Tensor, int]]):
    """The images of one cell; `open_cell` makes it. Item i is image i, uint8 (H, W, C), and its label.

    A DataLoader's workers get whole batches made in one call. Cells on a GPU are for the main process: use `batches`,
    or a DataLoader without workers.

    Attributes:
        labels: int64 (N,).
    """

    def __init__(
        self, source: Npz, recipe: dict[str, Any] | None, native_channels: int, device: torch.device | None
    ) -> None:
        self._source, self._recipe = source, recipe
        self._native_channels, self._device = native_channels, device
        self._opened: NDArray[np.uint8] | None = None
        self.labels = source.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"no image {index} in a cell of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        rows = np.asarray(indices, np.int64)
        return list(zip(self._corrupt(self._images()[rows], rows), self.labels[rows].tolist(), strict=True))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all in order, `size` at a time: images uint8 (n, H, W, C), labels int64 (n,), on the cell's device."""
        start = 0
        for chunk in self._source.chunks(size):
            rows = np.arange(start, start + len(chunk))
            start += len(chunk)
            images = self._corrupt(chunk, rows)
            yield images, torch.from_numpy(self.labels[rows]).to(images.device)

    def _images(self) -> NDArray[np.uint8]:
        if self._opened is None:
            self._opened = self._source.images
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be pickled as a copy of all pixels; workers open their own file.
        return self.__dict__ | {"_opened": None, "_source": self._source.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_source": Npz(state["_source"])})

    def _corrupt(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
        """Return images as they stand in the cell; those read from its file stay as they are."""
        channels = images.shape[-1]
        native = images[..., : self._native_channels] if self._recipe is not None else images
        if self._device is not None:
            result = self._corrupt_on(self._device, native, rows)
        elif self._recipe is not None:
            result = torch.from_numpy(np.array(corrupt(native, **self._recipe, indices=rows.tolist())))
        else:
            result = torch.from_numpy(np.array(native))
        return result if channels == result.shape[-1] else result.repeat(1, 1, 1, channels)

    def _corrupt_on(self, device: torch.device, native: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
        if get_worker_info() is not None:
            raise RuntimeError("a cell made by 'gpu' is for the main process; use its batches(), or num_workers=0")
        from corruptions import gpu

        images = torch.from_numpy(np.array(native))
        if device.type == "cuda":
            images = images.pin_memory().to(device, non_blocking=True)
        if self._recipe is None:
            return images
        return gpu.corrupt(images, **self._recipe, indices=rows.tolist())
