"""Augment: repeatable random numbers, the kernels' bytes, and every kind of image that a training loop has."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES, Augment, BackendUnavailable, strength
from corruptions.augment import Choice


def noise(count: int, channels: int = 3, size: int = 24) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, size, size + 2, channels), np.uint8)


def corrupted(images: NDArray[np.uint8], choices: list[Choice | None], seed: int) -> NDArray[np.uint8]:
    """Return the images under `choices`, as `corrupt` makes them."""
    out = images.copy()
    for i, choice in enumerate(choices):
        if choice is not None:
            severity = next(s for s in SEVERITIES if strength(choice.corruption, s) == choice.strength)
            out[i] = corruptions.corrupt(
                images[i : i + 1],
                choice.corruption,
                severity,
                dataset="augment",
                split="train",
                indices=[choice.draw_index],
                seed=seed,
            )[0]
    return out


def test_every_kind_of_image_gets_the_same_bytes() -> None:
    images = noise(40)
    expected = corrupted(images, Augment(seed=3, probability=0.8).draw(40), 3)
    assert 20 < (expected != images).any(axis=(1, 2, 3)).sum() < 40

    def augment() -> Augment:
        return Augment(seed=3, probability=0.8)

    assert np.array_equal(augment()(images), expected)
    one_by_one = augment()
    assert np.array_equal([one_by_one(image) for image in images], expected)
    one_by_one = augment()
    pictures = [one_by_one(Image.fromarray(image)) for image in images]
    assert all(isinstance(picture, Image.Image) and picture.mode == "RGB" for picture in pictures)
    assert np.array_equal([np.asarray(picture) for picture in pictures], expected)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert np.array_equal(augment()(batch).permute(0, 2, 3, 1).numpy(), expected)
    one_by_one = augment()
    assert np.array_equal(torch.stack([one_by_one(image) for image in batch]).permute(0, 2, 3, 1).numpy(), expected)
    for dtype in (torch.float32, torch.float64):
        result = augment()(batch.to(dtype) / 255)
        assert result.dtype == dtype
        assert np.array_equal((result * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), expected)
    assert np.array_equal(images, noise(40)), "input changed"


def test_a_device_gets_the_bytes_of_the_cpu() -> None:
    augment = Augment(seed=1, probability=1, strengths=(0, 5))
    images = noise(30)
    for choice, image in zip(augment.draw(30), images, strict=True):
        assert choice is not None
        on_cpu = augment.apply_on_cpu(image[None], [choice])
        assert np.array_equal(augment.apply_on_device(torch.from_numpy(image[None]), [choice]).numpy(), on_cpu)


def test_grey_images_stay_grey() -> None:
    grey = noise(20, channels=1)
    expected = Augment(seed=5, probability=1)(grey)
    assert expected.shape == grey.shape
    augment = Augment(seed=5, probability=1)
    assert np.array_equal([augment(image[..., 0]) for image in grey], expected[..., 0])
    augment = Augment(seed=5, probability=1)
    pictures = [augment(Image.fromarray(image[..., 0])) for image in grey]
    assert {picture.mode for picture in pictures} == {"L"}
    assert np.array_equal([np.asarray(picture) for picture in pictures], expected[..., 0])


def test_probability_and_exclusion() -> None:
    choices = Augment(seed=0, probability=0.3, exclude=["pixelate", "contrast"]).draw(4000)
    happened = [choice for choice in choices if choice is not None]
    assert abs(len(happened) / 4000 - 0.3) < 0.03
    assert {choice.corruption for choice in happened} == set(CORRUPTIONS) - {"pixelate", "contrast"}
    images = noise(8)
    assert np.array_equal(Augment(seed=0, probability=0)(images), images)


def test_what_does_not_happen_leaves_a_float_image_alone() -> None:
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = [choice is not None for choice in Augment(seed=2).draw(64)]
    result = Augment(seed=2)(images)
    assert [not torch.equal(a, b) for a, b in zip(result, images, strict=True)] == changed


def test_severities_and_strengths() -> None:
    only = Augment(seed=0, probability=1, severities=[2]).draw(50)
    assert all(choice and choice.strength == strength(choice.corruption, 2) for choice in only)
    for severity in SEVERITIES:
        integral = Augment(seed=0, probability=1, strengths=(severity, severity)).draw(50)
        assert all(choice and choice.strength == strength(choice.corruption, severity) for choice in integral)
    between = Augment(seed=0, probability=1, strengths=(1, 2), exclude=[n for n in CORRUPTIONS if "noise" not in n])
    for choice in between.draw(50):
        assert choice is not None
        value = choice.strength.parameters.get("std", choice.strength.parameters.get("amount"))
        low, high = (next(iter(strength(choice.corruption, s).parameters.values())) for s in (1, 2))
        assert low < value < high
    zooms = Augment(seed=0, probability=1, strengths=(0, 5), exclude=[n for n in CORRUPTIONS if n != "zoom_blur"])
    assert {c.strength.parameters["percents"][-1] for c in zooms.draw(200) if c} > {100, 105, 110, 120}


@pytest.mark.parametrize("profile", corruptions.PROFILES)
def test_strength_0_does_nothing(profile: str) -> None:
    images = noise(60)
    nothing = Augment(seed=0, probability=1, strengths=(0, 0), profile=profile, column="oct")
    assert np.array_equal(nothing(images), images)


def test_the_random_state_goes_on_and_is_pickled_where_it_stands() -> None:
    augment = Augment(seed=4)
    first, then = augment.draw(30), augment.draw(30)
    assert first != then
    again = Augment(seed=4)
    assert again.draw(30) == first
    assert pickle.loads(pickle.dumps(again)).draw(30) == then  # noqa: S301 - result on the line itself
    assert Augment(seed=5).draw(30) != first


class Augmented(Dataset[Tensor]):
    def __init__(self) -> None:
        self.augment = Augment(seed=1, probability=1, exclude=[n for n in CORRUPTIONS if n != "impulse_noise"])

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        result: Tensor = self.augment(torch.full((1, 16, 16), 128, dtype=torch.uint8))
        return result


def _two_epochs(seed: int, data: Augmented) -> list[bytes]:
    loader: Any = DataLoader(data, num_workers=2, generator=torch.Generator().manual_seed(seed))
    return [batch.numpy().tobytes() for _ in range(2) for batch in loader]


def test_workers_and_epochs_differ_and_repeat() -> None:
    data = Augmented()
    images = _two_epochs(0, data)
    assert len(set(images)) == 8
    data.augment.draw(3)
    assert _two_epochs(0, data) == images, "workers do not depend on what the parent has drawn"
    assert _two_epochs(1, data) != images


def test_wrong_arguments_are_a_sentence() -> None:
    for options, words in [
        ({"probability": 2}, "probability must be from 0 to 1, not 2"),
        ({"exclude": ["mist"]}, "exclude names no corruption: 'mist'; have gaussian_noise"),
        ({"exclude": "contrast"}, r"exclude must be a list of names, such as \['contrast'\], not 'contrast'"),
        ({"exclude": CORRUPTIONS}, "leaves nothing to do"),
        ({"severities": [6]}, r"at severity 6"),
        ({"severities": []}, "severities is empty"),
        ({"strengths": (3, 1)}, "0 <= low <= high <= 5"),
        ({"profile": "modality"}, "no column for data set None"),
    ]:
        with pytest.raises(ValueError, match=words):
            Augment(seed=0, **options)  # type: ignore[arg-type]
    augment = Augment(seed=0)
    for image, words in [
        ("image", "not str"),
        (np.zeros((8, 8, 3)), "uint8"),
        (torch.zeros((3, 8, 8), dtype=torch.int64), "uint8 or float, not torch.int64"),
        (Image.new("RGBA", (8, 8)), "mode L or RGB, not RGBA"),
    ]:
        with pytest.raises(TypeError, match=words):
            augment(image)
    with pytest.raises(ValueError, match=r"\(C, H, W\).*not \(8, 8, 3\)"):
        augment(torch.zeros((8, 8, 3)))


def test_a_missing_torch_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("corruptions.augment", "corruptions.gpu"):
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(BackendUnavailable, match=r"in a checkout of this project: pip install -e '\.\[gpu\]'"):
            __import__(module)
