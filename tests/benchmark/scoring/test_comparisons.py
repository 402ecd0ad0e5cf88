"""How far models are apart, by hand."""

import numpy as np
import pytest

from benchmark.scoring.comparisons import compare, holm, sign_flip_p

from .cubes import COLLECTIONS, MODELS, cube_of


def compared(models, collections, flips):
    right = {model: {name: one.right for name, one in by_name.items()} for model, by_name in models.items()}
    return compare(cube_of(models, collections), right, seed=0, flips=flips)


def test_a_difference_is_averaged_as_the_scores_are_and_has_an_interval():
    clean, corrupted = compared(MODELS, COLLECTIONS, 200)
    assert (clean.first, clean.second, clean.images, corrupted.images) == ("base", "better", "clean", "corrupted")
    assert clean.difference == pytest.approx(-100 * (0 + 2 / 40) / 2), "the first's accuracy minus the second's"
    # a: 9 -> 7, b: 9 -> 6.5, c: 18 -> 17 of 40
    assert corrupted.difference == pytest.approx(-100 * ((2 + 2.5) / 2 + 1) / 2 / 40)
    assert corrupted.low < corrupted.difference < corrupted.high
    base, better = MODELS.values()
    by_image = [base[name].right["corrupted"] - better[name].right["corrupted"] for name in "abc"]
    weighed = sign_flip_p(by_image, 200, 0, [1 / 2, 1 / 2, 1])
    assert corrupted.p == pytest.approx(weighed)
    assert weighed != sign_flip_p(by_image, 200, 0, [1, 1, 1])
    alike = compared(MODELS, {"": tuple("abc")}, 200)[1]
    assert alike.difference == pytest.approx(-100 * (2 + 2.5 + 1) / 3 / 40)


def test_the_same_model_twice_differs_by_nothing():
    models = {"one": MODELS["better"], "other": MODELS["better"]}
    for line in compared(models, COLLECTIONS, 50):
        assert (line.difference, line.low, line.high, line.p) == (0, 0, 0, 1)


def test_sign_flips_by_hand():
    # Four differences of +1: of 16 sign patterns two reach |mean| = 1, so p tends to 1/8.
    assert sign_flip_p([np.ones(4)], 4000, 0, [1]) == pytest.approx(0.125, abs=0.02)
    assert sign_flip_p([np.zeros(4)], 100, 0, [1]) == 1
    assert sign_flip_p([np.ones(30), np.ones(20)], 999, 0, [1, 1]) == pytest.approx(0.001)


def test_sign_flips_weigh_data_sets():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 20), rng.normal(0, 1, 50)
    alone = sign_flip_p([first], 500, 0, [1])
    assert sign_flip_p([first, second], 500, 0, [1, 0]) == alone
    assert sign_flip_p([first, second], 500, 0, [1, 1]) != alone


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
