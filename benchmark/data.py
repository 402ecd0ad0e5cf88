"""Any cell of the benchmark as a torch dataset: read from its file, or made from clean.npz with the same bytes.

Whoever has the clean images has the whole benchmark:

    data = cell(Layout("."), "fundus", "test", "motion_blur", 3, made="cpu", seed=2025)
    for images, labels in DataLoader(data, batch_size=64, num_workers=8): ...      # uint8 (64, H, W, C), int64 (64,)

    data = cell(Layout("."), "fundus", "test", "motion_blur", 3, made="gpu", seed=2025)
    for images, labels in data.batches(256): ...                                   # on the GPU, and never elsewhere
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

import corruptions
from pipeline import manifest
from pipeline.layout import Layout
from pipeline.npz import Npz

MADE = ("files", "cpu", "gpu")
"""Where the pixels come from: the released file, or clean.npz through the kernels on a CPU or a GPU."""


def cell(
    layout: Layout,
    dataset: str,
    split: str,
    corruption: str | None = None,
    severity: int = 0,
    *,
    made: str = "files",
    seed: int | None = None,
    profile: str = "imagenet-c",
    column: str | None = None,
    native_channels: int | None = None,
    device: str | None = None,
) -> Cell:
    """Return one cell as a torch dataset.

    Args:
        layout: the workspace.
        dataset: a data set's name.
        split: ``val`` or ``test``; ``train`` too if it is not read from files.
        corruption: one of `corruptions.CORRUPTIONS`, or with ``files`` whatever the data set has; None for the clean
            images.
        severity: 1 to 5, or 0 for the clean images.
        made: one of `MADE`; all three give the same bytes.
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
    if made not in MADE:
        raise ValueError(f"no cell is made by {made!r}; have {', '.join(MADE)}")
    if (corruption is None) != (severity == 0):
        raise ValueError(f"severity 0 goes with no corruption, and 1..5 with one; not {severity!r} with {corruption!r}")
    if device is not None and made != "gpu":
        raise ValueError(f"only cells made by 'gpu' have a device; not {device!r} with {made!r}")
    if made != "files" and corruption is not None:
        if seed is None:
            raise ValueError(f"a cell made by {made!r} needs the seed of its draws")
        named = dataset if column is None else column
        corruptions.strength(corruption, severity, profile=profile, column=named)
    from_file = made == "files" or corruption is None
    path = layout.clean(dataset, split)
    if from_file and corruption is not None:
        path = layout.cell(dataset, split, corruption, severity)
    if native_channels is None:
        native_channels = 3 if from_file else int(manifest.read(layout, dataset, manifest.CLEAN)["native_channels"])
    recipe = None
    if not from_file:
        recipe = {"name": corruption, "severity": severity, "dataset": dataset, "split": split}
        recipe |= {"seed": seed, "profile": profile, "column": column}
    return Cell(Npz(path), recipe, native_channels, _device(device) if made == "gpu" else None)


def _device(device: str | None) -> torch.device:
    from corruptions import gpu  # kornia takes a while to import, and only this way of making needs it

    return gpu.chosen_device(device)


class Cell(Dataset[tuple[Tensor, int]]):
    """One cell; `cell` makes it. Item i is image i, uint8 (H, W, C), and its label.

    A DataLoader's workers get whole batches made in one call. Cells on a GPU are for the main process: use `batches`,
    or a DataLoader without workers.

    Attributes:
        labels: int64 (N,).
    """

    def __init__(
        self, source: Npz, recipe: dict[str, Any] | None, native_channels: int, device: torch.device | None
    ) -> None:
        self._source, self._recipe = source, recipe
        self._native, self._device = native_channels, device
        self._opened: NDArray[np.uint8] | None = None
        self.labels = source.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"no image {index} in a cell of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        places = np.asarray(indices, np.int64)
        return list(zip(self._made(self._images()[places], places), self.labels[places].tolist(), strict=True))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all in order, `size` at a time: images uint8 (n, H, W, C), labels int64 (n,), on the cell's device."""
        start = 0
        for chunk in self._source.chunks(size):
            places = np.arange(start, start + len(chunk))
            start += len(chunk)
            images = self._made(chunk, places)
            yield images, torch.from_numpy(self.labels[places]).to(images.device)

    def _images(self) -> NDArray[np.uint8]:
        if self._opened is None:
            self._opened = self._source.images
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be pickled as a copy of all pixels; workers open their own.
        return self.__dict__ | {"_opened": None}

    def _made(self, clean: NDArray[np.uint8], places: NDArray[np.int64]) -> Tensor:
        channels = clean.shape[-1]
        native = clean[..., : self._native] if self._recipe is not None else clean
        if self._device is None:
            if self._recipe is not None:
                native = corruptions.corrupt(native, **self._recipe, indices=places.tolist())
            made = torch.from_numpy(np.array(native))
        else:
            made = self._made_on(self._device, native, places)
        return made if channels == made.shape[-1] else made.repeat(1, 1, 1, channels)

    def _made_on(self, device: torch.device, native: NDArray[np.uint8], places: NDArray[np.int64]) -> Tensor:
        if get_worker_info() is not None:
            raise RuntimeError("a cell made by 'gpu' is for the main process; use its batches(), or num_workers=0")
        from corruptions import gpu

        images = torch.from_numpy(np.array(native))
        if device.type == "cuda":
            images = images.pin_memory().to(device, non_blocking=True)
        if self._recipe is None:
            return images
        return gpu.corrupt(images, **self._recipe, indices=places.tolist())
