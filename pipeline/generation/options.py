"""The options of the stages that generate cells: how the work is done, and on which machines."""

from __future__ import annotations

import argparse

from pipeline.generation.cells import BACKENDS, BATCH, Execution
from pipeline.run import command_line


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that `execution` reads."""
    parser.add_argument("--backend", default="cpu", choices=BACKENDS)
    parser.add_argument("--device", help="where the backend gpu works, such as cuda:1 (default: the first GPU)")
    parser.add_argument("--batch", type=command_line.positive, default=BATCH, help=f"images a task (default: {BATCH})")
    parser.add_argument("--backend-parallel", default="joblib", choices=("joblib", "dask"), help="how work is spread")
    parser.add_argument("--scheduler", help="address of the dask cluster, such as tcp://10.0.0.1:8786")
    threads = "threads (default: all cores, or one a task on a cluster, whose workers run several tasks at once)"
    parser.add_argument("--workers", type=command_line.positive, help=threads)


def execution(parser: argparse.ArgumentParser, args: argparse.Namespace, *, is_many: bool = True) -> Execution:
    """Return how the work is done; end the command if `is_many` tasks, dask and its scheduler do not go together."""
    on_cluster = args.backend_parallel == "dask"
    if on_cluster != bool(args.scheduler) or (on_cluster and not is_many):
        parser.error("--backend-parallel dask and --scheduler go together, and with --all where there is that option")
    workers = args.workers or (1 if on_cluster else command_line.available_cores())
    return Execution(args.backend, args.device, workers, args.batch)
