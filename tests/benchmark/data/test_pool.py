"""Images of several data sets as one pool."""

import numpy as np
import pytest

from benchmark.data.pool import Pool, open_subset
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES, discs, fill, params


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("pool")
    fill(root, params())
    return Workspace(root)


def test_a_pool_numbers_the_images_of_its_subsets_through(filled):
    subsets = [open_subset(filled, "oct", "train", [7, 2]), open_subset(filled, "mammo_mass", "val")]
    pool = Pool([*subsets, open_subset(filled, "oct", "val", [1])])
    assert pool.datasets == ("oct", "mammo_mass")
    assert pool.dataset_ids.tolist() == [0, 0] + [1] * 8 + [0]
    assert pool.indices.tolist() == [2, 7, *range(8), 1]
    assert pool.labels.tolist() == [2, 3, *(k % 2 for k in range(8)), 1]
    assert len(pool) == 11


def test_grey_images_have_one_channel_and_are_read_with_three(filled):
    pool = Pool([open_subset(filled, name, "val") for name in CLASSES])
    assert pool.native(0).shape == (224, 224, 3)
    assert pool.native(8).shape == (224, 224, 1), "the released file has three"
    images = pool.read([9, 1])
    assert np.array_equal(images[0], np.repeat(discs("mammo_mass", "val", 8)[0][1][..., :1], 3, axis=-1))
    assert np.array_equal(images[1], discs("oct", "val", 8)[0][1])


def test_a_split_that_is_not_there_is_a_sentence(filled):
    with pytest.raises(UserError, match=r"no split 'dev'"):
        open_subset(filled, "oct", "dev")
