"""PNGs written by NumPy and libdeflate decode to the same pixels everywhere."""

from __future__ import annotations

import io
import re
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from corruptions import CORRUPTIONS, sweep
from pipeline.io import png
from tests.bench.timing import photographs

SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


def decoded(image: bytes) -> list[NDArray[np.uint8]]:
    """Return the image as Pillow and as OpenCV read it, (H, W, C)."""
    pillow = np.asarray(Image.open(io.BytesIO(image)))
    opencv = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
    assert opencv is not None
    return [pillow.reshape(*pillow.shape[:2], -1), opencv.reshape(*opencv.shape[:2], -1)[..., ::-1]]


@given(hnp.arrays(np.uint8, SHAPES))
def test_any_image_decodes_to_its_pixels_in_pillow_and_opencv(images: NDArray[np.uint8]) -> None:
    encoded = png.encode(images)
    assert len(encoded) == len(images)
    for image, expected in zip(encoded, images, strict=True):
        for found in decoded(image):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_the_benchmarks_size_stay_valid_and_small(channels: int) -> None:
    ramp = np.add.outer(np.arange(224), np.arange(224)).astype(np.uint8)
    images = np.repeat(ramp[None, :, :, None], channels, axis=-1)
    images.flags.writeable = False
    (image,) = png.encode(images)
    with Image.open(io.BytesIO(image)) as opened:
        opened.verify()
        assert opened.mode == {1: "L", 3: "RGB"}[channels]
    assert len(image) < images.size / 20
    for found in decoded(image):
        np.testing.assert_array_equal(found, images[0])


def test_an_image_takes_the_filter_that_leaves_less() -> None:
    levels = np.random.default_rng(0).integers(0, 256, 64, np.uint8)
    across = np.broadcast_to(levels[:, None, None], (64, 64, 3))  # each row has one level
    encoded = png.encode(np.stack([across, across.transpose(1, 0, 2)]))
    assert [zlib.decompress(image[41:-16])[0] for image in encoded] == [1, 2]  # sub, up


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_photographs_are_no_more_than_15_percent_larger_than_pillows(corruption: str) -> None:
    images = photographs(4)
    for severity, made in sweep(images, corruption, dataset="pbc", split="test", seed=1):
        theirs = 0
        for image in made:
            Image.fromarray(image).save(file := io.BytesIO(), "png")
            theirs += file.tell()
        assert sum(map(len, png.encode(made))) <= 1.15 * theirs, severity


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 2), (2, 0, 4, 3), (2, 4, 0, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        png.encode(np.zeros(shape, np.uint8))


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        png.encode(np.zeros((1, 4, 4, 3), np.float32))  # type: ignore[arg-type]
