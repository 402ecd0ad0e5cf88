"""Every score, against the formulas of docs/scores.md written out with plain loops over images and lists of numbers."""

import math
import statistics
from functools import cache

import numpy as np
import pytest

from benchmark.scoring import metrics
from benchmark.scoring.aggregation import by_collection, summarise
from benchmark.scoring.comparisons import compare
from benchmark.scoring.cube import combine
from benchmark.scoring.measure import measure

from .cubes import grid_of

COLLECTIONS = {"ours": ("a", "b"), "theirs": ("c", "d")}
CORRUPTIONS = {"a": ("blur", "noise"), "b": ("blur", "noise"), "c": ("noise", "stain"), "d": ("stain",)}
CLASSES = {"a": 2, "b": 3, "c": 2, "d": 4}
IMAGES = {"a": 20, "b": 18, "c": 24, "d": 20}
SAMPLES = 5
GROUPS = {"trained": ("blur",), "held_out": ("noise",)}
NAN = float("nan")


def make_logits():
    """Logits of three models, the first without an error under stain on d, and labels, by data set."""
    rng = np.random.default_rng(11)
    labels = {name: rng.integers(0, CLASSES[name], IMAGES[name]) for name in CLASSES}
    logits = {}
    for number, model in enumerate(("base", "second", "third")):
        for name, y in labels.items():
            for corruption in ("clean", *CORRUPTIONS[name]):
                for severity in range(1, 2 if corruption == "clean" else 6):
                    certain = 50 if (model, name, corruption) == ("base", "d", "stain") else 2.5 - 0.3 * severity
                    noise = rng.normal(0, 1 + 0.1 * number, (len(y), CLASSES[name]))
                    cell = (noise + certain * np.eye(CLASSES[name])[y]).astype(np.float32)
                    logits[model, name, corruption, 0 if corruption == "clean" else severity] = cell
    return logits, labels


LOGITS, LABELS = make_logits()
MODELS = ("base", "second", "third")
COUNTS = {name: metrics.bootstrap_counts(IMAGES[name], SAMPLES, (0, k)) for k, name in enumerate(CLASSES)}


def sample(name, number):
    """The images of a bootstrap sample, each as often as it is drawn."""
    return [i for i in range(IMAGES[name]) for _ in range(int(COUNTS[name][number, i]))]


def error(images, logits, labels):
    return sum(int(np.argmax(logits[i])) != labels[i] for i in images) / len(images)


def balanced_error(images, logits, labels):
    classes = sorted({int(labels[i]) for i in images})
    return statistics.fmean(error([i for i in images if labels[i] == k], logits, labels) for k in classes)


def auroc(images, logits, labels):
    exponentials = [[math.exp(float(x) - max(map(float, row))) for x in row] for row in logits]
    probabilities = [[e / sum(row) for e in row] for row in exponentials]
    areas = []
    for k in [1] if len(logits[0]) == 2 else range(len(logits[0])):
        above = [probabilities[i][k] for i in images if labels[i] == k]
        below = [probabilities[i][k] for i in images if labels[i] != k]
        if above and below:
            wins = sum((p > n) + 0.5 * (p == n) for p in above for n in below)
            areas.append(wins / len(above) / len(below))
    return statistics.fmean(areas) if areas else NAN


@cache
def table(metric, number):
    """The metric of every cell in one bootstrap sample."""
    drawn = {name: sample(name, number) for name in CLASSES}
    return {key: metric(drawn[key[1]], cell, LABELS[key[1]]) for key, cell in LOGITS.items()}


def mean(values):
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else NAN


def percent(own, base):
    return 100 * own / base if base > 1e-12 else NAN


def over(collections, value):
    return mean([mean([value(name) for name in names]) for names in collections.values()])


def scores_in(number, model, collections, point):
    """All scores of a model in one bootstrap sample; `point` is the result of sample 0, which says what is left out."""
    errors, balanced, areas = (table(metric, number) for metric in (error, balanced_error, auroc))
    undefined = set()

    def corrupted(values, who, name, corruptions=None):
        return [values[who, name, c, s] for c in corruptions or CORRUPTIONS[name] for s in range(1, 6)]

    def ratio(values, name, corruption, relative):
        own, base = (
            sum(
                values[who, name, corruption, s] - (values[who, name, "clean", 0] if relative else 0)
                for s in range(1, 6)
            )
            for who in (model, "base")
        )
        return kept((id_of[id(values)], name, corruption, relative), percent(own, base))

    def kept(key, value):
        if point is None and math.isnan(value):
            undefined.add(key)
        return NAN if key in (undefined if point is None else point["undefined"]) else value

    id_of = {id(errors): "error", id(balanced): "balanced"}

    def mce(values, relative=False, group=None):
        return over(
            collections,
            lambda name: mean(
                [ratio(values, name, c, relative) for c in CORRUPTIONS[name] if group is None or c in group]
            ),
        )

    def pooled(relative=False, group=None):
        means = []
        for collection, names in collections.items():
            ces = []
            for c in sorted({c for name in names for c in CORRUPTIONS[name] if group is None or c in group}):
                own, base = (
                    sum(
                        errors[who, name, c, s] - (errors[who, name, "clean", 0] if relative else 0)
                        for name in names
                        if c in CORRUPTIONS[name]
                        for s in range(1, 6)
                    )
                    for who in (model, "base")
                )
                ces.append(kept(("pooled", collection, c, relative), percent(own, base)))
            means.append(mean(ces))
        return mean(means)

    found = {
        "clean_error": over(collections, lambda d: 100 * errors[model, d, "clean", 0]),
        "corrupted_error": over(collections, lambda d: 100 * mean(corrupted(errors, model, d))),
        "gap": over(collections, lambda d: 100 * (mean(corrupted(errors, model, d)) - errors[model, d, "clean", 0])),
        "clean_balanced_error": over(collections, lambda d: 100 * balanced[model, d, "clean", 0]),
        "auroc_clean": over(collections, lambda d: 100 * areas[model, d, "clean", 0]),
        "auroc_corrupted": over(collections, lambda d: 100 * mean(corrupted(areas, model, d))),
        "clean_ratio": over(
            collections, lambda d: percent(errors[model, d, "clean", 0], errors["base", d, "clean", 0])
        ),
        "mce": mce(errors),
        "relative_mce": mce(errors, relative=True),
        "mbe": mce(balanced),
        "mrbe": mce(balanced, relative=True),
        "mce_pooled": pooled(),
        "relative_mce_pooled": pooled(relative=True),
    }
    if all(
        any(c in group for names in collections.values() for d in names for c in CORRUPTIONS[d])
        for group in GROUPS.values()
    ):
        for name, group in GROUPS.items():
            found[f"mce_{name}"] = mce(errors, group=group)
            found[f"mce_pooled_{name}"] = pooled(group=group)
    return found | {"undefined": undefined}


def expected(model, collections):
    point = scores_in(0, model, collections, None)
    samples = [scores_in(number, model, collections, point) for number in range(1, SAMPLES + 1)]
    for name in point.keys() - {"undefined"}:
        known = sorted(one[name] for one in samples if not math.isnan(one[name]))
        yield name, (point[name], *np.quantile(known, [0.025, 0.975]))


@pytest.fixture(scope="module")
def measured():
    def stack(model, name):
        keys = [(model, name, "clean", 0), *((model, name, c, s) for c in CORRUPTIONS[name] for s in range(1, 6))]
        return np.stack([LOGITS[key] for key in keys])

    return {
        model: {
            name: measure(
                stack(model, name), LABELS[name], COUNTS[name], CORRUPTIONS[name], list("pqrs")[: CLASSES[name]]
            )
            for name in CLASSES
        }
        for model in MODELS
    }


@pytest.fixture(scope="module")
def cube(measured):
    scores = {model: {name: one.scores for name, one in by_name.items()} for model, by_name in measured.items()}
    return combine(scores, grid_of(measured, COLLECTIONS, trained=GROUPS["trained"], held_out=GROUPS["held_out"]))


def check(summary, model, collections):
    reference = dict(expected(model, collections))
    assert summary.keys() == reference.keys() | {"ece_clean", "ece_corrupted"}
    for name, values in reference.items():
        line = summary[name]
        assert (line.value, line.low, line.high) == pytest.approx(values, abs=1e-9, rel=1e-9), name


@pytest.mark.parametrize("model", MODELS)
def test_every_score_and_its_interval(cube, model):
    summary = summarise(cube, "base")[model]
    check(summary, model, COLLECTIONS)
    assert summary["mce"].left_out == ("d/stain",)
    assert summary["mce_pooled"].left_out == ()
    for name, names in COLLECTIONS.items():
        check(by_collection(cube, "base")[name][model], model, {name: names})


@pytest.mark.parametrize("model", MODELS)
def test_calibration(cube, model):
    def ece(cell, labels):
        bins = {}
        for row, label in zip(np.asarray(cell, np.float64), labels, strict=True):
            top = 1 / np.exp(row - row.max()).sum()
            bins.setdefault(math.ceil(top * 15), []).append((top, row.argmax() == label))
        return sum(abs(sum(top - hit for top, hit in one)) for one in bins.values()) / len(labels)

    values = {key: 100 * ece(cell, LABELS[key[1]]) for key, cell in LOGITS.items() if key[0] == model}
    summary = summarise(cube, "base")[model]
    clean = over(COLLECTIONS, lambda d: values[model, d, "clean", 0])
    corrupted = over(COLLECTIONS, lambda d: mean([values[key] for key in values if key[1] == d and key[3]]))
    assert summary["ece_clean"].value == pytest.approx(clean, abs=1e-9)
    assert summary["ece_corrupted"].value == pytest.approx(corrupted, abs=1e-9)


def test_comparisons(cube, measured):
    right = {model: {name: one.right for name, one in by_name.items()} for model, by_name in measured.items()}
    lines = compare(cube, right, seed=0, flips=50)
    assert [(line.first, line.second) for line in lines[::2]] == [
        ("base", "second"),
        ("base", "third"),
        ("second", "third"),
    ]
    point = {model: scores_in(0, model, COLLECTIONS, None) for model in MODELS}
    for line in lines:
        score = f"{line.images}_error"
        assert line.difference == pytest.approx(point[line.second][score] - point[line.first][score], abs=1e-9)
