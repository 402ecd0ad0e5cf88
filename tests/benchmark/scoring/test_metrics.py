import numpy as np
import pytest

from benchmark.scoring import metrics

# Hendrycks & Dietterich 2019. AlexNet's error by corruption, averaged over severities, from the released scores, in the
# order gauss, shot, impulse, defocus, glass, motion, zoom, snow, frost, fog, bright, contrast, elastic, pixel, jpeg.
ALEXNET_CLEAN = 0.435
ALEXNET = np.ravel(
    [
        [0.886428, 0.894468, 0.922640, 0.819880, 0.826268],
        [0.785948, 0.798360, 0.866816, 0.826572, 0.819324],
        [0.564592, 0.853204, 0.646056, 0.717840, 0.606500],
    ]
)
# ResNet-50's two published rows, in whole percent, and its published clean error.
RESNET_CLEAN = 0.239
RESNET_CE = np.array([80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77])
RESNET_RELATIVE_CE = np.array([104, 107, 107, 97, 126, 107, 110, 101, 97, 79, 62, 89, 146, 111, 132])


def test_published_imagenet_c_rows():
    # The relative row has the finer grain, so errors are read back from it and must give the other row and both means.
    errors = RESNET_RELATIVE_CE / 100 * (ALEXNET - ALEXNET_CLEAN) + RESNET_CLEAN
    clean, base_clean = np.full(15, RESNET_CLEAN), np.full(15, ALEXNET_CLEAN)
    five = lambda e: np.repeat(e[:, None], 5, axis=1)  # noqa: E731
    ce = metrics.corruption_error(five(errors), five(ALEXNET))
    assert np.abs(ce - RESNET_CE).max() < 1
    assert round(ce.mean(), 1) == 76.7
    relative = metrics.relative_corruption_error(five(errors), clean, five(ALEXNET), base_clean)
    assert round(relative.mean(), 1) == 105.0
    own = metrics.corruption_error(five(ALEXNET), five(ALEXNET))
    assert own == pytest.approx(np.full(15, 100))
    assert metrics.relative_corruption_error(
        five(ALEXNET), base_clean, five(ALEXNET), base_clean
    ).mean() == pytest.approx(100)


def test_ce_sums_over_severities_before_it_divides():
    assert metrics.corruption_error([0.1, 0.5], [0.2, 0.2]) == pytest.approx(150)
    assert metrics.relative_corruption_error([0.3, 0.5], 0.2, [0.2, 0.3], 0.1) == pytest.approx(100 * 0.4 / 0.3)


def test_ce_is_undefined_where_the_baseline_makes_no_error():
    ce = metrics.corruption_error([[0.1, 0.1], [0.1, 0.1]], [[0.0, 0.0], [0.2, 0.2]])
    assert np.isnan(ce[0])
    assert ce[1] == pytest.approx(50)
    worse = metrics.relative_corruption_error([0.5, 0.5], 0.1, [0.2, 0.2], 0.2)
    assert np.isnan(worse)
    assert np.isnan(metrics.relative_corruption_error([0.5, 0.5], 0.1, [0.1, 0.2], 0.2)), "a baseline that improved"


def test_named_mean_names_what_it_leaves_out():
    mean = metrics.named_mean({"a": 1.0, "b": float("nan"), "c": 3.0})
    assert mean == (2.0, ("b",))
    assert np.isnan(metrics.named_mean({"a": float("nan")}).value)
    over_samples = metrics.named_mean({"a": np.array([1.0, 1.0]), "b": np.array([3.0, np.nan])})
    assert over_samples.value.tolist() == [2.0, 1.0]
    assert over_samples.left_out == ()


def test_accuracy_confusion_recall_and_balanced_accuracy():
    labels, predictions = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, 0, 3]
    matrix = metrics.confusion(predictions, labels, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert metrics.accuracy(predictions, labels) == pytest.approx(4 / 6)
    assert np.isnan(metrics.recalls(matrix)[2])
    assert metrics.balanced_accuracy(matrix) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_auroc_by_hand_with_a_tie():
    # pairs (positive, negative): .8>.6, .8>.4, .4<.6, .4=.4 -> (1 + 1 + 0 + 1/2) / 4
    assert metrics.auroc_binary([0.8, 0.4, 0.6, 0.4], [True, True, False, False]) == pytest.approx(0.625)


def test_auroc_weights_repeat_images():
    scores, positive = np.array([0.8, 0.4, 0.6, 0.4]), np.array([True, True, False, False])
    counts = np.array([2, 0, 1, 3])
    repeated = np.repeat(np.arange(4), counts)
    weighted = metrics.auroc_binary(scores, positive, counts[None])
    assert weighted[0] == pytest.approx(float(metrics.auroc_binary(scores[repeated], positive[repeated])))
    assert np.isnan(metrics.auroc_binary(scores, positive, np.array([[1, 1, 0, 0]]))[0])


def test_auroc_of_two_and_of_three_classes():
    two = metrics.softmax([[0.0, 1.0], [0.0, -1.0], [0.0, 0.5]])
    assert metrics.auroc(two, [1, 0, 1]) == pytest.approx(1)
    three = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]])
    # class 0: {.6, .5} over {.2, .1} = 1; class 1: .5 over {.3, .4, .2} = 1; class 2: .7 over {.1, .3, .1} = 1
    assert metrics.auroc(three, [0, 1, 0, 2]) == pytest.approx(1)
    # class 0: .6 against {.2, .5, .1} = 1; class 1: {.5, .4} over {.3, .2} = 1
    assert metrics.auroc(three, [0, 1, 1, 2]) == pytest.approx(1)
    # labels 1, 1, 0, 2: class 0 .5 over {.6, .2, .1} = 2/3; class 1 {.3, .5} over {.4, .2} = 3/4; class 2 = 1
    assert metrics.auroc(three, [1, 1, 0, 2]) == pytest.approx((2 / 3 + 3 / 4 + 1) / 3)
    with pytest.raises(ValueError, match="two classes"):
        metrics.auroc(three, [1, 1, 1, 1])


def test_ece_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.3, 0.7]])
    # two bins: none in (0, .5], four in (.5, 1]: confidence (.9 + .8 + .55 + .7) / 4 = .7375, accuracy 3/4
    curve = metrics.reliability(probabilities, [0, 0, 1, 0], bins=2)
    assert curve.images.tolist() == [0, 4]
    assert metrics.ece(curve) == pytest.approx(0.0125)
    # four bins: (.5, .75] has .55 right, .7 wrong -> |.625 - .5|; (.75, 1] has .9, .8 right -> |.85 - 1|
    assert metrics.ece(metrics.reliability(probabilities, [0, 0, 1, 0], bins=4)) == pytest.approx((0.125 + 0.15) / 2)


def test_pooled_reliability_is_that_of_all_images_together():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet([1, 1, 1], 60), rng.integers(0, 3, 60)
    parts = [metrics.reliability(probabilities[part], labels[part], 5) for part in (slice(0, 20), slice(20, 60))]
    together = metrics.reliability(probabilities, labels, 5)
    for own, whole in zip(metrics.pooled(parts), together, strict=True):
        assert own == pytest.approx(whole, nan_ok=True)


def test_softmax_survives_a_large_logit_scale():
    assert metrics.softmax([[1000.0, 0.0]]).tolist() == [[1.0, 0.0]]


def test_missing_cells_are_named():
    needed = {"oct": ["clean", "contrast_severity_1"], "pbc": ["clean"]}
    assert metrics.missing_cells({"oct": ["clean"]}, needed) == ["oct/contrast_severity_1", "pbc/clean"]
    assert metrics.missing_cells(needed, needed) == []


def test_bootstrap_is_paired_and_reproducible():
    counts = metrics.bootstrap_counts(50, 200, (7, 1))
    assert counts.shape == (201, 50)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == 50).all()
    assert (counts == metrics.bootstrap_counts(50, 200, (7, 1))).all()
    assert not (counts == metrics.bootstrap_counts(50, 200, (7, 2))).all()
    # The interval of a proportion must be near the normal one: 0.5 +- 1.96 * sqrt(.25 / 50)
    hits = np.arange(50) % 2
    estimate, low, high = metrics.interval(counts @ hits / 50)
    assert estimate == 0.5
    assert low == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 50), abs=0.05)
    assert high == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 50), abs=0.05)


def test_sign_flips_by_hand():
    # Four differences of +1: of 16 sign patterns two reach |mean| = 1, so p tends to 1/8.
    assert metrics.sign_flip_p([np.ones(4)], 4000, 0, [1]) == pytest.approx(0.125, abs=0.02)
    assert metrics.sign_flip_p([np.zeros(4)], 100, 0, [1]) == 1
    assert metrics.sign_flip_p([np.ones(30), np.ones(20)], 999, 0, [1, 1]) == pytest.approx(0.001)


def test_sign_flips_weigh_data_sets():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 20), rng.normal(0, 1, 50)
    alone = metrics.sign_flip_p([first], 500, 0, [1])
    assert metrics.sign_flip_p([first, second], 500, 0, [1, 0]) == alone
    assert metrics.sign_flip_p([first, second], 500, 0, [1, 1]) != alone


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert metrics.holm([]) == []
