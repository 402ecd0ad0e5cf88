"""Images through a library's own processor, and past it where it would only rescale and normalise them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmark.models.components.files import Files, one_line, read_json
from benchmark.models.components.packages import BROKEN, package, quietly
from benchmark.models.components.preprocessing import preprocess
from benchmark.models.record import Channels, ModelRecord, Preprocessing
from pipeline.errors import UserError
from pipeline.workspace.cell import SIZE

PREPROCESSOR = "preprocessor_config.json"
BACKEND = "pil"
"""Which form of transformers' image processors is taken where there are two: Pillow's, which every machine has.

The other form, torchvision's, is the library's own choice where torchvision is installed, and resizes to other pixels.
A processor that has that form alone, as DINOv3's, is refused without torchvision: pixels never depend on a package.
"""

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
            UserError: it does not give square images of three channels, or nothing that tells images apart.
        """
        self._process = process
        self.noise = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
        with np.errstate(divide="ignore", invalid="ignore"):  # said in a sentence below
            processed = self._by_library(self.noise)
        shape = tuple(processed.shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise UserError(f"the image processor of {name} gives {shape}, and not one square image of three channels")
        if not processed.isfinite().all() or (processed == processed[0, :, :1, :1]).all():
            raise UserError(
                f"the image processor of {name} makes noise infinite or all the same; look at the mean, the deviation"
                " and the factor that it is told"
            )
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

    def check_size(self, record: ModelRecord) -> None:
        """Raise UserError unless it gives images of the size that the model's record has."""
        if self.settings.size != record.preprocessing.size:
            raise UserError(
                f"the image processor of {record.name} gives {self.settings.size} pixels, not"
                f" {record.preprocessing.size}"
            )

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


def read_image_processor(files: Files) -> LibraryProcessor:
    """Return the image processor that a repository of transformers has, in its Pillow form.

    Raises:
        UserError: transformers can't make it, or it gives something beside pixels.
    """
    path = files.path(PREPROCESSOR)
    read_json(path)
    problem = f"{PREPROCESSOR} of {files.record.name}"
    processor = pillow_processor(path.parent, problem)

    def process(images: list[Image.Image]) -> Tensor:
        try:
            output = dict(processor(images=images, return_tensors="pt"))
        except BROKEN as error:
            raise UserError(f"{problem} can't be followed: {one_line(error)}") from error
        if set(output) != {"pixel_values"}:
            raise UserError(f"{problem} gives {', '.join(output)}, and only pixel_values is known here")
        pixels: Tensor = output["pixel_values"]
        return pixels

    settings = {key: value for key, value in processor.to_dict().items() if key != "image_processor_type"}
    library = f"{type(processor).__name__} {json.dumps(settings, default=str, sort_keys=True)}"
    return LibraryProcessor(process, name=files.record.name, library=library)


def pillow_processor(folder: Path, problem: str) -> Any:
    """Return transformers' image processor of a folder, in its Pillow form.

    Args:
        folder: that has preprocessor_config.json or processor_config.json.
        problem: what is said to be broken where it can't be made.

    Raises:
        UserError: it can't be made.
    """
    package("transformers")
    automatic = package("transformers.models.auto.image_processing_auto").AutoImageProcessor
    try:
        with quietly():
            return automatic.from_pretrained(
                str(folder), backend=BACKEND, local_files_only=True, trust_remote_code=False
            )
    except (*BROKEN, ImportError) as error:
        if "torchvision" in str(error) and importlib.util.find_spec("torchvision") is None:
            raise UserError(f"{problem} needs torchvision: pip install -e '.[zoo]'") from error
        raise UserError(f"{problem} can't be followed: {one_line(error)}") from error
