"""Images corrupted in training."""

import numpy as np
import pytest

from benchmark.data.pool import Pool, open_subset
from benchmark.tuning.augmentation import RandomCorruption
from corruptions import corrupt
from pipeline.workspace.paths import Workspace

from ..conftest import discs, fill, params


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("augmentation")
    fill(root, params())
    return Workspace(root)


def test_corrupted_images_are_the_benchmarks_own(filled):
    pool = Pool([open_subset(filled, "mammo_mass", "train", [3, 4, 5])])
    contrast = RandomCorruption(["contrast"], strength=1, profile="imagenet-c", columns={}, share=1.0)
    images = contrast(pool, np.arange(3), (1, 2))
    native = discs("mammo_mass", "train", 24)[0][3:6]
    expected = corrupt(native, "contrast", 1, dataset="mammo_mass", split="train", indices=[3, 4, 5], seed=0)
    assert np.array_equal(images, np.repeat(expected, 3, axis=-1))
    assert np.array_equal(contrast(pool, np.arange(3), (1, 2)), images)
    noise = RandomCorruption(["gaussian_noise"], strength=5, profile="imagenet-c", columns={}, share=1.0)
    grey = noise(pool, np.arange(3), (1, 2))
    assert np.array_equal(grey[..., 0], grey[..., 2]), "grey images are corrupted as one channel"
    assert not np.array_equal(noise(pool, np.arange(3), (1, 3)), grey)
    with pytest.raises(ValueError, match="no corruption 'fog'"):
        RandomCorruption(["fog"], strength=1, profile="imagenet-c", columns={})
