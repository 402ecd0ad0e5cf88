"""Every corruption of the extended set: CPU bytes = torch bytes = plain reference = checksums, at every size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from corruptions import EXTENDED, SEVERITIES, Strength, corrupt, cpu, gpu, strength, sweep
from corruptions.cpu import draws
from corruptions.gpu import draws as gpu_draws
from corruptions.spec import find_kernel
from corruptions.table import BYTES_VERSION, EXTENDED_KERNELS, KERNELS
from tests.corruptions.extended import remake_checksums
from tests.corruptions.extended.remake_checksums import by_definition, columns
from tests.corruptions.gpu.test_parity import DEVICES, noise, orders
from tests.corruptions.pictures import waves

# (batch, height, width): square and odd, larger than a blur's reach and smaller.
SHAPES = [(1, 48, 48), (5, 37, 53), (64, 8, 8), (3, 2, 3), (1, 61, 2)]
# What a kernel draws for one pixel of the smaller images, it draws for several of these; and fog repeats.
LARGE = {"characters": (448, 451), "fog": (259, 3), "frost": (85, 90), "stain_deposit": (85, 90)}
CELLS = [(name, profile, dataset) for name in EXTENDED for profile, dataset in columns(name)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_cpu_bytes_are_the_definition(cell: tuple[str, str, str], shape: tuple[int, int, int], channels: int) -> None:
    name, profile, dataset = cell
    count = min(shape[0], 2)  # the plain reference is slow, and the batch is the next test's
    images, indices = noise(*shape, channels)[:count], list(range(2**32 - count, 2**32))
    made = sweep(images, name, dataset=dataset, split="test", indices=indices, seed=3, profile=profile)
    for severity, result in made:
        expected = by_definition(images, name, severity, profile, dataset, 3, "test", indices)
        np.testing.assert_array_equal(result, expected, err_msg=f"severity {severity}")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LARGE)
def test_large_images_have_the_definition_s_bytes_on_both_backends(name: str, channels: int) -> None:
    images = noise(1, *LARGE[name], channels)
    result = corrupt(images, name, 5, dataset="pbc", split="test", seed=3, profile="imagenet-c")
    np.testing.assert_array_equal(result, by_definition(images, name, 5, "imagenet-c", "pbc", 3, "test", [0]))
    batch = torch.from_numpy(images)
    on_torch = gpu.corrupt(batch, name, 5, dataset="pbc", split="test", seed=3, profile="imagenet-c")
    np.testing.assert_array_equal(on_torch.numpy(), result)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_torch_bytes_are_cpu_bytes(
    cell: tuple[str, str, str], shape: tuple[int, int, int], channels: int, device: str
) -> None:
    name, profile, dataset = cell
    images = noise(*shape, channels)
    options: Any = {"dataset": dataset, "split": "test", "seed": 7, "profile": profile}
    expected = dict(sweep(images, name, **options))
    for number, (order, (batch, first)) in enumerate(orders(images, device).items()):
        for severity in SEVERITIES if number == 0 else (1 + (number + len(images)) % 5,):
            result = gpu.corrupt(batch, name, severity, channels_first=first, **options)
            back = result.permute(0, 2, 3, 1) if first else result
            assert np.array_equal(back.cpu().numpy(), expected[severity]), (order, severity)
            assert result.device == batch.device
        assert np.array_equal((batch.permute(0, 2, 3, 1) if first else batch).cpu().numpy(), images), "input changed"


@pytest.mark.parametrize("name", EXTENDED)
def test_checksums(name: str) -> None:
    stored = json.loads((remake_checksums.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert stored["bytes_version"] == BYTES_VERSION
    assert stored["goldens"] == dict(remake_checksums.goldens(name))
    for title, digests in stored["check vectors"].items():
        profile, dataset, channels = title.split()
        made = sweep(
            waves(2, 37, 53, int(channels[2:])),
            name,
            dataset=dataset,
            split="test",
            indices=[5, 12345],
            seed=1,
            profile=profile,
        )
        assert " ".join(remake_checksums.digest(result) for _, result in made) == digests, title
    assert len(stored["check vectors"]) == 2 * len(columns(name))


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_any_order_any_subset_and_any_layout_keep_their_bytes(cell: tuple[str, str, str]) -> None:
    name, profile, dataset = cell
    images = waves(6, 13, 17, 3)
    options: Any = {"dataset": dataset, "split": "val", "seed": 3, "profile": profile}
    for severity, batch in sweep(images, name, **options):
        subset = corrupt(images[[4, 1, 3]], name, severity, indices=[4, 1, 3], **options)
        np.testing.assert_array_equal(subset, batch[[4, 1, 3]])
        assert batch.flags.c_contiguous
        assert batch.flags.writeable
        assert not np.shares_memory(batch, images)
    np.testing.assert_array_equal(images, waves(6, 13, 17, 3))
    images.flags.writeable = False
    planar = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    for view in (images, planar):
        np.testing.assert_array_equal(corrupt(view, name, 5, **options), batch)


@pytest.mark.parametrize("name", EXTENDED)
def test_no_images_give_no_images(name: str) -> None:
    options: Any = {"dataset": "oct", "split": "val", "seed": 0}
    assert corrupt(np.empty((0, 9, 9, 3), np.uint8), name, 1, **options).shape == (0, 9, 9, 3)
    assert gpu.corrupt(torch.zeros((0, 9, 9, 3), dtype=torch.uint8), name, 1, **options).shape == (0, 9, 9, 3)


def row_of(kernel: str) -> Strength:
    """Return severity 3 of the first row that has the kernel."""
    rows = (strength(name, 3, profile=profile, column=dataset) for name, profile, dataset in CELLS)
    return next(row for row in rows if row.kernel == kernel)


@pytest.mark.parametrize("kernel", [name for name, row in EXTENDED_KERNELS.items() if row["identity"]])
def test_the_identity_leaves_images_as_they_are(kernel: str) -> None:
    row = row_of(kernel).identity
    for channels in (1, 3):
        images: NDArray[np.uint8] = noise(2, 21, 34, channels)
        drawn = draws.draw(row, (1, 2), [0, 1], images.shape)
        np.testing.assert_array_equal(find_kernel("cpu", kernel)(images, *drawn, **row.parameters), images)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("kernel", EXTENDED_KERNELS)
def test_illegal_parameters_are_refused_with_the_rule_and_the_value(kernel: str, backend: str) -> None:
    row = row_of(kernel)
    parameters = {key: -1 if isinstance(value, int | float) else value for key, value in row.parameters.items()}
    images: Any = noise(1, 4, 4, 3) if backend == "cpu" else torch.from_numpy(noise(1, 4, 4, 3))
    drawn = (
        draws.draw(row, (1, 2), [0], images.shape)
        if backend == "cpu"
        else gpu_draws.draw(row, (1, 2), [0], images.shape, images.device)
    )
    with pytest.raises(ValueError, match=rf"{kernel} needs .*, not .*-1"):
        find_kernel(backend, kernel)(images, *drawn, **parameters)


@pytest.mark.parametrize("name", EXTENDED)
def test_severities_differ_from_the_image_and_from_each_other(name: str) -> None:
    images = noise(1, 64, 64, 3) // 2 + 50
    results = [images, *(result for _, result in sweep(images, name, dataset="oct", split="val", seed=0))]
    assert len({result.tobytes() for result in results}) == 6


def test_warm_compiles_extended_kernels_by_name() -> None:
    assert list(cpu.warm(*EXTENDED_KERNELS)) == list(EXTENDED_KERNELS)
    assert not set(EXTENDED_KERNELS) & set(KERNELS)
