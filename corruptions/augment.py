"""The corruptions as a training augmentation, at random and yet repeatable.

In a torchvision-style chain, on a PIL image, an array (H, W, C) or a tensor (C, H, W)::

    chain = Compose([Resize(224), Augment(seed=0, probability=0.5, exclude=["pixelate"]), ToTensor()])

and as a module on a batch (N, C, H, W), uint8 or float from 0 to 1, on the device that it is on::

    augment = Augment(seed=0, strengths=(0.0, 3.0))
    images = augment(images)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES, BackendUnavailable, Strength, draws
from corruptions.table import DRAWS

try:
    import torch
    from torch import Tensor
    from torch.utils.data import get_worker_info
except ImportError as missing:
    raise BackendUnavailable(
        f"corruptions.Augment needs torch ({missing}); install it with: pip install 'medimeta-c[gpu]'"
    ) from missing


class Choice(NamedTuple):
    """What happens to one image: a corruption, how strongly, and the index of its draws."""

    corruption: str
    strength: Strength
    draw_index: int


class Augment(torch.nn.Module):
    """Corrupt images at random with the benchmark's kernels.

    Every image is corrupted with a probability of its own, by one corruption at one strength. Two objects with the
    same arguments do the same to the same sequence of images. In a DataLoader's workers the chance also depends on
    the worker's seed, which torch draws anew for each worker and epoch from the DataLoader's generator. Gradients do
    not pass through a corrupted image. The state of the chance is pickled with the object.

    Args:
        seed: of all that is random, 0 or more.
        probability: that an image is corrupted at all, 0 to 1.
        exclude: corruptions that never happen.
        severities: each image takes one of these, from 1 to 5. Not together with `strengths`.
        strengths: (low, high): each image takes a strength between them, evenly; whole numbers are the severities,
            0 does nothing, and between two severities the kernel's parameters are interpolated.
        profile: one of `corruptions.PROFILES`.
        column: the data set whose column of the profile ``modality`` is taken.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        *,
        seed: int,
        probability: float = 0.5,
        exclude: Sequence[str] = (),
        severities: Sequence[int] = SEVERITIES,
        strengths: tuple[float, float] | None = None,
        profile: str = "imagenet-c",
        column: str | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {probability}")
        for name in exclude:
            if name not in CORRUPTIONS:
                raise ValueError(f"exclude names no corruption: {name!r}; have {', '.join(CORRUPTIONS)}")
        if strengths is not None and not (len(strengths) == 2 and 0 <= strengths[0] <= strengths[1] <= 5):
            raise ValueError(f"strengths must be (low, high) with 0 <= low <= high <= 5, not {strengths}")
        self.corruptions = tuple(name for name in CORRUPTIONS if name not in exclude)
        if not self.corruptions:
            raise ValueError("exclude names every corruption, which leaves nothing to do; use probability=0 instead")
        for severity in severities:
            corruptions.strength(CORRUPTIONS[0], severity, profile=profile, column=column)
        if strengths is None and not len(severities):
            raise ValueError("severities is empty; have 1..5")
        self.seed, self.probability = seed, probability
        self.severities, self.strengths = tuple(severities), strengths
        self.profile, self.column = profile, column
        self._stream: tuple[int, ...] = (seed,)
        self._generator = np.random.default_rng(self._stream)

    def extra_repr(self) -> str:
        how = f"severities={self.severities}" if self.strengths is None else f"strengths={self.strengths}"
        return f"{', '.join(self.corruptions)}; {how}, probability={self.probability}, seed={self.seed}"

    def draw(self, count: int) -> list[Choice | None]:
        """Draw what happens to the next `count` images; None is nothing."""
        worker = get_worker_info()
        stream = (self.seed,) if worker is None else (self.seed, worker.seed % 2**63)
        if stream != self._stream:
            self._stream, self._generator = stream, np.random.default_rng(stream)
        return [self._choice() for _ in range(count)]

    def _choice(self) -> Choice | None:
        # All numbers are drawn whatever comes of them, so that one image's choice does not move the next one's.
        happens, which, how = self._generator.random(3)
        index = int(self._generator.integers(2**32))
        name = self.corruptions[int(which * len(self.corruptions))]
        if self.strengths is None:
            strength = self._strength(name, self.severities[int(how * len(self.severities))])
        else:
            low, high = self.strengths
            strength = self._between(name, low + (high - low) * how)
        return Choice(name, strength, index) if happens < self.probability else None

    def _strength(self, name: str, severity: int) -> Strength:
        return corruptions.strength(name, severity, profile=self.profile, column=self.column)

    def _between(self, name: str, strength: float) -> Strength:
        """Return the kernel's parameters at any strength from 0 to 5."""
        if strength in SEVERITIES:
            return self._strength(name, int(strength))
        below = math.floor(strength)
        upper = self._strength(name, below + 1)
        lower = self._strength(name, below).parameters if below else upper.parameters | _IDENTITY[upper.kernel]
        mixed = {key: _mixed(lower[key], value, strength - below) for key, value in upper.parameters.items()}
        return upper._replace(parameters=mixed)

    def forward(self, images: Any) -> Any:
        """Corrupt one image or a batch at random; the same type, shape and range come back.

        Args:
            images: a PIL image of mode L or RGB; a uint8 array (H, W), (H, W, C) or (N, H, W, C); or a tensor
                (C, H, W) or (N, C, H, W), uint8 or float from 0 to 1, which is rounded to 256 levels if corrupted.

        Raises:
            TypeError: `images` is none of these.
            ValueError: C is not 1 or 3, or a side is shorter than 2 pixels.
        """
        if isinstance(images, Tensor):
            return self._tensors(images)
        if isinstance(images, np.ndarray):
            return self._arrays(images)
        if hasattr(images, "getbands"):
            return self._picture(images)
        raise TypeError(f"images must be a PIL image, a uint8 array or a tensor, not {type(images).__name__}")

    def _picture(self, picture: Any) -> Any:
        from PIL import Image  # only whoever has a picture needs Pillow

        if picture.mode not in ("L", "RGB"):
            raise TypeError(f"a PIL image must have mode L or RGB, not {picture.mode}; convert it first")
        return Image.fromarray(self._arrays(np.asarray(picture)))

    def _arrays(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = array[..., None] if array.ndim == 2 else array
        batch = corruptions._checked(image[None] if image.ndim == 3 else image)
        result = batch.copy()
        for place, choice in enumerate(self.draw(len(batch))):
            if choice is not None:
                result[place] = self.apply_on_cpu(batch[place : place + 1], [choice])[0]
        return result.reshape(array.shape)

    def _tensors(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
            raise TypeError(f"a tensor of images must be uint8 or float, not {images.dtype}")
        batch = images[None] if images.ndim == 3 else images
        if batch.ndim != 4 or batch.shape[1] not in (1, 3) or min(batch.shape[2:]) < 2:
            raise ValueError(
                "a tensor of images must have shape (C, H, W) or (N, C, H, W) with C 1 or 3 and H, W >= 2, not"
                f" {tuple(images.shape)}"
            )
        alike: dict[str, list[tuple[int, Choice]]] = {}
        for place, choice in enumerate(self.draw(len(batch))):
            if choice is not None:
                alike.setdefault(f"{choice.corruption} {choice.strength}", []).append((place, choice))
        result = batch.clone()
        for group in alike.values():
            places = torch.tensor([place for place, _ in group], dtype=torch.int64, device=batch.device)
            result[places] = self._corrupted(batch.detach()[places], [choice for _, choice in group])
        return result[0] if images.ndim == 3 else result

    def _corrupted(self, batch: Tensor, choices: Sequence[Choice]) -> Tensor:
        levels = batch if batch.dtype == torch.uint8 else (batch.float() * 255).round().clamp(0, 255).to(torch.uint8)
        viewed = levels.permute(0, 2, 3, 1)
        if batch.device.type == "cpu":
            made = torch.from_numpy(self.apply_on_cpu(np.ascontiguousarray(viewed.numpy()), choices))
        else:
            made = self.apply_on_device(viewed, choices)
        made = made.permute(0, 3, 1, 2)
        return made if batch.dtype == torch.uint8 else (made.float() / 255).to(batch.dtype)

    def apply_on_cpu(self, images: NDArray[np.uint8], choices: Sequence[Choice]) -> NDArray[np.uint8]:
        """Do `choices`, all of one corruption and strength, to uint8 (N, H, W, C)."""
        from corruptions import cpu

        chosen, key, indices = self._common(choices)
        kind = DRAWS.get(chosen.kernel)
        drawn: tuple[Any, ...] = ()
        if kind == "angles":
            drawn = (draws.angles(key, indices),)
        elif kind == "uniforms":
            drawn = (draws.uniforms(key, indices, math.prod(images.shape[1:])).reshape(images.shape),)
        made: NDArray[np.uint8] = getattr(cpu, chosen.kernel)(images, *drawn, **chosen.parameters)
        return made

    def apply_on_device(self, images: Tensor, choices: Sequence[Choice]) -> Tensor:
        """Do `choices`, all of one corruption and strength, to uint8 (N, H, W, C) on any device: the same bytes."""
        from corruptions import gpu  # kornia takes a while to import

        chosen, key, indices = self._common(choices)
        return gpu.apply(images, chosen, gpu.drawn(images, chosen, key, indices))

    def _common(self, choices: Sequence[Choice]) -> tuple[Strength, draws.Key, list[int]]:
        first = choices[0]
        key = draws.key(self.seed, "augment", "train", first.corruption)
        return first.strength, key, [choice.draw_index for choice in choices]


_IDENTITY: dict[str, dict[str, Any]] = {
    "gaussian_noise": {"std": 0.0},
    "impulse_noise": {"amount": 0.0},
    "motion_blur": {"radius": 0},
    "zoom_blur": {"percents": [100]},
    "add_value": {"delta": 0.0},
    "scale": {"percent": 100},
    "channel_mean": {"percent": 100},
    "luma_mean": {"percent": 100},
    "pixelate": {"percent": 100},
}
"""Parameters with which each kernel gives its images back."""


def _mixed(lower: Any, upper: Any, share: float) -> Any:
    """Interpolate one parameter; whole numbers stay whole, and a list of zooms ends at the interpolated last one."""
    if isinstance(upper, list):
        return [percent for percent in upper if percent <= lower[-1] + (upper[-1] - lower[-1]) * share]
    between = lower + (upper - lower) * share
    return round(between) if isinstance(upper, int) else between
