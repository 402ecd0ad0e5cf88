"""All scores as one labelled array, and as a tidy table.

The cube is an `xarray.Dataset` of fractions, float64:

    error, balanced_error, auroc            model, dataset, corruption, severity, sample
    ece                                     model, dataset, corruption, severity
    clean_error, clean_balanced_error, ...  the same without corruption and severity

Sample 0 is the point estimate, the others are bootstrap samples; a cube read from its file has no dimension sample.
A model has coordinates ``setting`` and ``seed`` (-1 where it was not tuned here), a data set ``collection`` and
``modality``, a corruption its ``group`` (trained, held_out or other). A baseline by its published numbers is no model
but ``base_error`` and so on, without sample. ``present`` (dataset, corruption) says which
corruptions a data set has: where it is false everything is NaN, and where it is true NaN means undefined, which an
error never is. ``extended`` and ``chosen`` are of the same form: the corruptions that were built beside the seven, and
the set that params.yaml names; `core` and `chosen` are the cube without the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd
import xarray as xr

from benchmark.scoring.measure import METRICS
from benchmark.scoring.published import with_published
from benchmark.scoring.records import Grid
from corruptions.spec import SEVERITIES
from pipeline.workspace.cell import CLEAN

CELL = ["model", "dataset", "corruption", "severity"]
MASKS = ["present", "extended", "chosen"]
COLUMNS = [*CELL, "metric", "value"]
"""Of the tidy table. Clean images have the corruption ``clean`` at severity 0."""


def combine(scores: Mapping[str, Mapping[str, xr.Dataset]], grid: Grid) -> xr.Dataset:
    """Return the cube of all `scores`, which are `Measurement.scores` by model and data set.

    Raises:
        ValueError: a cell of the grid has no error.
    """
    by_dataset = [
        xr.concat([scores[model][dataset] for model in grid.settings], "model", data_vars="all", join="outer")
        for dataset in grid.datasets
    ]
    return _labelled(xr.concat(by_dataset, "dataset", data_vars="all", join="outer"), grid)


def tidy(cube: xr.Dataset) -> pd.DataFrame:
    """Return the point estimates with one row a model, data set, corruption, severity and metric."""
    point = cube.isel(sample=0, drop=True) if "sample" in cube.dims else cube
    point = point.drop_vars(["setting", "seed", "collection", "modality", "group", *MASKS])
    clean = point[[f"clean_{name}" for name in METRICS]].rename({f"clean_{name}": name for name in METRICS})
    cells = xr.concat(
        [clean.expand_dims(corruption=[CLEAN], severity=[0]), point[list(METRICS)]], "corruption", join="outer"
    )
    frame = cells.to_dataframe(dim_order=CELL)[list(METRICS)]
    there = frame.dropna(subset="error")  # what is absent has no error
    rows = pd.Series(there.stack(future_stack=True), name="value")
    return rows.rename_axis(COLUMNS[:-1]).reset_index()


def from_tidy(frame: pd.DataFrame, grid: Grid) -> xr.Dataset:
    """Return the cube of point estimates that `tidy` made a table of.

    Raises:
        KeyError: a model, data set, corruption or metric of the grid is not in the table.
        ValueError: a cell of the grid has no error, or a cell stands in the table twice.
    """
    cells = frame.set_index(COLUMNS[:-1])["value"].to_xarray().to_dataset("metric")[list(METRICS)]
    cells = cells.sel(model=list(grid.settings), dataset=list(grid.datasets))
    clean = cells.sel(corruption=CLEAN, severity=0, drop=True).rename({name: f"clean_{name}" for name in METRICS})
    corrupted = cells.sel(corruption=list(grid.corruptions), severity=list(SEVERITIES))
    return _labelled(xr.merge([clean, corrupted]), grid)


def _labelled(scores: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Return `scores` with all coordinates; ValueError names a hole."""
    collection = {name: collection for collection, names in grid.collections.items() for name in names}
    group = dict.fromkeys(grid.trained, "trained") | dict.fromkeys(grid.held_out, "held_out")
    settings, datasets = grid.settings.values(), grid.datasets.values()
    cube = scores.assign_coords(model=list(grid.settings), dataset=list(grid.datasets))
    cube = cube.reindex(corruption=list(grid.corruptions), severity=list(SEVERITIES)).assign_coords(
        setting=("model", [setting.name for setting in settings]),
        seed=("model", [-1 if setting.seed is None else setting.seed for setting in settings]),
        collection=("dataset", [collection[name] for name in grid.datasets]),
        modality=("dataset", [dataset.modality for dataset in datasets]),
        group=("corruption", [group.get(name, "other") for name in grid.corruptions]),
        present=_mask(grid, [dataset.corruptions for dataset in datasets]),
        extended=_mask(grid, [dataset.extended for dataset in datasets]),
        chosen=_mask(grid, [dataset.chosen for dataset in datasets]),
    )
    cube = cube.transpose(*CELL, "sample", missing_dims="ignore")
    if grid.published is not None:
        cube = with_published(cube, grid.published)
    if holes := _holes(cube):
        more = f" and {len(holes) - 1} more have" if holes[1:] else " has"
        raise ValueError(f"{holes[0]}{more} no error, and a hole is never averaged over")
    return cube


def _mask(grid: Grid, by_dataset: Sequence[Collection[str]]) -> tuple[tuple[str, str], list[list[bool]]]:
    return ("dataset", "corruption"), [[name in names for name in grid.corruptions] for names in by_dataset]


def core(cube: xr.Dataset) -> xr.Dataset:
    """Return the cube without the corruptions that were built beside the seven."""
    return _part(cube, ~cube.extended)


def extended(cube: xr.Dataset) -> xr.Dataset | None:
    """Return the cube with the corruptions that were built beside the seven alone; None if there are none."""
    return _part(cube, cube.extended) if bool(cube.extended.any()) else None


def chosen(cube: xr.Dataset) -> xr.Dataset | None:
    """Return the cube with the corruptions that `corruption_set` of params.yaml names alone; None if it names none."""
    return _part(cube, cube.chosen) if bool(cube.chosen.any()) else None


def _part(cube: xr.Dataset, kept: xr.DataArray) -> xr.Dataset:
    """Return the cube as if each data set had those of its corruptions alone that are `kept`."""
    if bool((kept | ~cube.present).all()):
        return cube
    by_corruption = {name: values.where(kept) for name, values in cube.items() if "corruption" in values.dims}
    part = cube.assign(by_corruption).assign_coords(present=cube.present & kept)
    return part.sel(corruption=part.present.any("dataset").values)


def _holes(cube: xr.Dataset) -> list[str]:
    point = cube.isel(sample=0, drop=True) if "sample" in cube.dims else cube
    clean = point.clean_error.isnull().to_series()
    corrupted = (point.error.isnull() & cube.present).transpose(*CELL).to_series()
    return [f"{'/'.join(names)}/{CLEAN}" for names in clean[clean].index] + [
        f"{'/'.join(names)} at severity {severity}" for *names, severity in corrupted[corrupted].index
    ]
