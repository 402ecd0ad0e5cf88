"""Images moved, cropped and mirrored in training."""

import numpy as np
import pytest
import torch
from kornia.geometry.transform import hflip, vflip

from benchmark.data.pool import Pool, open_subset
from benchmark.tuning.geometry import SHIFT, RandomCropAndMirror, may_mirror, shift_and_mirror
from pipeline.workspace.paths import Workspace

from ..conftest import fill, params


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("geometry")
    fill(root, params())
    return Workspace(root)


def test_only_images_that_may_be_mirrored_are():
    rising = torch.linspace(0, 1, 32).expand(64, 3, 32, 32).contiguous()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        moved = RandomCropAndMirror(32, {"pneumonia": "phantom", "mammo_mass": "phantom"})(
            rising, torch.tensor([0, 1] * 32)
        )
    upright = (moved[..., -1] > moved[..., 0]).float().mean(dim=(1, 2))
    assert (upright[0::2] == 1).all()
    assert 0.2 < (upright[1::2] == 0).float().mean() < 0.8


def test_mirroring_some_images_equals_choosing_them_from_the_whole_batch_mirrored():
    """The plain way: mirror everything, then take what was drawn."""
    images, dataset_ids = torch.rand(16, 3, 24, 24), torch.tensor([0, 1] * 8)
    move = RandomCropAndMirror(24, {"pbc": "medimeta", "mammo_mass": "medimeta"})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        moved = move(images, dataset_ids)
        torch.manual_seed(1)
        expected = move._crop(images)
        mirrored = (torch.rand(16, 2) < 0.5) & move._mirror[dataset_ids]
    assert mirrored.any(dim=0).all()
    for axis, flip in enumerate((hflip, vflip)):
        expected = torch.where(mirrored[:, axis, None, None, None], flip(expected), expected)
    assert torch.equal(moved, expected)


def plain_shift_and_mirror(pool, positions, rng):
    """Look each pixel up by its row and column."""
    images = np.empty((len(positions), 224, 224, 3), np.uint8)
    for image, position in zip(images, positions, strict=True):
        down, right = rng.integers(-SHIFT, SHIFT + 1, 2)
        flips = rng.integers(0, 2, 2).astype(bool) & may_mirror(pool.datasets[pool.dataset_ids[position]], "phantom")
        rows, columns = (np.clip(np.arange(224) + by, 0, 223) for by in (down, right))
        image[:] = pool.native(position)[
            (rows[::-1] if flips[1] else rows)[:, None], columns[::-1] if flips[0] else columns
        ]
    return images


def test_shifted_and_mirrored_images_equal_a_look_up_of_each_pixel(filled):
    pool = Pool([open_subset(filled, name, "train") for name in ("oct", "mammo_mass")])
    positions = np.random.default_rng(0).permutation(len(pool))
    images = shift_and_mirror(pool, positions, np.random.default_rng(4))
    assert np.array_equal(images, plain_shift_and_mirror(pool, positions, np.random.default_rng(4)))
    assert not np.array_equal(images, pool.read(positions))


def test_a_data_set_without_a_card_is_not_mirrored():
    assert may_mirror("pbc", "imagefolder") == (False, False)
    assert any(may_mirror("pbc", "medimeta"))
