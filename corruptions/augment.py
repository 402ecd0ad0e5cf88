"""The corruptions as a training augmentation: random, and yet repeatable.

In a chain of transforms, on a PIL image, an array (H, W, C), a tensor (C, H, W) or a sample with labels::

    chain = Compose([Resize(224), Augment(seed=0, probability=0.5, exclude=["pixelate"]), ToTensor(), Normalize(...)])

and as a module on a batch (N, C, H, W), uint8 or float from 0 to 1, on the device that it is on::

    augment = Augment(seed=0, strengths=(0.0, 3.0))
    images = augment(images)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corruptions.spec import (
    CORRUPTIONS,
    EVERY,
    SEVERITIES,
    BackendUnavailable,
    DrawKey,
    Strength,
    check_seed,
    strength,
)

try:
    import torch
    from torch import Tensor
    from torch.utils.data import get_worker_info
except ImportError as missing:
    raise BackendUnavailable(
        f"corruptions.Augment needs torch ({missing}); in a checkout of this project: pip install -e '.[gpu]'"
    ) from missing

from corruptions.samples import find_images, like, replace_images, writable_copy


class Choice(NamedTuple):
    """What happens to one image: a corruption, its strength, and the index of its random numbers."""

    corruption: str
    strength: Strength
    draw_index: int


class Augment(torch.nn.Module):
    """Corrupt images at random with the benchmark's kernels.

    Each image is corrupted with a probability of its own, by one corruption of the seven at one strength. Two objects
    with the same arguments do the same to the same sequence of images. In a DataLoader's workers the random state also
    depends on the worker's seed, which torch draws anew for each worker and epoch from the DataLoader's generator. The
    random state is pickled with the object. Gradients do not pass through a corrupted image.

    Args:
        seed: of all that is random, an integer from 0.
        probability: that an image is corrupted at all, 0 to 1.
        exclude: corruptions that never happen; those of `corruptions.EXTENDED` do not in any case.
        severities: each image is corrupted at one of these, from 1 to 5. Not used if `strengths` is given.
        strengths: (low, high): each image is corrupted at a strength between them, evenly distributed. Whole numbers
            are the severities, 0 does nothing, and between two severities the kernel's parameters are interpolated.
        profile: one of `corruptions.PROFILES`.
        column: the data set whose column of the profile ``modality`` is used.
        value_range: (low, high): what black and white are in float tensors; (0, 255) for MONAI's LoadImage.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: another argument is outside what is listed above.
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
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        self.seed = check_seed(seed)
        if self.seed < 0:
            raise ValueError(f"the seed of Augment must be 0 or more, not {seed}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {probability}")
        if isinstance(exclude, str):
            raise ValueError(f"exclude must be a list of names, such as [{exclude!r}], not {exclude!r}")
        for name in exclude:
            if name not in EVERY:
                raise ValueError(f"exclude names no corruption: {name!r}; have {', '.join(EVERY)}")
        self.corruptions = tuple(name for name in CORRUPTIONS if name not in exclude)
        if not self.corruptions:
            raise ValueError("exclude names every corruption, which leaves nothing to do; use probability=0 instead")
        if strengths is not None and not (_is_pair(strengths) and 0 <= strengths[0] <= strengths[1] <= 5):
            raise ValueError(f"strengths must be (low, high) with 0 <= low <= high <= 5, not {strengths}")
        for severity in severities:
            strength(CORRUPTIONS[0], severity, profile=profile, column=column)
        if strengths is None and not len(severities):
            raise ValueError("severities is empty; have 1..5")
        if not (_is_pair(value_range) and -math.inf < value_range[0] < value_range[1] < math.inf):
            raise ValueError(f"value_range must be (low, high) with low < high, not {value_range}")
        self.probability, self.severities, self.strengths = probability, tuple(severities), strengths
        self.profile, self.column, self.value_range = profile, column, value_range
        self._stream: tuple[int, ...] = (self.seed,)
        self._generator = np.random.default_rng(self._stream)

    def extra_repr(self) -> str:
        how = f"severities={self.severities}" if self.strengths is None else f"strengths={self.strengths}"
        return f"{', '.join(self.corruptions)}; {how}, probability={self.probability}, seed={self.seed}"

    def forward(self, *inputs: Any) -> Any:
        """Corrupt an image, a batch or a sample at random; the same types, shapes and ranges come back.

        Args:
            inputs: a PIL image of mode L or RGB; a uint8 array (H, W), (H, W, C) or (N, H, W, C); or a tensor (C, H, W)
                or (N, C, H, W), uint8, or float within `value_range`, which is rounded to 256 levels if corrupted.
                Or a sample that holds one, such as (image, label) or a dict; all else in it is returned as it is, by
                the rule of torchvision.transforms.v2: PIL images and tv_tensors.Image are images, and where there is
                none of these, the first plain tensor or array. Images of one sample are corrupted alike.

        Raises:
            TypeError: there is no image, or its type is none of these.
            ValueError: C is not 1 or 3, a side is shorter than 2 pixels, or a float is outside `value_range`.
        """
        sample = inputs[0] if len(inputs) == 1 else inputs
        images = find_images(sample)
        copies = [writable_copy(image) for image in images]
        counts = {len(pixels) for _, pixels in copies}
        if len(counts) > 1:
            raise ValueError(f"the batches of one sample must have one length, not {sorted(counts)}")
        for _, pixels in copies:
            self._check_range(pixels)
        choices = self.draw(*counts)
        for _, pixels in copies:
            self._corrupt(pixels, choices)
        results = [like(image, result) for image, (result, _) in zip(images, copies, strict=True)]
        return replace_images(sample, images, results)

    def draw(self, count: int) -> list[Choice | None]:
        """Draw what happens to the next `count` images; None means nothing."""
        worker = get_worker_info()
        stream = (self.seed,) if worker is None else (self.seed, worker.seed % 2**63)
        if stream != self._stream:
            self._stream, self._generator = stream, np.random.default_rng(stream)
        return [self._draw_choice() for _ in range(count)]

    def _draw_choice(self) -> Choice | None:
        # All numbers are drawn in any case, so that the choice for one image does not shift the next one's.
        happens, which, how = self._generator.random(3)
        index = int(self._generator.integers(2**32))
        name = self.corruptions[int(which * len(self.corruptions))]
        if self.strengths is None:
            drawn = self._at(name, self.severities[int(how * len(self.severities))])
        else:
            low, high = self.strengths
            drawn = self._between(name, low + (high - low) * how)
        return Choice(name, drawn, index) if happens < self.probability else None

    def _at(self, name: str, severity: int) -> Strength:
        return strength(name, severity, profile=self.profile, column=self.column)

    def _between(self, name: str, value: float) -> Strength:
        """Return the kernel's parameters at a strength from 0 to 5."""
        if value in SEVERITIES:
            return self._at(name, int(value))
        below = math.floor(value)
        upper = self._at(name, below + 1)
        lower = self._at(name, below) if below else upper.identity
        parameters = {
            key: _interpolate(lower.parameters[key], end, value - below) for key, end in upper.parameters.items()
        }
        return upper._replace(parameters=parameters)

    def _check_range(self, pixels: Tensor) -> None:
        if pixels.dtype == torch.uint8 or not pixels.numel():
            return
        low, high = self.value_range
        least, most = (value.item() for value in pixels.detach().aminmax())
        # Half a level more is still rounded to black or white; NaN fails both comparisons.
        slack = (high - low) / 510
        if not (low - slack <= least and most <= high + slack):
            raise ValueError(
                f"float images must have values from {low:g} to {high:g}, not {least:g} to {most:g}; put Augment before"
                " Normalize, and set value_range=(0, 255) for grey levels as floats, which MONAI's LoadImage gives"
            )

    def _corrupt(self, pixels: Tensor, choices: Sequence[Choice | None]) -> None:
        """Corrupt (N, C, H, W) in place; images with the same corruption and strength go together."""
        groups: dict[str, list[tuple[int, Choice]]] = defaultdict(list)
        for position, choice in enumerate(choices):
            if choice is not None:
                groups[f"{choice.corruption} {choice.strength}"].append((position, choice))
        for group in groups.values():
            positions = torch.tensor([position for position, _ in group], dtype=torch.int64, device=pixels.device)
            levels = self._to_levels(pixels.detach()[positions]).permute(0, 2, 3, 1)
            corrupted = self._corrupt_levels(levels, [choice for _, choice in group]).permute(0, 3, 1, 2)
            pixels[positions] = self._from_levels(corrupted, pixels.dtype)

    def _to_levels(self, pixels: Tensor) -> Tensor:
        if pixels.dtype == torch.uint8:
            return pixels
        low, high = self.value_range
        return ((pixels.float() - low) * 255 / (high - low)).round().clamp(0, 255).to(torch.uint8)

    def _from_levels(self, levels: Tensor, dtype: torch.dtype) -> Tensor:
        if dtype == torch.uint8:
            return levels
        low, high = self.value_range
        return (levels.float() * (high - low) / 255 + low).to(dtype)

    def _corrupt_levels(self, images: Tensor, choices: Sequence[Choice]) -> Tensor:
        if images.device.type == "cpu":
            return torch.from_numpy(self.apply_on_cpu(np.ascontiguousarray(images.numpy()), choices))
        return self.apply_on_device(images, choices)

    def apply_on_cpu(self, images: NDArray[np.uint8], choices: Sequence[Choice]) -> NDArray[np.uint8]:
        """Apply `choices`, all of one corruption and strength, to uint8 (N, H, W, C)."""
        from corruptions import cpu  # Numba takes a while to import

        key = self._key.philox(choices[0].corruption)
        return next(cpu.run(images, [choices[0].strength], key, [choice.draw_index for choice in choices]))

    def apply_on_device(self, images: Tensor, choices: Sequence[Choice]) -> Tensor:
        """Apply `choices`, all of one corruption and strength, to uint8 (N, H, W, C) on any device: the same bytes."""
        from corruptions.gpu import api, draws  # kornia takes a while to import

        strength, key = choices[0].strength, self._key.philox(choices[0].corruption)
        indices = [choice.draw_index for choice in choices]
        return api.apply(images, strength, draws.draw(strength, key, indices, images.shape, images.device))

    @property
    def _key(self) -> DrawKey:
        return DrawKey(dataset="augment", split="train", seed=self.seed)


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and [isinstance(part, Real) for part in value] == [True, True]


def _interpolate(lower: Any, upper: Any, fraction: float) -> Any:
    """Interpolate one parameter; whole numbers stay whole, and a list of zooms ends at the interpolated last one."""
    if isinstance(upper, list):
        return [percent for percent in upper if percent <= lower[-1] + (upper[-1] - lower[-1]) * fraction]
    between = lower + (upper - lower) * fraction
    return round(between) if isinstance(upper, int) else between
