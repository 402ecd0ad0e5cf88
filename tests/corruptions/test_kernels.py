"""Each CPU kernel against its plain definition, and what `corrupt` promises about batches, order and memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, Strength, corrupt, cpu, lookup, strength, sweep
from corruptions.cpu import draws
from corruptions.cpu.levels import add_value, gaussian_noise_sweep
from corruptions.cpu.zoom import zoom_blur_sweep
from corruptions.spec import find_kernel
from corruptions.table import COLUMNS, KERNELS
from tests.corruptions import plain
from tests.corruptions.pictures import waves

Images = NDArray[np.uint8]
SHAPES = st.tuples(st.integers(1, 3), st.integers(2, 24), st.integers(2, 24), st.sampled_from([1, 3]))
BATCHES = SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 255), fill=st.nothing()))
# Parameters well beyond the tables: any legal one must be exact.
PARAMETERS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "gaussian_noise": {"std": st.floats(0, 1)},
    "impulse_noise": {"amount": st.floats(0, 1)},
    "motion_blur": {"radius": st.integers(0, 30), "sigma": st.floats(0.2, 50)},
    "zoom_blur": {"percents": st.lists(st.integers(100, 400), min_size=1, max_size=31)},
    "add_value": {"delta": st.floats(-1, 1)},
    "scale": {"percent": st.integers(0, 256)},
    "channel_mean": {"percent": st.integers(0, 100)},
    "luma_mean": {"percent": st.integers(0, 100)},
    "pixelate": {"percent": st.integers(1, 100)},
}


def test_every_kernel_is_tested() -> None:
    assert set(PARAMETERS) == set(KERNELS)


@pytest.mark.parametrize("kernel", PARAMETERS)
@settings(deadline=None, max_examples=60)
@given(data=st.data(), images=BATCHES, key=st.tuples(*[st.integers(0, 2**32 - 1)] * 2))
def test_kernel_is_its_definition(kernel: str, data: st.DataObject, images: Images, key: tuple[int, int]) -> None:
    parameters = {name: data.draw(strategy, name) for name, strategy in PARAMETERS[kernel].items()}
    indices = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=len(images), max_size=len(images)), "indices")
    drawn = draws.draw(Strength(kernel, parameters, "test"), key, indices, images.shape)
    result = find_kernel("cpu", kernel)(images, *drawn, **parameters)
    np.testing.assert_array_equal(result, plain.corrupt(images, kernel, parameters, key, indices))


ZOOMS = st.lists(st.integers(100, 130), min_size=1, max_size=31)


@settings(deadline=None, max_examples=40)
@given(images=BATCHES, lists=st.lists(ZOOMS, min_size=1, max_size=5))
def test_zooms_in_common_are_counted_for_each(images: Images, lists: list[list[int]]) -> None:
    results = zoom_blur_sweep(images, percents=lists)
    for result, percents in zip(results, lists, strict=True):
        expected = plain.corrupt(images, "zoom_blur", {"percents": percents}, (0, 0), list(range(len(images))))
        np.testing.assert_array_equal(result, expected)


@settings(deadline=None, max_examples=40)
@given(images=BATCHES, stds=st.lists(st.floats(0, 1), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_noise_of_several_strengths_is_each_one(images: Images, stds: list[float], seed: int) -> None:
    indices = list(range(len(images)))
    uniforms = draws.uniforms((seed, 1), indices, images[0].size).reshape(images.shape)
    results = gaussian_noise_sweep(images, uniforms, std=stds)
    for result, std in zip(results, stds, strict=True):
        expected = plain.corrupt(images, "gaussian_noise", {"std": std}, (seed, 1), indices)
        np.testing.assert_array_equal(result, expected)


def test_every_uniform_at_the_strengths_of_the_tables() -> None:
    uniforms = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1)
    for level in (0, 97, 255):
        images = np.full(uniforms.shape, level, np.uint8)
        for column in COLUMNS:
            stds = [
                strength("gaussian_noise", k, profile="modality", column=column).parameters["std"] for k in SEVERITIES
            ]
            for result, std in zip(gaussian_noise_sweep(images, uniforms, std=stds), stds, strict=True):
                expected = np.clip(level + lookup.noise_levels(std)[uniforms], 0, 255)
                np.testing.assert_array_equal(result, expected)


def test_every_level_of_every_colour_value() -> None:
    # Each pair of value and level in a pixel: the exhaustive proof of add_value's table.
    v, c = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    image = np.stack([v, np.minimum(c, v), np.maximum(v - c, 0)], -1)[None].astype(np.uint8)
    for delta in (-0.37, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        expected = plain.add_value(image[0].astype(np.int64), delta=delta)
        np.testing.assert_array_equal(add_value(image, delta=delta)[0], expected)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (5, 7), (64, 9), (9, 64)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupt_is_the_definition_on_narrow_images(name: str, channels: int, shape: tuple[int, int]) -> None:
    images = waves(2, *shape, channels)
    key = plain.key(4, "oct", "val", name)
    for profile in PROFILES:
        for severity, result in sweep(
            images, name, dataset="oct", split="val", indices=[0, 7], seed=4, profile=profile
        ):
            kernel, parameters, _ = strength(name, severity, profile=profile, column="oct")
            np.testing.assert_array_equal(result, plain.corrupt(images, kernel, parameters, key, [0, 7]))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", CORRUPTIONS)
@settings(deadline=None, max_examples=8)
@given(order=st.permutations(range(6)), kept=st.integers(1, 6), severity=st.sampled_from(SEVERITIES))
def test_any_order_and_any_subset_keep_their_bytes(
    name: str, profile: str, order: list[int], kept: int, severity: int
) -> None:
    images = waves(6, 11, 14, 3)
    options: dict[str, Any] = {"dataset": "fundus", "split": "test", "seed": 3, "profile": profile}
    batch = corrupt(images, name, severity, **options)
    indices = order[:kept]
    subset = corrupt(images[indices], name, severity, indices=indices, **options)
    np.testing.assert_array_equal(subset, batch[indices])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_batch_is_its_images_one_by_one_and_a_sweep_is_its_severities(name: str, profile: str) -> None:
    images = waves(4, 17, 12, 3)
    options: dict[str, Any] = {"dataset": "aml", "split": "train", "seed": 11, "profile": profile}
    for severity, swept in sweep(images, name, **options):
        singles = [corrupt(images[i : i + 1], name, severity, indices=[i], **options) for i in range(4)]
        np.testing.assert_array_equal(swept, np.concatenate(singles))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_input_is_untouched_and_may_be_read_only_or_strided(name: str, profile: str, channels: int) -> None:
    options: dict[str, Any] = {"dataset": "pneumonia", "split": "val", "seed": 0, "profile": profile}
    images = waves(2, 13, 10, channels)
    before = images.copy()
    expected = corrupt(images, name, 5, **options)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(images, expected)
    assert expected.flags.c_contiguous
    assert expected.flags.writeable

    frozen = images.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(corrupt(frozen, name, 5, **options), expected)

    strided = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)[:, ::2, 1::2]
    planar = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    for view in (strided, planar, backwards):
        np.testing.assert_array_equal(corrupt(view, name, 5, **options), expected)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_images_give_no_images(name: str) -> None:
    images = np.empty((0, 9, 9, 3), np.uint8)
    assert corrupt(images, name, 1, dataset="oct", split="val", seed=0).shape == images.shape


@pytest.mark.parametrize(("profile", "column"), [("imagenet-c", None), *[("modality", column) for column in COLUMNS]])
def test_impulse_masks_nest(profile: str, column: str | None) -> None:
    images = np.full((3, 40, 40, 3), 128, np.uint8)
    results = dict(sweep(images, "impulse_noise", dataset="mine", split="val", seed=5, profile=profile, column=column))
    for severity in SEVERITIES[:-1]:
        hit = results[severity] != 128
        np.testing.assert_array_equal(results[severity + 1][hit], results[severity][hit])
        assert (results[severity + 1] != 128).sum() > hit.sum()


def test_noise_has_the_std_and_the_amount_that_it_is_asked_for() -> None:
    images = np.full((4, 100, 100, 3), 128, np.uint8)
    options: dict[str, Any] = {"dataset": "oct", "split": "val", "seed": 8}
    noisy = corrupt(images, "gaussian_noise", 1, **options).astype(float) - 128
    # 120 000 elements: the standard error of the mean is 0.06 levels, of the spread 0.04.
    assert abs(noisy.mean()) < 0.3
    assert abs(noisy.std() - 0.08 * 255) < 0.2
    salted = corrupt(images, "impulse_noise", 3, **options)
    assert abs((salted == 0).mean() - 0.045) < 0.003
    assert abs((salted == 255).mean() - 0.045) < 0.003


def test_warm_names_every_kernel() -> None:
    assert sorted(cpu.warm()) == sorted(KERNELS)
    assert [*cpu.warm("scale", "pixelate")] == ["scale", "pixelate"]


AFTER_WARMING = """
import numba, numpy as np
from corruptions import CORRUPTIONS, PROFILES, cpu, sweep
from corruptions.cpu import draws, levels, motion, pixelate, zoom

modules = (draws, levels, motion, pixelate, zoom)
compiled = [f for m in modules for f in vars(m).values() if isinstance(f, numba.core.registry.CPUDispatcher)]
assert len(compiled) > 10
list(cpu.warm())
warm = [list(f.signatures) for f in compiled]
for channels in (1, 3):
    images = np.zeros((2, 8, 9, channels), np.uint8)
    for name in CORRUPTIONS:
        for profile in PROFILES:
            list(sweep(images[..., :channels], name, dataset="pbc", split="test", seed=1, profile=profile))
assert [list(f.signatures) for f in compiled] == warm
"""


def test_what_is_warm_compiles_nothing_more() -> None:
    subprocess.run([sys.executable, "-c", AFTER_WARMING], check=True)
