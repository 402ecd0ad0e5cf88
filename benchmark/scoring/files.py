"""The files of the scores in reports/: written by score, read by report and by others.

scores.json has the record, scores.parquet and scores.csv the cube's point estimates as a tidy table, metrics.json the
main scores for ``dvc metrics diff``, and plots/ what ``dvc plots diff`` shows.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from benchmark.scoring import cube as cubes
from benchmark.scoring.aggregation import ce, defined_mean, over_datasets
from benchmark.scoring.records import ScoreName, ScoresRecord, Summary
from pipeline.config.grid import family
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.records import read_record, write_json
from pipeline.text import spreadsheet_text
from pipeline.workspace.paths import Workspace

REMEDY = "run `python -m benchmark.score`"

IN_METRICS: tuple[ScoreName, ...] = (
    "clean_error",
    "corrupted_error",
    "gap",
    "mce",
    "mce_pooled",
    "relative_mce",
    "auroc_clean",
    "auroc_corrupted",
    "mce_set",
)
"""Scores that go into metrics.json, if they are there."""


def read_scores(workspace: Workspace) -> ScoresRecord:
    """Read reports/scores.json; UserError if it is not there or not whole."""
    return read_record(workspace.scores, ScoresRecord, remedy=REMEDY)


def read_cube(workspace: Workspace, scores: ScoresRecord) -> xr.Dataset:
    """Read the point estimates of reports/scores.parquet; UserError if they are not there, or not those of `scores`."""
    path = _parquet(workspace)
    try:
        return cubes.from_tidy(pd.read_parquet(path, columns=cubes.COLUMNS), scores)
    except FileNotFoundError:
        raise UserError(f"no {path}: {REMEDY}") from None
    except (KeyError, ValueError) as wrong:  # pyarrow's errors are ValueErrors
        reason = str(wrong).partition("\n")[0]
        raise UserError(f"{path} is not the table of {workspace.scores} ({reason}): {REMEDY}") from None


def write(workspace: Workspace, scores: ScoresRecord, cube: xr.Dataset) -> None:
    """Write all files of the scores, scores.json last."""
    table = cubes.tidy(cube)
    write_csv(workspace.reports / "scores.csv", table)
    with atomic_write(_parquet(workspace)) as handle:
        table.to_parquet(handle, index=False)
    plots = workspace.reports / "plots"
    write_csv(plots / "severity.csv", _error_by_severity(cube))
    write_csv(plots / "mce.csv", _ce_by_corruption(cube, scores.baseline))
    write_json(
        workspace.reports / "metrics.json",
        {
            model: _main(model_scores.summary)
            | {name: _main(summary) for name, summary in model_scores.collections.items()}
            for model, model_scores in scores.models.items()
        },
    )
    with atomic_write(workspace.scores) as handle:  # in the order of params.yaml, which write_json would sort
        handle.write(scores.model_dump_json(indent=1).encode() + b"\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index; text that a spreadsheet would take for a formula begins with an apostrophe.

    Numbers have nine digits, and what is undefined is empty.
    """
    text = table.select_dtypes(exclude="number").columns
    safe = table.assign(**{name: table[name].map(spreadsheet_text) for name in text})
    safe.columns = safe.columns.map(spreadsheet_text)
    with atomic_write(path) as handle:
        handle.write(safe.to_csv(index=False, lineterminator="\n", float_format="%.9g").encode())


def _main(summary: Summary) -> dict[str, float | None]:
    return {name: summary[name].value for name in IN_METRICS if name in summary}


def _error_by_severity(cube: xr.Dataset) -> pd.DataFrame:
    """Mean error, percent, over corruptions, data sets, then collections: a row a severity, and a column a model.

    Without the corruptions that were built beside the seven.

    The models of a grid have one column, their mean, since dvc.yaml knows them by one name.
    """
    core = cubes.core(cube)
    clean = core.clean_error.expand_dims(severity=[0])
    errors = xr.concat([clean, core.error.mean("corruption")], "severity", coords="minimal").isel(sample=0, drop=True)
    by_model = (100 * over_datasets(errors)).to_series().unstack("model").rename_axis(columns=None)
    by_name: pd.DataFrame = by_model[cube.model.values].T.groupby(family, sort=False).mean().T.reset_index()
    return by_name


def _ce_by_corruption(cube: xr.Dataset, baseline: str) -> pd.DataFrame:
    """Mean CE over the data sets that have a corruption: a row a model and corruption."""
    mean = defined_mean(ce(cube, baseline).isel(sample=0, drop=True), "dataset")
    return mean.rename("ce").to_dataframe()[["ce"]].reset_index()


def _parquet(workspace: Workspace) -> Path:
    return workspace.reports / "scores.parquet"
