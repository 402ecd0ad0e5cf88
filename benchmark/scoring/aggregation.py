"""From outcomes to the lines of the main table: averaged over corruptions, then data sets, then collections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring import metrics
from benchmark.scoring.counts import Outcome, ratios

Floats = NDArray[np.float64]
Collections = Mapping[str, Sequence[str]]
Groups = Mapping[str, Sequence[str]]
"""Of corruptions, by name."""

Outcomes = Mapping[str, Outcome]
"""Of one model, by data set."""


def summary(own: Outcomes, base: Outcomes, collections: Collections, apart: Groups) -> dict[str, Any]:
    """Return every line of the main table for one model: {name: {value, low, high}}, and what was left out of it.

    Each group of corruptions of `apart` has an mCE of its own, such as ``mce_held_out`` for ``held_out``. Errors, gap
    and AUROC are in percent or points; ``mce`` and its kin in percent of the baseline, see docs/scores.md.
    """
    lines: dict[str, metrics.Mean] = {
        "clean_error": _over(own, collections, lambda o, _: 100 * o.clean),
        "corrupted_error": _over(own, collections, lambda o, _: 100 * o.errors.mean(axis=(1, 2))),
        "gap": _over(own, collections, lambda o, _: 100 * (o.errors.mean(axis=(1, 2)) - o.clean)),
        "clean_balanced_error": _over(own, collections, lambda o, _: 100 * o.balanced_clean),
        "auroc_clean": _over(own, collections, lambda o, _: 100 * o.auroc_clean),
        "auroc_corrupted": _over(own, collections, lambda o, _: 100 * o.auroc.mean(axis=(1, 2))),
    }
    ratio = {name: ratios(own[name], base[name]) for names in collections.values() for name in names}
    every = tuple(dict.fromkeys(c for one in own.values() for c in one.corruptions))
    lines["clean_ratio"] = _over(own, collections, lambda _, name: ratio[name]["clean_ratio"])
    for line_name, quantity in (("mce", "ce"), ("relative_mce", "relative_ce"), ("mbe", "be"), ("mrbe", "rbe")):
        lines[line_name] = _over_corruptions(own, ratio, quantity, collections, every)
    lines["mce_pooled"] = _pooled(own, base, collections, every, relative=False)
    lines["relative_mce_pooled"] = _pooled(own, base, collections, every, relative=True)
    for suffix, group in apart.items():
        lines[f"mce_{suffix}"] = _over_corruptions(own, ratio, "ce", collections, group)
        lines[f"mce_pooled_{suffix}"] = _pooled(own, base, collections, group, relative=False)
    found = {}
    for name, line in lines.items():
        value, low, high = metrics.interval(line.value)
        found[name] = {"value": value, "low": low, "high": high, "left_out": list(line.left_out)}
    for kind in ("clean", "corrupted"):
        found[f"ece_{kind}"] = {"value": 100 * _ece(own, collections, kind)}
    return found


def _over(own: Outcomes, collections: Collections, value: Callable[[Outcome, str], Floats]) -> metrics.Mean:
    """Average a value of each data set over data sets, then collections."""
    return _mean({name: value(one, name) for name, one in own.items()}, collections)


def _mean(values: Mapping[str, Floats], collections: Collections) -> metrics.Mean:
    left_out: tuple[str, ...] = ()
    means = {}
    for collection, names in collections.items():
        mean = metrics.named_mean({name: values[name] for name in names})
        means[collection], left_out = mean.value, left_out + mean.left_out
    return metrics.Mean(metrics.named_mean(means).value, left_out)


def _over_corruptions(
    own: Outcomes,
    ratio: Mapping[str, Mapping[str, Floats]],
    quantity: str,
    collections: Collections,
    group: Sequence[str],
) -> metrics.Mean:
    """Average a percentage over the corruptions of `group` that a data set has, then data sets, then collections.

    A data set or collection that has none of them does not count.
    """
    left_out: list[str] = []
    means = {}
    for collection, names in collections.items():
        by_set = {}
        for name in names:
            workspace = {c: place for place, c in enumerate(own[name].corruptions) if c in group}
            if workspace:
                values = {f"{name}/{c}": ratio[name][quantity][:, place] for c, place in workspace.items()}
                mean = metrics.named_mean(values)
                by_set[name] = mean.value
                left_out.extend(mean.left_out)
        if by_set:
            means[collection] = metrics.named_mean(by_set).value
    return metrics.Mean(metrics.named_mean(means).value, tuple(left_out))


def _pooled(
    own: Outcomes, base: Outcomes, collections: Collections, group: Sequence[str], *, relative: bool
) -> metrics.Mean:
    """Sum the error rates over the data sets that have a corruption before dividing by the baseline's.

    So no data set is left out for an error that the baseline does not make.
    """
    left_out: list[str] = []
    means = {}
    for collection, names in collections.items():
        values = {}
        for corruption in group:
            having = [
                (name, own[name].corruptions.index(corruption)) for name in names if corruption in own[name].corruptions
            ]
            if not having:
                continue
            errors, base_errors = (np.sum([m[n].errors[:, place] for n, place in having], axis=0) for m in (own, base))
            if relative:
                clean, base_clean = (np.sum([m[n].clean for n, _ in having], axis=0) for m in (own, base))
                value = metrics.relative_corruption_error(errors, clean, base_errors, base_clean)
            else:
                value = metrics.corruption_error(errors, base_errors)
            values[f"{collection}/{corruption}"] = value
        if values:
            mean = metrics.named_mean(values)
            means[collection] = mean.value
            left_out.extend(mean.left_out)
    return metrics.Mean(metrics.named_mean(means).value, tuple(left_out))


def _ece(own: Outcomes, collections: Collections, kind: str) -> float:
    means = []
    for names in collections.values():
        by_set = [_ece_of(own[name], kind) for name in names]
        means.append(sum(by_set) / len(by_set))
    return sum(means) / len(means)


def _ece_of(one: Outcome, kind: str) -> float:
    values = [value for cell, value in one.ece.items() if (cell == "clean") == (kind == "clean")]
    return sum(values) / len(values)


def comparisons(
    models: Mapping[str, Outcomes], collections: Collections, *, samples: int, seed: int
) -> list[dict[str, Any]]:
    """Compare every two models on the same images, clean and corrupted, by random sign flips, corrected by Holm.

    The score of an image is whether it is right, or the fraction of the corrupted cells in which it is; the difference
    is the first model's accuracy minus the second's, averaged over images, data sets, then collections, in points, with
    its interval by paired bootstrap.
    """
    names = [name for group in collections.values() for name in group]
    weights = [1 / len(group) for group in collections.values() for _ in group]
    found: list[dict[str, Any]] = []
    for first, second in combinations(models, 2):
        one, other = models[first], models[second]
        for kind, cells in (("clean", slice(0, 1)), ("corrupted", slice(1, None))):
            apart = {name: 100 * (_errors(other[name], kind) - _errors(one[name], kind)) for name in names}
            difference, low, high = metrics.interval(_mean(apart, collections).value)
            by_image = [one[n].hits[cells].mean(axis=0) - other[n].hits[cells].mean(axis=0) for n in names]
            line = {
                "first": first,
                "second": second,
                "images": kind,
                "difference": difference,
                "low": low,
                "high": high,
            }
            found.append(line | {"p": metrics.sign_flip_p(by_image, samples, seed, weights)})
    for line, corrected in zip(found, metrics.holm([line["p"] for line in found]), strict=True):
        line["p_holm"] = corrected
    return found


def _errors(one: Outcome, kind: str) -> Floats:
    return one.clean if kind == "clean" else one.errors.mean(axis=(1, 2))
