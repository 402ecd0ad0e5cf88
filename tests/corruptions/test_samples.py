"""What a training loop hands to Augment: samples of images and labels, and floats of every range."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from corruptions import Augment

Sample = namedtuple("Sample", ["image", "label"])
LEVELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 12, 14), np.uint8))


def always(**options: Any) -> Augment:
    return Augment(seed=3, probability=1, **options)


def corrupted(images: Tensor) -> Tensor:
    result: Tensor = always()(images)
    assert not torch.equal(result, images)
    return result


LABELS = st.one_of(st.integers(), st.none(), st.text(max_size=3), st.floats(allow_nan=False), st.binary(max_size=3))


@settings(deadline=None, max_examples=40)
@given(label=LABELS, more=st.lists(LABELS, max_size=3))
def test_the_image_of_a_sample_is_corrupted_and_the_rest_is_returned_as_it_is(label: Any, more: list[Any]) -> None:
    image = LEVELS[0]
    expected = corrupted(image)
    samples: list[Any] = [
        (image, label),
        [image, label, *more],
        {"image": image, "label": label, "more": more},
        OrderedDict(image=image, label=label),
        Sample(image, label),
        {"nested": ({"image": image}, label)},
    ]
    for sample in samples:
        result = always()(sample)
        assert type(result) is type(sample)
        flat, before = (str(part).replace(str(expected), "IMAGE") for part in (result, sample))
        assert flat == before.replace(str(image), "IMAGE")
        assert "IMAGE" in flat
    image_alone, label_alone = always()(image, label)
    assert torch.equal(image_alone, expected)
    assert label_alone is label


def test_the_first_of_the_tensors_is_the_image_and_labels_stay() -> None:
    labels, mask = torch.arange(4), torch.ones(4, 1, 12, 14)
    images, same, unchanged = always()((LEVELS, labels, mask))
    assert torch.equal(images, corrupted(LEVELS))
    assert same is labels
    assert unchanged is mask


def test_a_pil_image_is_the_image_where_there_is_one_and_all_are_corrupted_alike() -> None:
    array = LEVELS[0].permute(1, 2, 0).numpy()
    mask = np.ones((12, 14), np.float32)
    sample = (mask, Image.fromarray(array), Image.fromarray(array), LEVELS)
    unchanged, left, right, tensor = always()(sample)
    assert unchanged is mask
    assert tensor is LEVELS
    expected = corrupted(LEVELS[0]).permute(1, 2, 0).numpy()
    assert np.array_equal(left, expected)
    assert np.array_equal(right, expected)


def test_no_image_is_a_sentence() -> None:
    for sample in ((), 3, ("image.png", 1), {"label": 0}):
        with pytest.raises(TypeError, match=r"images must be a PIL image, a uint8 array or a tensor, not \w+"):
            always()(sample)


RANGES = st.tuples(st.floats(-1000, 1000), st.floats(1, 1000)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(deadline=None, max_examples=40)
@given(value_range=st.one_of(st.sampled_from([(0, 1), (0, 255), (-1, 1), (0.0, 65535.0)]), RANGES))
def test_a_range_of_values_is_the_levels_in_it(value_range: tuple[float, float]) -> None:
    low, high = value_range
    floats = LEVELS.double() * (high - low) / 255 + low
    result = always(value_range=value_range)(floats)
    assert result.dtype == torch.float64
    levels = ((result - low) * 255 / (high - low)).round().to(torch.uint8)
    assert torch.equal(levels, corrupted(LEVELS))


@settings(deadline=None, max_examples=40)
@given(
    value=st.one_of(
        st.floats(max_value=-0.0625, width=32), st.floats(min_value=1.0625, width=32), st.just(float("nan"))
    ),
    position=st.integers(0, LEVELS.numel() - 1),
    probability=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_value_outside_of_the_range_is_refused_whatever_is_drawn(
    value: float, position: int, probability: float
) -> None:
    images = LEVELS.float() / 255
    images.view(-1)[position] = value
    with pytest.raises(
        ValueError, match=r"float images must have values from 0 to 1, not .* to .*; put Augment before"
    ):
        Augment(seed=0, probability=probability)(images)


def test_the_errors_name_what_monai_gives_and_what_a_normalisation_gives() -> None:
    with pytest.raises(ValueError, match=r"set value_range=\(0, 255\) for grey levels as floats, which MONAI"):
        always()(LEVELS.float())
    with pytest.raises(ValueError, match="put Augment before Normalize"):
        always()((LEVELS / 255 - 0.48) / 0.26)
    for value_range in ((1, 0), (0, 0), (0, float("inf")), (float("nan"), 1), (0, 1, 2), 255, None, "01", ("0", "1")):
        with pytest.raises(ValueError, match="value_range must be"):
            always(value_range=value_range)
    for strengths in (3, "03", (1,), (0, float("nan"))):
        with pytest.raises(ValueError, match="strengths must be"):
            always(strengths=strengths)


def test_what_rounds_to_a_level_of_the_range_is_accepted() -> None:
    images = LEVELS.float() / 255
    images[0, 0, 0, 0], images[0, 0, 0, 1] = -0.0019, 1.0019
    assert always()(images).shape == images.shape
    assert always()(torch.empty(0, 3, 8, 8)).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("seed", ["1", 1.0, True, None, np.float64(1)])
def test_a_seed_is_an_integer(seed: Any) -> None:
    with pytest.raises(TypeError, match="seed must be an integer, not "):
        Augment(seed=seed)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        Augment(seed=-1)
    assert Augment(seed=np.int64(4)).draw(9) == Augment(seed=4).draw(9)  # type: ignore[arg-type]


def test_gradients_pass_through_clean_images_alone() -> None:
    images = (LEVELS.float() / 255).requires_grad_()
    augment = Augment(seed=1, probability=0.5)
    clean = [choice is None for choice in Augment(seed=1, probability=0.5).draw(4)]
    augment(images).sum().backward()
    assert images.grad is not None
    assert [bool(grad.any()) for grad in images.grad] == clean
    assert len(set(clean)) == 2


@pytest.fixture
def v2() -> Any:
    """Return torchvision.transforms.v2, whose box operators the CPU build of torch lacks."""
    from benchmark.models.components.packages import declare_box_operators

    declare_box_operators()
    return pytest.importorskip("torchvision.transforms.v2")


@pytest.mark.zoo
def test_samples_pass_through_as_torchvisions_own_transforms_do(v2: Any) -> None:
    from torchvision import tv_tensors

    def sample() -> dict[str, Any]:
        return {
            "image": tv_tensors.Image(LEVELS[0]),
            "boxes": tv_tensors.BoundingBoxes([[0, 0, 4, 4]], format="XYXY", canvas_size=(12, 14)),
            "mask": tv_tensors.Mask(torch.ones(12, 14)),
            "features": torch.rand(5),
            "label": 3,
        }

    own, theirs = always()(sample()), v2.RandomInvert(p=1)(sample())
    for name, part in theirs.items():
        assert type(own[name]) is type(part), name
        changed = not torch.equal(torch.as_tensor(own[name]), torch.as_tensor(sample()[name]))
        assert changed == (name == "image") or name == "features"
    features = sample()["features"]
    assert always()((tv_tensors.Image(LEVELS[0]), features))[1] is features
    assert torch.equal(own["image"], corrupted(LEVELS[0]))
    with pytest.raises(TypeError, match=r"a tv_tensors.Video is no image"):
        always()((tv_tensors.Image(LEVELS[0]), tv_tensors.Video(LEVELS)))
    with pytest.raises(ValueError, match=r"the batches of one sample must have one length, not \[1, 4\]"):
        always()((tv_tensors.Image(LEVELS), tv_tensors.Image(LEVELS[0])))


@pytest.mark.zoo
def test_a_chain_of_torchvision_corrupts_samples(v2: Any) -> None:
    chain = v2.Compose([v2.ToImage(), always(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    picture = Image.fromarray(LEVELS[0].permute(1, 2, 0).numpy())
    image, label = chain(picture, 7)
    assert label == 7
    assert torch.allclose(image, corrupted(LEVELS[0]).float() / 255 * 2 - 1, atol=1e-6)
    wrong = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5]), always()])
    with pytest.raises(ValueError, match="put Augment before Normalize"):
        wrong(picture, 7)
