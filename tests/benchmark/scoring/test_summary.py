"""Outcomes and means where data sets and collections differ in their corruptions, by hand."""

import numpy as np
import pytest

from benchmark.scoring import metrics
from benchmark.scoring.aggregation import comparisons, summary
from benchmark.scoring.counts import data_set, outcome
from corruptions import SEVERITIES
from pipeline.cell import cells_of

IMAGES = 40
LABELS = np.arange(IMAGES) % 2


def counted(clean, **wrong):
    """The outcome of a model that has `clean` of 40 images wrong, and `wrong` under a corruption at each severity."""
    cells = {"clean": clean} | {Cell.name_of(c, k): w for c, w in wrong.items() for k in SEVERITIES}
    guesses = {cell: np.where(np.arange(IMAGES) < count, 1 - LABELS, LABELS) for cell, count in cells.items()}
    logits = {cell: 4 * np.eye(2, dtype=np.float32)[guess] for cell, guess in guesses.items()}
    return outcome(logits, tuple(wrong), LABELS, metrics.bootstrap_counts(IMAGES, 30, (1,)))


COLLECTIONS = {"ours": ("a", "b"), "theirs": ("c",)}
BASE = {
    "a": counted(4, contrast=8, pixelate=10),
    "b": counted(4, contrast=8, pixelate=10),
    "c": counted(4, stain=20, contrast=16),
}
MODEL = {
    "a": counted(4, contrast=4, pixelate=10),
    "b": counted(4, contrast=8, pixelate=5),
    "c": counted(2, stain=10, contrast=24),
}


def values(model, base=BASE, **apart):
    return {name: line["value"] for name, line in summary(model, base, COLLECTIONS, apart).items()}


def test_every_data_set_is_averaged_over_its_own_corruptions():
    found = values(MODEL)
    # a: 50, 100; b: 100, 50; c: 50, 150; ours 75, theirs 100
    assert found["mce"] == pytest.approx((75 + 100) / 2)
    # ours: contrast 12/16, pixelate 15/20; theirs as above
    assert found["mce_pooled"] == pytest.approx((75 + 100) / 2)
    assert found["clean_error"] == pytest.approx(100 * (4 / 40 + 2 / 40) / 2)
    assert values(BASE)["mce"] == pytest.approx(100)


def test_groups_of_corruptions_count_where_they_are():
    found = values(MODEL, held_out=("contrast",), trained=("pixelate",))
    assert found["mce_held_out"] == pytest.approx(((50 + 100) / 2 + 150) / 2)
    # "theirs" has none of those that may be trained on; its stain is neither
    assert found["mce_trained"] == pytest.approx((100 + 50) / 2)
    assert found["mce_pooled_trained"] == pytest.approx(75)


def test_a_data_set_says_its_own_corruptions():
    one = data_set(MODEL["c"], BASE["c"], ("benign", "malignant"))
    assert list(one["corruptions"]) == ["stain", "contrast"]
    assert one["corruptions"]["stain"]["errors"] == pytest.approx([0.25] * len(SEVERITIES))
    assert len(one["corruptions"]["stain"]["ece"]) == len(SEVERITIES)


GRID = cells_of(["x"])


@pytest.mark.parametrize("cells", [["clean"], GRID[1:], GRID[:-1], [*GRID, "y_severity_1"]])
def test_cells_that_are_no_grid_are_refused(cells):
    logits = dict.fromkeys(cells, np.zeros((IMAGES, 2), np.float32))
    with pytest.raises(ValueError, match="cells must be clean and x at"):
        outcome(logits, ("x",), LABELS, np.ones((1, IMAGES), np.float32))


def test_a_difference_is_averaged_as_the_scores_are_and_has_an_interval():
    clean, corrupted = comparisons({"base": BASE, "model": MODEL}, COLLECTIONS, samples=200, seed=0)
    assert clean["difference"] == pytest.approx(-100 * (0 + 2 / 40) / 2), "the first's accuracy minus the second's"
    # a: 9 -> 7, b: 9 -> 6.5, c: 18 -> 17 of 40
    assert corrupted["difference"] == pytest.approx(-100 * ((2 + 2.5) / 2 + 1) / 2 / 40)
    assert corrupted["low"] < corrupted["difference"] < corrupted["high"]
    by_image = [BASE[name].hits[1:].mean(axis=0) - MODEL[name].hits[1:].mean(axis=0) for name in "abc"]
    weighed = metrics.sign_flip_p(by_image, 200, 0, [1 / 2, 1 / 2, 1])
    assert corrupted["p"] == weighed != metrics.sign_flip_p(by_image, 200, 0, [1, 1, 1])
    alike = comparisons({"base": BASE, "model": MODEL}, {"": tuple("abc")}, samples=200, seed=0)[1]
    assert alike["difference"] == pytest.approx(-100 * (2 + 2.5 + 1) / 3 / 40)


def test_the_same_model_twice_differs_by_nothing():
    for line in comparisons({"one": MODEL, "other": MODEL}, COLLECTIONS, samples=50, seed=0):
        assert (line["difference"], line["low"], line["high"], line["p"]) == (0, 0, 0, 1)


def test_balanced_error_weighs_classes_alike():
    """Of 30 images of one class and 10 of the other, the first two and the first five of the second are wrong."""
    labels = np.repeat([0, 1], [30, 10])
    logits = {}
    for cell in GRID:
        places = [0, 1] if cell == "clean" else [0, 1, 30, 31, 32, 33, 34]
        guesses = labels.copy()
        guesses[places] = 1 - guesses[places]
        logits[cell] = np.eye(2, dtype=np.float32)[guesses]
    once = np.ones((1, 40), np.float32)
    base = outcome(logits, ("x",), labels, once)
    clean, corrupted = (2 / 30) / 2, (2 / 30 + 5 / 10) / 2
    assert base.balanced_clean[0] == pytest.approx(clean)
    assert base.balanced[0, 0, 0] == pytest.approx(corrupted)
    assert base.errors[0, 0, 0] == pytest.approx(7 / 40)
    better = outcome(dict.fromkeys(GRID, logits["clean"]), ("x",), labels, once)
    one = data_set(better, base, ("normal", "abnormal"))
    assert one["corruptions"]["x"]["be"] == pytest.approx(100 * clean / corrupted)
    assert one["corruptions"]["x"]["rbe"] == pytest.approx(0)
    assert one["corruptions"]["x"]["ce"] == pytest.approx(100 * 2 / 7)
