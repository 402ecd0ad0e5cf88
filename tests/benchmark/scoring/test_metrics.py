import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from benchmark.scoring import metrics

ONCE = np.ones((1, 4))
"""Four images, each counted once."""


def test_accuracy_confusion_and_recall():
    labels, predictions = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, 0, 3]
    matrix = metrics.confusion(predictions, labels, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert metrics.accuracy(predictions, labels) == pytest.approx(4 / 6)
    assert metrics.recalls(matrix) == pytest.approx([2 / 3, 1 / 2, np.nan, 1], nan_ok=True)


def test_errors_count_images_as_often_as_a_sample_does():
    hits = [[True, False, True, True], [False, False, True, True]]
    counts = [[1, 1, 1, 1], [0, 3, 1, 0]]
    assert metrics.errors(hits, counts) == pytest.approx(np.array([[1 / 4, 3 / 4], [2 / 4, 3 / 4]]))
    # classes 0 (the first three images) and 1; the second sample has no image of class 1
    balanced = metrics.balanced_errors(hits, [0, 0, 0, 1], counts)
    assert balanced == pytest.approx(np.array([[(1 / 3 + 0) / 2, 3 / 4], [(2 / 3 + 0) / 2, 3 / 4]]))


def test_auroc_by_hand_with_a_tie():
    # pairs (positive, negative): .8>.6, .8>.4, .4<.6, .4=.4 -> (1 + 1 + 0 + 1/2) / 4
    assert metrics.auroc_binary([0.8, 0.4, 0.6, 0.4], [True, True, False, False], ONCE) == pytest.approx(0.625)


def test_auroc_tells_apart_what_the_references_softmax_rounds_to_a_tie():
    """BioMedIA-MBZUAI/RobustMedCLIP, models.py `batch_predict` and evaluate.py: softmax of cosines in 32 bits."""
    cosines, labels = torch.tensor([[0.5, 0.5], [0.5, 0.5 + 2**-24]]), [0, 1]
    theirs = functional.softmax(cosines, dim=1).numpy()
    assert roc_auc_score(labels, theirs[:, 1]) == metrics.auroc(theirs, labels, ONCE[:, :2]) == 0.5
    ours = metrics.softmax(cosines)
    assert roc_auc_score(labels, ours[:, 1]) == metrics.auroc(ours, labels, ONCE[:, :2]) == 1


def test_auroc_counts_repeat_images():
    scores, positive = np.array([0.8, 0.4, 0.6, 0.4]), np.array([True, True, False, False])
    counts = np.array([2, 0, 1, 3])
    repeated = np.repeat(np.arange(4), counts)
    weighted = metrics.auroc_binary(scores, positive, counts[None])
    once = np.ones((1, len(repeated)))
    assert weighted == pytest.approx(metrics.auroc_binary(scores[repeated], positive[repeated], once))
    assert np.isnan(metrics.auroc_binary(scores, positive, np.array([[1, 1, 0, 0]])))


def test_auroc_is_that_of_all_pairs():
    """Ranks give what comparing every positive with every negative gives, to the bit, with many ties."""
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 12, 90) / 7, rng.random(90) < 0.3
    counts = metrics.bootstrap_counts(90, 40, (3,))
    above, below = scores[positive][:, None], scores[~positive][None, :]
    wins = (above > below) + 0.5 * (above == below)
    for area, weights in zip(metrics.auroc_binary(scores, positive, counts), counts.astype(float), strict=True):
        pairs = np.outer(weights[positive], weights[~positive])
        assert area == (pairs * wins).sum() / pairs.sum()


@given(classes=st.integers(1, 4), data=st.data())
def test_a_metric_has_no_value_exactly_where_that_is_said_beforehand(classes, data):
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=12)))
    probabilities = metrics.softmax(np.random.default_rng(len(labels)).normal(size=(len(labels), classes)))
    counts = np.bincount(labels, minlength=classes)
    said = metrics.undefined([f"class {k}" for k in range(classes)], counts.tolist())
    (area,) = metrics.auroc(probabilities, labels, np.ones((1, len(labels))))
    assert ("auroc" in said) is bool(np.isnan(area))
    assert all(repr(f"class {labels[0]}") in why for why in said.values())
    assert not np.isnan(metrics.balanced_errors([probabilities.argmax(1) == labels], labels, np.ones((1, len(labels)))))


def test_auroc_of_two_and_of_three_classes():
    two = metrics.softmax([[0.0, 1.0], [0.0, -1.0], [0.0, 0.5]])
    assert metrics.auroc(two, [1, 0, 1], ONCE[:, :3]) == pytest.approx(1)
    three = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]])
    # class 0: {.6, .5} over {.2, .1} = 1; class 1: .5 over {.3, .4, .2} = 1; class 2: .7 over {.1, .3, .1} = 1
    assert metrics.auroc(three, [0, 1, 0, 2], ONCE) == pytest.approx(1)
    # class 0: .6 against {.2, .5, .1} = 1; class 1: {.5, .4} over {.3, .2} = 1
    assert metrics.auroc(three, [0, 1, 1, 2], ONCE) == pytest.approx(1)
    # labels 1, 1, 0, 2: class 0 .5 over {.6, .2, .1} = 2/3; class 1 {.3, .5} over {.4, .2} = 3/4; class 2 = 1
    assert metrics.auroc(three, [1, 1, 0, 2], ONCE) == pytest.approx((2 / 3 + 3 / 4 + 1) / 3)


def test_auroc_of_one_class_is_undefined_and_says_why_beforehand():
    three = np.full((4, 3), 1 / 3)
    assert np.isnan(metrics.auroc(three, [1, 1, 1, 1], ONCE)).all()
    assert metrics.undefined(["a", "b", "c"], [0, 4, 0]) == {
        "auroc": "every image is of class 'b', and AUROC needs images of at least two classes"
    }
    assert "has no images" in metrics.undefined(["a", "b"], [0, 0])["auroc"]
    assert metrics.undefined(["a", "b", "c"], [1, 3, 0]) == {}


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
