"""The torch kernels and the CPU's give the same bytes, on CPU tensors here and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, BackendUnavailable, corrupt, gpu, strength, sweep
from corruptions.cpu import draws
from corruptions.gpu import draws as gpu_draws
from corruptions.gpu.levels import luma
from corruptions.gpu.motion import motion_blur
from corruptions.spec import DrawKey, find_kernel
from corruptions.table import COLUMNS
from tests.corruptions.gpu.settings import SETTINGS

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
DATASETS = tuple({column: dataset for dataset, column in COLUMNS.items()}.values())
CELLS = [(name, "imagenet-c", "pbc") for name in CORRUPTIONS]
CELLS += [(name, "modality", dataset) for name in CORRUPTIONS for dataset in DATASETS]
WHERE: dict[str, Any] = {"split": "test", "seed": 7}

# (batch, height, width): square and odd, larger than a blur's reach and smaller.
SHAPES = [(1, 48, 48), (5, 37, 53), (64, 8, 8), (3, 2, 3)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    images = np.random.default_rng([count, height, width, channels]).integers(
        0, 256, (count, height, width, channels), np.uint8
    )
    images[:, : height // 2, : width // 3] = 0
    images[:, height // 2 :, : width // 3] = 255
    return images


def orders(images: NDArray[np.uint8], device: str) -> dict[str, tuple[Tensor, bool]]:
    """Return the batch in every memory order that callers have, and whether its axis 1 is the channels."""
    last = torch.from_numpy(images).to(device)
    first = last.permute(0, 3, 1, 2)
    padded = torch.zeros((*last.shape[:2], last.shape[2] + 3, last.shape[3]), dtype=torch.uint8, device=device)
    window = padded[:, :, 2:-1]
    window.copy_(last)
    return {
        "NHWC": (last, False),
        "NCHW": (first.contiguous(), True),
        "NCHW channels_last": (first.contiguous(memory_format=torch.channels_last), True),
        "window": (window, False),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_every_cell_in_every_order(
    cell: tuple[str, str, str], channels: int, shape: tuple[int, int, int], device: str
) -> None:
    name, profile, dataset = cell
    images = noise(*shape, channels)
    indices = list(range(2**32 - len(images), 2**32))
    expected = dict(sweep(images, name, dataset=dataset, profile=profile, indices=indices, **WHERE))
    # One severity in each order, and one order with all: the order and the severity do not meet in the kernels.
    for number, (order, (batch, first)) in enumerate(orders(images, device).items()):
        for severity in SEVERITIES if number == 0 else (1 + (number + len(images)) % 5,):
            result = gpu.corrupt(
                batch, name, severity, dataset=dataset, profile=profile, indices=indices, channels_first=first, **WHERE
            )
            back = result.permute(0, 2, 3, 1) if first else result
            assert np.array_equal(back.cpu().numpy(), expected[severity]), (order, severity)
            assert result.device == batch.device
            if order != "window":
                assert result.stride() == batch.stride(), order
        assert np.array_equal((batch.permute(0, 2, 3, 1) if first else batch).cpu().numpy(), images), "input changed"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kernel", ["gaussian_noise", "impulse_noise", "motion_blur", "zoom_blur", "pixelate"])
def test_no_setting_of_the_caller_reaches_the_bytes(kernel: str, setting: str, device: str) -> None:
    _compare_under(setting, kernel, "imagenet-c", device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kernel", ["brightness", "contrast"])
def test_no_setting_of_the_caller_reaches_the_levels(kernel: str, profile: str, setting: str, device: str) -> None:
    _compare_under(setting, kernel, profile, device)


def _compare_under(setting: str, name: str, profile: str, device: str) -> None:
    images = noise(2, 37, 53, 3)
    expected = corrupt(images, name, 4, dataset="oct", profile=profile, **WHERE)
    batch = torch.from_numpy(images).to(device)
    key = DrawKey(dataset="oct", profile=profile, **WHERE)
    cell = key.strength(name, 4)
    routes = ("gather", "kornia") if cell.kernel == "motion_blur" else (None,)
    with SETTINGS[setting](device):
        drawn = gpu_draws.draw(cell, key.philox(name), range(2), batch.shape, batch.device)
        for route in routes:
            options = {"route": route} if route else {}
            result = find_kernel("gpu", cell.kernel)(batch, *drawn, **cell.parameters, **options)
            assert np.array_equal(result.cpu().numpy(), expected), route


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(61, 40), (5, 9)])
def test_motion_blur_by_kornia_is_motion_blur(height: int, width: int, channels: int, device: str) -> None:
    images = torch.from_numpy(noise(4, height, width, channels)).to(device)
    angles = torch.tensor([0, 77, 128, 255], device=device)
    for severity in SEVERITIES:
        parameters = strength("motion_blur", severity).parameters
        gathered = motion_blur(images, angles, **parameters)
        for batch in (images, images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)):
            assert torch.equal(motion_blur(batch, angles, **parameters, route="kornia"), gathered)


@pytest.mark.parametrize("device", DEVICES)
def test_luma_by_kornia_is_exact_for_every_sum_of_levels(device: str) -> None:
    levels = torch.tensor([0, 1, 2, 3, 84, 127, 128, 200, 253, 254, 255], dtype=torch.uint8)
    colours = torch.cartesian_prod(torch.arange(256, dtype=torch.uint8), levels, levels)
    red, green, blue = colours.to(torch.int64).unbind(1)
    expected = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    result = luma(colours.reshape(1, 256, -1, 3).to(device))
    assert torch.equal(result.cpu().flatten().to(torch.int64), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_philox_known_answers(device: str) -> None:
    # Random123, kat_vectors: philox4x32 10.
    ones = 0xFFFFFFFF
    known = {
        ((0, 0, 0, 0), (0, 0)): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ((ones,) * 4, (ones, ones)): "408f276d 41c83b0e a20bc7c6 6d5451fd",
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
        ): "d16cfe09 94fdcceb 5001e420 24126ea1",
    }
    for (counter, key), words in known.items():
        c0, c1, c2, c3 = (torch.tensor([word], device=device) for word in counter)
        rounds = gpu_draws.round_keys(key, torch.device(device))
        result = gpu_draws.philox((c0, c1, c2, c3), rounds)
        assert " ".join(f"{word.item():08x}" for word in result) == words


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1, 8, 999])
def test_draws_are_those_of_the_cpu(size: int, device: str) -> None:
    key, indices = (0xFFFFFFFF, 0x80000001), [0, 5, 2**31, 2**32 - 1]
    on = torch.device(device)
    assert np.array_equal(gpu_draws.uniforms(key, indices, size, on).cpu().numpy(), draws.uniforms(key, indices, size))
    assert np.array_equal(gpu_draws.angles(key, torch.tensor(indices), on).cpu().numpy(), draws.angles(key, indices))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupt_and_sweep_with_backend_gpu(name: str) -> None:
    images = noise(3, 16, 21, 3)
    images.flags.writeable = False
    for severity, result in sweep(images, name, dataset="pbc", backend="gpu", device="cpu", **WHERE):
        assert np.array_equal(result, corrupt(images, name, severity, dataset="pbc", **WHERE))
        assert result.flags.c_contiguous


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_images_give_no_images(name: str) -> None:
    images = torch.zeros((0, 8, 8, 3), dtype=torch.uint8)
    assert gpu.corrupt(images, name, 3, dataset="pbc", **WHERE).shape == images.shape


def test_no_cuda_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    images = noise(1, 4, 4, 1)
    with pytest.raises(BackendUnavailable, match=r"finds 0 CUDA devices and was asked for cuda; use a machine"):
        corrupt(images, "contrast", 1, dataset="oct", backend="gpu", **WHERE)
    with pytest.raises(BackendUnavailable, match="torch knows no device 'abacus'; try cuda"):
        gpu.select_device("abacus")


def test_wrong_tensors_are_a_sentence() -> None:
    images = torch.zeros((2, 8, 8, 3), dtype=torch.uint8)
    with pytest.raises(TypeError, match=r"uint8 tensor of shape \(N, H, W, C\), not torch.float32"):
        gpu.corrupt(images.float(), "contrast", 1, dataset="oct", **WHERE)
    with pytest.raises(ValueError, match=r"with channels_first, with C 1 or 3.*have \(2, 8, 3, 8\)"):
        gpu.corrupt(images, "contrast", 1, dataset="oct", channels_first=True, **WHERE)
    with pytest.raises(ValueError, match=r"indices must be 2 integers, one per image"):
        gpu.corrupt(images, "contrast", 1, dataset="oct", indices=torch.zeros(3), **WHERE)
    with pytest.raises(ValueError, match="no split 'dev'; have train, val, test"):
        gpu.corrupt(images, "contrast", 1, dataset="oct", split="dev", seed=1)
    with pytest.raises(ValueError, match="ASCII"):
        gpu.corrupt(images, "contrast", 1, dataset="öct", split="val", seed=1)
    with pytest.raises(ValueError, match="no corruption 'smear'"):
        gpu.corrupt(images, "smear", 1, dataset="oct", **WHERE)
    for seed in ("1", 1.0, True, None):
        with pytest.raises(TypeError, match="seed must be an integer"):
            gpu.corrupt(images, "contrast", 1, dataset="oct", split="val", seed=seed)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_compiled_kernels_give_the_same_bytes(name: str, device: str) -> None:
    images = noise(3, 37, 53, 3)
    for profile in PROFILES:
        expected = corrupt(images, name, 3, dataset="pbc", profile=profile, **WHERE)
        for order, (batch, first) in orders(images, device).items():
            result = gpu.corrupt(
                batch, name, 3, dataset="pbc", profile=profile, channels_first=first, fuse=True, **WHERE
            )
            back = result.permute(0, 2, 3, 1) if first else result
            assert np.array_equal(back.cpu().numpy(), expected), order
