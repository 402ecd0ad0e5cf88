"""Corrupt images of a cell anew and compare them with its file; and say whether its severities grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.api import corrupt
from pipeline.config.params import Config
from pipeline.io import npz
from pipeline.workspace.cell import Cell

SAMPLE = 8
"""Images of a cell whose SSIM is taken and that are corrupted anew, spread over the split."""

_SLACK = 0.02  # rise of SSIM to the next severity that is not named: zoom_blur's on photographs reaches 0.015

Images = NDArray[np.uint8]


class CellCheck:
    """Compare images of one cell with what its corruption makes of the clean ones.

    What a corruption can change depends on the image: a black one stays black under contrast. So an image is judged by
    corrupting it anew, which is done for a sample and for all that are constant or equal to their clean image.

    Attributes:
        different: indices of the images that are not what they should be.
        similarities: SSIM to the clean image of each image of the sample, at full and at half size.
    """

    def __init__(self, config: Config, cell: Cell, clean: npz.Npz, native_channels: int, *, batch: int) -> None:
        self._config, self._cell, self._native_channels = config, cell, native_channels
        self._clean = clean.chunks(batch)
        self._sample = np.linspace(0, clean.shape[0] - 1, SAMPLE, dtype=int)
        self.different: list[int] = []
        self.similarities: list[NDArray[np.float64]] = []

    def add(self, start: int, images: Images) -> None:
        """Compare the next `batch` images, which begin at index `start` of the cell."""
        clean = next(self._clean, None)
        if clean is None or clean.shape != images.shape:
            return  # the shape is a finding of its own
        indices = np.arange(start, start + len(images))
        in_sample = np.isin(indices, self._sample)
        flat = images.reshape(len(images), -1)
        suspect = in_sample | (flat.min(1) == flat.max(1)) | (flat == clean.reshape(flat.shape)).all(1)
        if suspect.any():
            anew = corrupt(
                clean[suspect][..., : self._native_channels],
                self._cell.corruption,
                self._cell.severity,
                dataset=self._cell.dataset,
                split=self._cell.split,
                indices=indices[suspect],
                seed=self._config.seed,
                profile=self._config.profile,
                column=self._config.column(self._cell.dataset),
            )
            equal = (anew == images[suspect]).reshape(len(anew), -1).all(1)  # one channel equals its three copies
            self.different += indices[suspect][~equal].tolist()
        self.similarities += [_ssim(clean[k], images[k]) for k in np.flatnonzero(in_sample)]


def _ssim(clean: Images, image: Images) -> NDArray[np.float64]:
    """Return the structural similarity (Wang et al. 2004) of two images' channel means, at full and at half size.

    One size alone misjudges the order of severities: at full size grain does, since zoom_blur averages 16 copies at
    severity 2 and 11 at severity 3; at half size a pixelation to 50 percent cannot be seen.
    """
    from skimage.metrics import structural_similarity  # takes a while to import

    pairs = [(clean.mean(-1), image.mean(-1))]
    pairs.append((_halved(pairs[0][0]), _halved(pairs[0][1])))
    return np.array([structural_similarity(a, b, data_range=255) for a, b in pairs])


def is_out_of_order(similarities: NDArray[np.float64]) -> bool:
    """Say whether severity 5 is no stronger than 1, or a severity is clearly weaker than the one before, at both sizes.

    `similarities` is float (5, 2), by severity and size. ImageNet-C's own zoom_blur rises a little from 2 to 3 and from
    4 to 5, where it averages fewer copies.
    """
    if similarities.min() > 1 - 1e-9:
        return False  # it cannot change these images
    ends = similarities[-1] >= similarities[0]
    steps = np.diff(similarities, axis=0) >= _SLACK
    return bool(ends.all() or steps.all(axis=1).any())


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = plane.shape
    halved: NDArray[np.float64] = plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return halved
