"""The images in a sample of a training loop: which of its parts they are, and their pixels.

A sample is what a data set or a loader yields: an image or a batch, or a tuple, list or dict, nested or not, of images,
labels and whatever else. torchvision need not be installed.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions.spec import check_images


def find_images(sample: Any) -> list[Any]:
    """Return the images of a sample, by the rule of torchvision.transforms.v2.

    They are all PIL images and tv_tensors.Image; where there are none of these, the first plain tensor or array. Raise
    TypeError if the sample has no image, or a video.
    """
    leaves = list(_leaves(sample))
    if any(_is_tv_tensor(leaf, "Video") for leaf in leaves):
        raise TypeError("a tv_tensors.Video is no image: the corruptions are of single images, and would flicker in it")
    images = [leaf for leaf in leaves if _is_pil(leaf) or _is_tv_tensor(leaf, "Image")]
    plain = [leaf for leaf in leaves if isinstance(leaf, Tensor | np.ndarray) and not _is_tv_tensor(leaf, "TVTensor")]
    if not images and not plain:
        kinds = ", ".join(dict.fromkeys(type(leaf).__name__ for leaf in leaves))
        raise TypeError(f"images must be a PIL image, a uint8 array or a tensor, not {kinds or 'an empty sample'}")
    return images or plain[:1]


def replace_images(sample: Any, images: list[Any], results: list[Any]) -> Any:
    """Return the sample with each of `images`, which `find_images` returned, replaced by its result."""
    by_image = {id(image): result for image, result in zip(images, results, strict=True)}

    def replace(part: Any) -> Any:
        if id(part) in by_image:
            return by_image[id(part)]
        if isinstance(part, dict):
            replaced = copy.copy(part)  # keeps an OrderedDict or a defaultdict what it is
            replaced.update({key: replace(value) for key, value in part.items()})
            return replaced
        if isinstance(part, list | tuple):
            items = [replace(item) for item in part]
            return type(part)(*items) if hasattr(part, "_fields") else type(part)(items)
        return part

    return replace(sample)


def writable_copy(image: Any) -> tuple[Any, Tensor]:
    """Return a copy of the image, and its pixels as a tensor (N, C, H, W) that shares the copy's memory.

    The copy of a PIL image is an array; `like` makes it a picture again. A subclass of Tensor, such as
    tv_tensors.Image, stays what it is.

    Raises:
        TypeError: the mode of a PIL image is not L or RGB, an array is not uint8, a tensor neither uint8 nor float.
        ValueError: the shape is not one of an image or a batch with C 1 or 3 and H, W >= 2.
    """
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 and not image.dtype.is_floating_point:
            raise TypeError(f"a tensor of images must be uint8 or float, not {image.dtype}")
        if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3) or min(image.shape[-2:]) < 2:
            raise ValueError(
                "a tensor of images must have shape (C, H, W) or (N, C, H, W) with C 1 or 3 and H, W >= 2, not"
                f" {tuple(image.shape)}"
            )
        result: Tensor = image.clone()
        pixels = result.as_subclass(Tensor)
        return result, pixels[None] if pixels.ndim == 3 else pixels
    if _is_pil(image) and image.mode not in ("L", "RGB"):
        raise TypeError(f"a PIL image must have mode L or RGB, not {image.mode}; convert it first")
    array = np.array(image, order="C")
    with_channels = array[..., None] if array.ndim == 2 else array
    batch = check_images(with_channels[None] if with_channels.ndim == 3 else with_channels)
    return array, torch.from_numpy(batch).permute(0, 3, 1, 2)


def like(image: Any, result: Any) -> Any:
    """Return the `result` of `writable_copy` as what `image` is."""
    if not _is_pil(image):
        return result
    from PIL import Image  # whoever has a picture has Pillow

    return Image.fromarray(result)


def _leaves(sample: Any) -> Iterator[Any]:
    if isinstance(sample, dict):
        sample = list(sample.values())
    if isinstance(sample, list | tuple):
        for part in sample:
            yield from _leaves(part)
    else:
        yield sample


def _is_pil(leaf: object) -> bool:
    return hasattr(leaf, "getbands")


def _is_tv_tensor(leaf: object, kind: str) -> bool:
    # No tv_tensor can exist before somebody has imported torchvision.
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return tv_tensors is not None and isinstance(leaf, getattr(tv_tensors, kind))
