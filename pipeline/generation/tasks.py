"""Many data sets and corruptions, one after the other, or spread over a dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from corruptions.spec import EXTENDED
from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.generation import built
from pipeline.generation.cells import Execution, corrupt
from pipeline.run import cluster
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.paths import Workspace


def corrupt_all(
    workspace: Workspace,
    config: Config,
    tasks: Sequence[tuple[str, str]],
    execution: Execution,
    *,
    scheduler: str | None,
) -> None:
    """Corrupt the data set of each of `tasks` by its corruption; with `scheduler` on the cluster of that address."""
    if not tasks:
        return
    with progress(total=len(tasks), unit="task", desc="corrupt") as bar:
        if scheduler is None:
            for dataset, corruption in tasks:
                corrupt(workspace, dataset, corruption, config, execution)
                bar.update()
            return
        results = cluster.everywhere(
            "pipeline.generation.tasks:task",
            tasks,
            asdict(execution),
            root=workspace.root,
            scheduler=scheduler,
            corruptions=sorted({corruption for _, corruption in tasks}),
        )
        for task_done, result in results:
            dataset, corruption = map(str, task_done)
            if manifest.read_corruption(workspace, dataset, corruption).model_dump(mode="json") != result:
                raise UserError(f"a worker's manifest of {dataset}, {corruption} is not the one on this disk")
            if corruption in EXTENDED and not built.has_its_key(workspace, config, dataset, corruption):
                raise UserError(f"a worker made {dataset}, {corruption} with other code than this machine has")
            bar.update()


def extend(workspace: Workspace, config: Config, execution: Execution, *, scheduler: str | None) -> None:
    """Bring the extended tree to what corruption_set chooses, and say what that took."""
    removed = built.remove_others(workspace, config)
    chosen = [(dataset, corruption) for dataset in config.datasets for corruption in config.extended(dataset)]
    are_current = ordered(lambda pair: built.is_current(workspace, config, *pair), chosen, workers=execution.workers)
    bar = progress(are_current, total=len(chosen), unit="part", desc="read what is there")
    tasks = [pair for pair, is_current in zip(chosen, bar, strict=True) if not is_current]
    corrupt_all(workspace, config, tasks, execution, scheduler=scheduler)
    _report("removed", removed)
    _report("made", [" ".join(pair) for pair in tasks])
    if chosen:
        print(f"extend: {len(chosen) - len(tasks)} of {len(chosen)} were there")
    else:
        print("extend: corruption_set adds nothing to the seven")


def _report(verb: str, names: Sequence[str]) -> None:
    if names:
        print(f"extend: {verb} {', '.join(names[:8])}" + (f" and {len(names) - 8} more" if names[8:] else ""))


def task(root: str, dataset: str, corruption: str, options: dict[str, Any]) -> dict[str, Any]:
    """Do one of many tasks, on whatever machine: `corrupt` in the workspace `root`; return the manifest as JSON."""
    workspace = Workspace(root)
    result = corrupt(workspace, dataset, corruption, read_config(workspace), Execution(**options))
    return result.model_dump(mode="json")
