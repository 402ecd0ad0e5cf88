"""Which images are tuned on, and which choose the epoch."""

import numpy as np
import pytest

from benchmark.tuning.shots import balanced_order, choose_images, count_overlap, draw_shots
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES, fill, params


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("shots")
    fill(root, params())
    return Workspace(root)


def read(workspace, *, scored="test", splits=None, **own):
    """Return the workspace's config with other settings, and those of its tuned model."""
    config = read_config(workspace)
    tuned = {"better": config.benchmark.tuned["better"].changed(**{"shots": 2, "seed": 5} | own)}
    benchmark = config.benchmark.changed(split=scored, tuned=tuned)
    config = config.changed(benchmark=benchmark, splits=config.splits.changed(**splits or {}))
    return config, benchmark.tuned["better"].settings(benchmark.tune)


def choose(workspace, **changes):
    return choose_images(workspace, *read(workspace, **changes))


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
    chosen = choose(filled)
    assert len(chosen.shots) == 2 * (4 + 2)
    assert {subset.split for subset in chosen.held.subsets} == {"train", "val"}
    assert chosen.chosen_on == "rest of train, and val"
    assert not images(chosen.shots) & images(chosen.held)


def test_images_that_are_scored_choose_no_epoch(filled):
    chosen = choose(filled, scored="val")
    assert {subset.split for subset in chosen.held.subsets} == {"train"}
    chosen = choose(filled, split="val", shots=1)
    assert {subset.split for subset in (*chosen.shots.subsets, *chosen.held.subsets)} == {"val"}
    assert len(chosen.shots) + len(chosen.held) == 2 * 8


@pytest.mark.parametrize("source", ["test", "train"])
def test_a_split_that_is_another_under_a_second_name_chooses_no_epoch(source, filled):
    """val is taken from what is scored, or from what is tuned on."""
    chosen = choose(filled, splits={"val": source})
    assert {subset.split for subset in chosen.held.subsets} == {"train"}
    assert chosen.chosen_on == "rest of train"


def test_tuning_on_all_of_val_chooses_on_train(filled):
    chosen = choose(filled, split="val", percent=100.0, shots=0)
    assert images(chosen.shots) == {(name, "val", k) for name in CLASSES for k in range(8)}
    assert images(chosen.held) == {(name, "train", k) for name in CLASSES for k in range(24)}
    assert chosen.chosen_on == "train"


def test_where_no_image_is_left_none_chooses(filled, tmp_path):
    chosen = choose(filled, split="val", percent=100.0, shots=0, splits={"test": "train"})
    assert (chosen.held, chosen.chosen_on) == (None, None), "train is what is scored"
    fill(tmp_path, params())
    Workspace(tmp_path).npz(Cell("oct", "train")).unlink()
    assert choose(Workspace(tmp_path), split="val", percent=100.0, shots=0).held is None, "of one data set is none"


def put(workspace, dataset, split, index, image):
    """Put another image into a split's file."""
    path = workspace.npz(Cell(dataset, split))
    images, labels = npz.read(path)
    images = images.copy()
    images[index] = image
    with npz.write(path, labels, images.shape[1:]) as writer:
        writer.append(images)


def distinct(root):
    """Fill a workspace in which no two images are equal."""
    fill(root, params())
    workspace = Workspace(root)
    for seed, name in enumerate(CLASSES):
        for number, split in enumerate(("train", "val", "test")):
            path = workspace.npz(Cell(name, split))
            images, labels = npz.read(path)
            noise = np.random.default_rng((seed, number)).integers(0, 256, (*images.shape[:3], 1), np.uint8)
            with npz.write(path, labels, images.shape[1:]) as writer:
                writer.append(np.repeat(noise, images.shape[3], axis=3))
    return workspace


@pytest.mark.parametrize("dataset", CLASSES)
def test_an_image_with_two_uses_is_refused_by_name(dataset, tmp_path):
    """Whatever the data set that it is scored in: oct has three channels and mammo_mass one."""
    workspace = distinct(tmp_path)
    config, settings = read(workspace)
    chosen = choose_images(workspace, config, settings)
    assert count_overlap(workspace, config, chosen, allowed=False) == {}
    tuned = chosen.shots.subsets[0]
    image = npz.read(workspace.npz(Cell("oct", "train"))).images[tuned.indices[1]]
    held = npz.read(workspace.npz(Cell("oct", "val"))).images[3]
    put(workspace, dataset, "test", 7, image)
    put(workspace, "oct", "test", 2, held)
    chosen = choose_images(workspace, config, settings)
    with pytest.raises(UserError) as caught:
        count_overlap(workspace, config, chosen, allowed=False)
    said = str(caught.value)
    assert f"oct train {tuned.indices[1]} = {dataset} test 7 are tuned on and scored" in said
    assert "oct val 3 = oct test 2 are chosen on and scored" in said
    assert "allow_overlap: true" in said
    counts = count_overlap(workspace, config, chosen, allowed=True)
    assert counts == {"tuned on and scored": 1, "chosen on and scored": 1}
    assert count_overlap(workspace, config.changed(allow_overlap=True), chosen, allowed=False) == counts


def test_many_pairs_are_counted_and_three_are_named(tmp_path):
    workspace = distinct(tmp_path)
    images = npz.read(workspace.npz(Cell("oct", "val"))).images.copy()
    for index in range(5):
        put(workspace, "oct", "test", index, images[index])
    config, settings = read(workspace)
    with pytest.raises(UserError, match=r"oct val 2 = oct test 2 and 2 more pairs are chosen on and scored"):
        count_overlap(workspace, config, choose_images(workspace, config, settings), allowed=False)


def test_an_epoch_shows_every_data_set_alike():
    dataset_ids = np.array([0] * 30 + [1] * 4 + [2] * 6)
    drawn = balanced_order(dataset_ids, np.random.default_rng(0))
    assert len(drawn) == len(dataset_ids)
    assert sorted(np.bincount(dataset_ids[drawn])) == [13, 13, 14]
    times = np.bincount(drawn, minlength=len(dataset_ids))
    assert set(times[:30]) <= {0, 1}
    assert set(times[30:34]) == {3, 4}
