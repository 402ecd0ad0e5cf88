"""Images through a library's own processor, and past it where it would only rescale and normalise them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmark.models.components.preprocessing import preprocess
from benchmark.models.record import Channels, Preprocessing
from pipeline.cell import SIZE
from pipeline.errors import UserError

Process = Callable[[list[Image.Image]], Tensor]
"""From N images to float32 (N, 3, S, S)."""


class LibraryProcessor:
    """A library's processor of images.

    Where it only rescales and normalises images of the tower's own size, which is tried on noise, the same is done
    here on the model's device; everything else goes through the library, on the CPU.

    Attributes:
        settings: size of its output, pixels, and the mean and deviation that it comes down to.
    """

    def __init__(self, process: Process, *, name: str, library: str) -> None:
        """Try the processor out.

        Args:
            process: the library's.
            name: of the model, for errors.
            library: what the processor is and what it is told, in words.

        Raises:
            UserError: it does not give square images of three channels.
        """
        self._process = process
        self.noise = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
        shape = tuple(self._by_library(self.noise).shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise UserError(f"the image processor of {name} gives {shape}, and not one square image of three channels")
        size = shape[2]
        mean, std = self._mean_and_deviation(size)
        self.settings = Preprocessing(size=size, mean=mean, std=std, resize="processor", library=library)
        self._affine = self.settings.changed(resize="none")
        noise = np.random.default_rng(1).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        self._is_affine = torch.allclose(
            self._by_library(noise), preprocess(noise, self._affine), rtol=0, atol=5e-6
        )  # both round in float32

    def __call__(self, images: NDArray[np.uint8] | Tensor, *, device: torch.device) -> Tensor:
        """Return uint8 (N, H, W, 3) images as float32 (N, 3, S, S) on `device`."""
        size = self.settings.size
        if self._is_affine and tuple(images.shape[1:3]) == (size, size):
            return preprocess(images, self._affine, device=device)
        array = images.cpu().numpy() if isinstance(images, Tensor) else images
        return self._by_library(array).to(device)

    def _by_library(self, images: NDArray[np.uint8]) -> Tensor:
        return self._process([Image.fromarray(image) for image in images]).float()

    def _mean_and_deviation(self, size: int) -> tuple[Channels, Channels]:
        """Return the mean and deviation under which black and white become what they do here."""
        black, white = (
            self._by_library(np.full((1, size, size, 3), level, np.uint8)).double().mean(dim=(0, 2, 3)).tolist()
            for level in (0, 255)
        )
        std = [1 / (w - b) if w != b else 1.0 for b, w in zip(black, white, strict=True)]
        mean = [-b * s for b, s in zip(black, std, strict=True)]
        return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
