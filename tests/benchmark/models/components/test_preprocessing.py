from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.models import Preprocessing
from benchmark.models.components.preprocessing import preprocess
from pipeline.errors import UserError

PLAIN = Preprocessing(size=48, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
LEVEL = 1 / 255


def drawn(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    """Noise over a gradient over bars: smooth, sharp and saturated parts."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    ground = (x * 255 / shape[2])[None, ..., None] * np.ones((shape[0], 1, 1, shape[3]))
    bars = 255.0 * ((y // 5 + x // 7) % 2)[None, ..., None]
    return np.clip(0.5 * ground + 0.5 * bars + draw.normal(0, 40, shape), 0, 255).astype(np.uint8)


FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def resized(picture: Image.Image, size: tuple[int, int], settings: Preprocessing) -> Image.Image:
    """Across and then down, as Pillow did in one call until release 13, which shrinks the other way round."""
    across = picture.resize((size[0], picture.size[1]), FILTERS[settings.interpolation])
    return across.resize(size, FILTERS[settings.interpolation])


def pillow(image: np.ndarray, settings: Preprocessing) -> np.ndarray:
    """The same in Pillow, step by step, as the models' own code does."""
    picture = Image.fromarray(image)
    if settings.grey:
        picture = picture.convert("L")
    width, height = picture.size
    size = settings.size
    if settings.resize == "pad":
        side = max(size, width, height)
        square = Image.new(picture.mode, (side, side), 0)
        square.paste(picture, (int((side - width) / 2), int((side - height) / 2)))
        picture = resized(square, (size, size), settings)
    elif settings.resize == "squash":
        picture = resized(picture, (size, size), settings)
    else:
        short = min(width, height)
        picture = resized(picture, (int(size * width / short), int(size * height / short)), settings)
        left, top = round((picture.size[0] - size) / 2), round((picture.size[1] - size) / 2)
        picture = picture.crop((left, top, left + size, top + size))
    levels = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
    mean, std = (np.array(channels, np.float32)[:, None, None] for channels in (settings.mean, settings.std))
    return (levels - mean) / std


@pytest.mark.parametrize("resize", ["shortest", "squash", "pad"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(2, 64, 80, 3), (2, 90, 50, 3), (2, 31, 40, 3), (1, 224, 224, 3), (2, 48, 48, 3)])
def test_equals_pillow_within_a_grey_level(resize, interpolation, shape):
    settings = PLAIN.changed(interpolation=interpolation, resize=resize)
    images = drawn(shape)
    ours = preprocess(images, settings).numpy()
    theirs = np.stack([pillow(image, settings) for image in images])
    away = np.abs(ours - theirs)
    assert away.max() <= LEVEL + 1e-6
    assert (away > LEVEL / 2).mean() < 0.1  # only where a sum lies at a half: often at ratios as 5 to 3


def test_enlarges_224_to_336_as_pillow_does():
    settings = Preprocessing(size=336, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))
    images = drawn((1, 224, 224, 3))
    ours, theirs = preprocess(images, settings)[0].numpy(), pillow(images[0], settings)
    assert np.abs(ours - theirs).max() <= LEVEL / 0.26 + 1e-5


def test_grey_is_pillows_luma_to_the_bit():
    settings = Preprocessing(size=48, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), grey=True)
    images = drawn((3, 48, 48, 3))
    ours = preprocess(images, settings).numpy()
    assert np.array_equal(ours, np.stack([pillow(image, settings) for image in images]))


def test_own_size_is_left_alone_and_normalised():
    settings = Preprocessing(size=32, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    images = drawn((2, 32, 32, 3))
    ours = preprocess(images, settings)
    assert ours.dtype == torch.float32
    assert ours.is_contiguous() or ours.shape == (2, 3, 32, 32)
    expected = (images.transpose(0, 3, 1, 2) / 255 - np.array([0.5, 0.25, 0])[:, None, None]) / np.array(
        [0.5, 0.25, 2]
    )[:, None, None]
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


def test_takes_arrays_read_only_and_strided_and_tensors():
    images = drawn((4, 60, 48, 3))
    whole = preprocess(images, PLAIN)
    frozen = images.copy()
    frozen.flags.writeable = False
    assert torch.equal(preprocess(frozen, PLAIN), whole)
    assert torch.equal(preprocess(images[::2], PLAIN), whole[::2])
    assert torch.equal(preprocess(torch.from_numpy(images), PLAIN), whole)


@pytest.mark.parametrize(
    "images", [np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 8, 8, 1), np.uint8), np.zeros((8, 8, 3), np.uint8)]
)
def test_other_images_are_an_error(images):
    with pytest.raises(UserError, match="uint8 \\(N, H, W, 3\\)"):
        preprocess(images, PLAIN)


def test_half_a_pixel_over_is_rounded():
    """11 and 15 pixels are left over: torchvision's corner is at 6, 8 (half to even)."""
    images = drawn((1, 59, 63, 3))
    cropped = preprocess(images, PLAIN.changed(resize="none"))
    expected = images[:, 6 : 6 + 48, 8 : 8 + 48].transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(cropped.numpy(), expected, atol=1e-6)


def test_the_crop_is_of_what_was_resized():
    settings = PLAIN.changed(resized=60)
    for shape in ((1, 48, 48, 3), (1, 90, 70, 3)):
        images = drawn(shape)
        picture = Image.fromarray(images[0])
        height, width = (int(60 * side / min(shape[1:3])) for side in shape[1:3])
        top, left = round((height - 48) / 2), round((width - 48) / 2)
        picture = resized(picture, (width, height), settings).crop((left, top, left + 48, top + 48))
        ours = preprocess(images, settings)[0].numpy()
        assert np.abs(ours - np.asarray(picture).transpose(2, 0, 1) / 255).max() <= LEVEL + 1e-6


def test_a_crop_that_is_larger_than_the_image_is_an_error():
    with pytest.raises(UserError, match="images of 40 x 60 pixels are smaller than the 48 x 48 that are cropped"):
        preprocess(drawn((1, 40, 60, 3)), PLAIN.changed(resize="none"))
    with pytest.raises(ValueError, match="a resize to 40 pixels leaves nothing to crop 48 from"):
        PLAIN.changed(resized=40)
