"""From the cube to scores: averaged over severities and corruptions, then data sets, then collections.

A ratio is undefined where the baseline makes no error, and is then left out of a mean, by name. Percentages and points
out, fractions in; docs/scores.md has the formulas.

Sources: [HD] Hendrycks & Dietterich, ICLR 2019, section 4.2. [MM] Di Salvo et al., 2024 (MedMNIST-C), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from benchmark.scoring.cube import chosen, core
from benchmark.scoring.metrics import interval
from benchmark.scoring.records import Estimate, ScoreName, Summary

_ROUNDING = 1e-12
"""A sum of a few error rates that differs from 0 by less than this is rounding, not an image."""

_ERRORS = ("error", "balanced_error", "clean_error", "clean_balanced_error")

_BY_GROUP: tuple[tuple[str, ScoreName, ScoreName], ...] = (
    ("trained", "mce_trained", "mce_pooled_trained"),
    ("held_out", "mce_held_out", "mce_pooled_held_out"),
)


def ce(cube: xr.Dataset, baseline: str, metric: str = "error") -> xr.DataArray:
    """Return CE_c = 100 sum_s E_{s,c} / sum_s E^baseline_{s,c} [HD]; of ``balanced_error`` it is BE_c of [MM].

    Undefined where the baseline makes no error at all.
    """
    return _percent(*(errors[metric].sum("severity") for errors in (cube, _base(cube, baseline))))


def relative_ce(cube: xr.Dataset, baseline: str, metric: str = "error") -> xr.DataArray:
    """Return 100 sum_s (E_{s,c} - E_clean) / sum_s (E^base_{s,c} - E^base_clean) [HD]; of balanced errors rBE_c [MM].

    Undefined where the baseline does not get worse by the corruption: the ratio then says nothing.
    """
    rises = [(errors[metric] - errors[f"clean_{metric}"]).sum("severity") for errors in (cube, _base(cube, baseline))]
    return _percent(*rises)


def clean_ratio(cube: xr.Dataset, baseline: str) -> xr.DataArray:
    """Return the clean error in percent of the baseline's."""
    return _percent(cube.clean_error, _base(cube, baseline).clean_error)


def _base(cube: xr.Dataset, baseline: str) -> xr.Dataset:
    """Return the errors of a baseline, which is a model of the cube or its published numbers, without the model."""
    if baseline in cube.model.values:
        return cube.sel(model=baseline, drop=True)
    return cube.drop_dims("model").rename({f"base_{name}": name for name in _ERRORS if f"base_{name}" in cube})


def _percent(errors: xr.DataArray, base: xr.DataArray) -> xr.DataArray:
    return 100 * (errors / base.where(base > _ROUNDING))


def pooled(cube: xr.Dataset) -> xr.Dataset:
    """Return the errors summed over the data sets of a collection that have a corruption.

    So no data set is left out of a ratio for an error that the baseline does not make.
    """
    names = [name for name in ("error", "clean_error", "base_error", "base_clean_error") if name in cube]
    errors = cube[names].where(cube.present).groupby("collection").sum("dataset")
    return errors.assign_coords(present=cube.present.groupby("collection").any("dataset"))


def defined(values: xr.DataArray) -> xr.DataArray:
    """Return `values` with NaN in all bootstrap samples where the point estimate is undefined or absent."""
    return values.where(_point(values).notnull())


def defined_mean(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Average over what is defined; NaN if nothing is.

    A bootstrap sample in which one more value is undefined leaves that one out too.
    """
    return defined(values).mean(dim)


def undefined(values: xr.DataArray) -> tuple[str, ...]:
    """Return the names of what is present and has no value, such as ``oct/contrast``."""
    missing = _point(values).isnull()
    if "present" in values.coords:
        missing &= values.present
    if "model" in missing.dims:
        missing = missing.any("model")
    names = missing.transpose("collection", "dataset", "corruption", missing_dims="ignore").to_series()
    return tuple(name if isinstance(name, str) else "/".join(name) for name in names[names].index)


def over_datasets(values: xr.DataArray) -> xr.DataArray:
    """Average over data sets, then collections."""
    return defined_mean(defined(values).groupby("collection").mean("dataset"), "collection")


def by_modality(values: xr.DataArray) -> xr.DataArray:
    """Average over the data sets of each modality."""
    return defined(values).groupby("modality").mean("dataset")


def over_seeds(values: xr.DataArray) -> xr.Dataset:
    """Return ``mean``, ``std`` (of a sample; NaN of a single one) and number of ``seeds`` of models tuned alike."""
    groups = values.groupby("setting")
    seeds = groups.count("model")
    # The sum of squares is over n - 1, which std() would warn of where n is 1.
    std = groups.std("model") * (seeds / (seeds - 1).where(seeds > 1)) ** 0.5
    settings = dict.fromkeys(values.setting.values.tolist())
    return xr.Dataset({"mean": groups.mean("model"), "std": std, "seeds": seeds}).sel(setting=list(settings))


def terms(cube: xr.Dataset, baseline: str) -> dict[ScoreName, xr.DataArray]:
    """Return what each score is the mean of, by data set or collection, and by corruption where that is averaged last.

    Those of the set, and of held-out corruptions if some are named, are alone over what was built beside the seven.
    Corruptions that may be tuned on and held-out ones have scores of their own if there are some of each.
    """
    every, of_set, cube = cube, chosen(cube), core(cube)
    corrupted = cube[["error", "auroc", "ece"]].mean(("corruption", "severity"))
    summed = pooled(cube)
    scores: dict[ScoreName, xr.DataArray] = {
        "clean_error": 100 * cube.clean_error,
        "corrupted_error": 100 * corrupted.error,
        "gap": 100 * (corrupted.error - cube.clean_error),
        "clean_balanced_error": 100 * cube.clean_balanced_error,
        "auroc_clean": 100 * cube.clean_auroc,
        "auroc_corrupted": 100 * corrupted.auroc,
        "clean_ratio": clean_ratio(cube, baseline),
        "mce": ce(cube, baseline),
        "relative_mce": relative_ce(cube, baseline),
        "mbe": ce(cube, baseline, "balanced_error"),
        "mrbe": relative_ce(cube, baseline, "balanced_error"),
        "mce_pooled": ce(summed, baseline),
        "relative_mce_pooled": relative_ce(summed, baseline),
        "ece_clean": 100 * cube.clean_ece,
        "ece_corrupted": 100 * corrupted.ece,
    }
    present = set(every.group.where(every.present.any("dataset"), "other").values.tolist())
    if {"trained", "held_out"} <= present:
        by_corruption, by_corruption_pooled = ce(every, baseline), ce(pooled(every), baseline)
        for group, own, own_pooled in _BY_GROUP:
            members = every.corruption[every.group == group]
            scores[own] = by_corruption.sel(corruption=members)
            scores[own_pooled] = by_corruption_pooled.sel(corruption=members)
    if of_set is not None:
        scores["mce_set"] = ce(of_set, baseline)
        scores["relative_mce_set"] = relative_ce(of_set, baseline)
        scores["mbe_set"] = ce(of_set, baseline, "balanced_error")
        scores["mrbe_set"] = relative_ce(of_set, baseline, "balanced_error")
    return scores


def summarise(cube: xr.Dataset, baseline: str) -> dict[str, Summary]:
    """Return every score of every model, with its 95 % interval and the names of what was left out."""
    summaries: dict[str, Summary] = {model: {} for model in cube.model.values.tolist()}
    for name, values in terms(cube, baseline).items():
        left_out = undefined(values) if _point(values).notnull().any() else ()  # a published table may lack one kind
        score = _over_all(values)
        for model, summary in summaries.items():
            of_model = score.sel(model=model)
            value, low, high = interval(of_model) if "sample" in of_model.dims else (float(of_model), None, None)
            summary[name] = Estimate(value=value, low=low, high=high, left_out=left_out)
    return summaries


def by_collection(cube: xr.Dataset, baseline: str) -> Mapping[str, dict[str, Summary]]:
    """Return `summarise` of each collection alone, if there are several."""
    collections = list(dict.fromkeys(cube.collection.values.tolist()))
    if len(collections) == 1:
        return {}
    return {name: summarise(cube.sel(dataset=cube.collection == name), baseline) for name in collections}


def _over_all(values: xr.DataArray) -> xr.DataArray:
    if "corruption" in values.dims:
        values = defined_mean(values, "corruption")
    return over_datasets(values) if "dataset" in values.dims else defined_mean(values, "collection")


def _point(values: xr.DataArray) -> xr.DataArray:
    return values.isel(sample=0, drop=True) if "sample" in values.dims else values
