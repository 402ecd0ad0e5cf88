"""Which images are tuned on, and which choose the epoch."""

import numpy as np
import pytest

from benchmark.tuning.records import TuningSettings
from benchmark.tuning.shots import balanced_order, choose_images, draw_shots
from pipeline.errors import UserError
from pipeline.paths import Workspace

from ..conftest import CLASSES, fill, params


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("shots")
    fill(root, params())
    return Workspace(root)


def choose(workspace, *, scored="test", **changes):
    settings = TuningSettings(base="clip", rank=4, augment=False, seed=5, **{"shots": 2} | changes)
    return choose_images(workspace, list(CLASSES), settings, scored=scored)


def images(pool):
    return {(s.dataset, s.split, index) for s in pool.subsets for index in s.indices.tolist()}


def test_shots_are_stratified():
    labels = np.array([0] * 50 + [1] * 10 + [2])
    sixteen = draw_shots(labels, count=16, percent=0, seed=(1,))
    assert np.bincount(labels[sixteen]).tolist() == [16, 10, 1]
    tenth = draw_shots(labels, count=0, percent=10, seed=(1,))
    assert np.bincount(labels[tenth]).tolist() == [5, 1, 1]
    assert np.bincount(labels[draw_shots(labels, count=0, percent=7.5, seed=(1,))]).tolist() == [4, 1, 1]
    assert sixteen.tolist() == sorted(set(sixteen.tolist()))
    assert sixteen.tolist() != draw_shots(labels, count=16, percent=0, seed=(2,)).tolist()


def test_validation_is_neither_tuned_on_nor_scored(filled):
    shots, held = choose(filled)
    assert len(shots) == 2 * (4 + 2)
    assert {subset.split for subset in held.subsets} == {"train", "val"}
    assert not images(shots) & images(held)


def test_images_that_are_scored_choose_no_epoch(filled):
    _, held = choose(filled, scored="val")
    assert {subset.split for subset in held.subsets} == {"train"}
    shots, held = choose(filled, split="val", shots=1)
    assert {subset.split for subset in (*shots.subsets, *held.subsets)} == {"val"}
    assert len(shots) + len(held) == 2 * 8


def test_an_epoch_shows_every_data_set_alike():
    dataset_ids = np.array([0] * 30 + [1] * 4 + [2] * 6)
    drawn = balanced_order(dataset_ids, np.random.default_rng(0))
    assert len(drawn) == len(dataset_ids)
    assert sorted(np.bincount(dataset_ids[drawn])) == [13, 13, 14]
    times = np.bincount(drawn, minlength=len(dataset_ids))
    assert set(times[:30]) <= {0, 1}
    assert set(times[30:34]) == {3, 4}


def test_no_image_left_to_choose_on_is_a_sentence(filled):
    with pytest.raises(UserError, match="no image of val is left"):
        choose(filled, split="val", shots=8)
