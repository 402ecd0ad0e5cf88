"""Run a stage's tasks on a dask cluster whose machines share a disk.

Every worker is examined before it gets work: it must import this project in the same versions, compute the same
bytes, and see the same workspace. A task whose worker is killed runs again elsewhere; since a file under its final
name is whole, and a task's files depend on nothing but its inputs, that changes nothing. Needs the extra ``dask``.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import corruptions
from pipeline.errors import UserError
from pipeline.io.atomic import temporary

_CONNECT = 10.0  # seconds that a scheduler has to answer
_EXAMINE = 180.0  # seconds that a worker has for its examination: kernels may have to be compiled
_PATIENCE = 60.0  # seconds without any worker before giving up

Task = tuple[Any, ...]


def everywhere(
    target: str,
    tasks: Sequence[Task],
    options: dict[str, Any],
    *,
    root: Path,
    scheduler: str,
    patience: float = _PATIENCE,
) -> Iterator[tuple[Task, Any]]:
    """Yield (task, result) as results come, each from ``target(root, *task, options)`` on some worker.

    Args:
        target: a function that workers import, as ``module:name``.
        tasks: the arguments of each call.
        options: the last argument of every call.
        root: the workspace, on a disk that all workers see under the same absolute path.
        scheduler: its address.
        patience: seconds to wait while there is no worker at all.

    Raises:
        UserError: dask is not installed, no scheduler or worker answers, a worker fails its examination, or a task
            killed every worker it was given; also what a task itself raises.
    """
    client = _connect(scheduler)
    try:
        _wait_for_worker(client, patience)
        _examine_all(client, root)
        yield from _results(client, target, tasks, options, root, patience)
    finally:
        client.close(timeout=_CONNECT)


def call(target: str, root: str, task: Task, options: dict[str, Any], expected: dict[str, str]) -> Any:
    """Import ``module:name`` and call it; what a worker runs, be it one that came after the examination."""
    if different := _differences(expected):
        raise UserError(f"a worker {'; '.join(different)}")
    module, name = target.split(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function(root, *task, options)


def findings_here(root: str, token: str, content: str, expected: dict[str, str]) -> list[str]:
    """Return what is wrong with this process as a worker on `root`; `expected` is the caller's `identity()`."""
    try:
        visible = (Path(root) / token).read_text() == content
    except OSError:
        visible = False
    found = [] if visible else [f"does not see {root} (the workspace must lie on a disk that all machines share)"]
    return found + _differences(expected)


def _differences(expected: dict[str, str]) -> list[str]:
    return [f"has {k} {v}, here it is {expected[k]}" for k, v in identity().items() if v != expected[k]]


@functools.cache
def identity() -> dict[str, str]:
    """Return what must be equal on all machines: versions, and the checksum of a small picture's corruptions."""
    versions = {name: version(name) for name in ("numpy", "numba")}
    return {
        "medimeta-c": corruptions.__version__,
        "bytes version": str(corruptions.BYTES_VERSION),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **versions,
        "kernel checksum": _kernel_checksum(),
    }


def _kernel_checksum() -> str:
    picture = (
        np.arange(2 * 20 * 24 * 3, dtype=np.uint32) * 2654435761 >> 24
    )  # a multiplicative hash: Knuth, vol. 3, 6.4
    images = picture.astype(np.uint8).reshape(2, 20, 24, 3)
    digest = hashlib.sha256()
    for name in corruptions.CORRUPTIONS:
        for _, made in corruptions.sweep(images, name, dataset="pbc", split="test", seed=0):
            digest.update(made.tobytes())
    return digest.hexdigest()[:16]


def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError("dask is not installed: pip install 'medimeta-c[dask]'") from None
    try:
        return Client(scheduler, timeout=_CONNECT)
    except (OSError, ValueError) as failure:
        reason = " ".join(str(failure).split())
    # A half-made client stops its thread when it is collected; amid the start of the next one that would never end.
    gc.collect()
    raise UserError(f"no dask scheduler answers at {scheduler} ({reason}); `dask scheduler` starts one")


def _wait_for_worker(client: Any, patience: float) -> None:
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError:
        raise UserError(
            f"the scheduler has no worker after {patience:.0f} s; `dask worker ADDRESS` starts one"
        ) from None


def _examine_all(client: Any, root: Path) -> None:
    from distributed import wait

    content = secrets.token_hex(16)
    with temporary(root / "visible") as (token, handle):
        handle.write(content.encode())
        handle.flush()
        os.fsync(handle.fileno())
        examination, expected = _examination(), identity()
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        futures = {
            worker: client.submit(
                examination, str(root), token.name, content, expected, workers=[worker], pure=False, retries=1
            )
            for worker in workers
        }
        deadline = time.monotonic() + _EXAMINE
        while any(future.status == "pending" for future in futures.values()) and time.monotonic() < deadline:
            with suppress(TimeoutError):
                wait(list(futures.values()), timeout=1)
            left = futures.keys() - client.scheduler_info(n_workers=-1)["workers"].keys()
            futures = {worker: future for worker, future in futures.items() if worker not in left}
        found = [
            f"worker {worker} {sentence}" for worker, future in futures.items() for sentence in (_examined(future))
        ]
    if found:
        raise UserError("; ".join(found))


def _examined(future: Any) -> list[str]:
    if future.status == "finished":
        sentences: list[str] = future.result()
        return sentences
    if future.status == "error":
        return [f"failed its examination: {future.exception()!r}"]
    return [f"has not answered in {_EXAMINE:.0f} s"]


def _examination() -> Callable[..., list[str]]:
    def examine(root: str, token: str, content: str, expected: dict[str, str]) -> list[str]:
        # A function within a function travels by value: a worker that cannot import this module can run it and say so.
        try:
            from pipeline.run import cluster
        except ImportError as missing:
            return [f"cannot import medimeta-c ({missing}); install the same version there"]
        return cluster.findings_here(root, token, content, expected)

    return examine


def _results(
    client: Any, target: str, tasks: Sequence[Task], options: dict[str, Any], root: Path, patience: float
) -> Iterator[tuple[Task, Any]]:
    from distributed import wait

    common = (options, identity())
    futures = {client.submit(call, target, str(root), task, *common, pure=False): task for task in tasks}
    pending, seen = set(futures), time.monotonic()
    try:
        while pending:
            try:
                finished, pending = wait(pending, timeout=1, return_when="FIRST_COMPLETED")
            except TimeoutError:
                finished = set()
            for future in finished:
                yield futures[future], _result(future, futures[future])
            seen = time.monotonic() if _has_workers(client) else seen
            if time.monotonic() - seen > patience:
                raise UserError(f"no worker is left after {patience:.0f} s; {len(pending)} tasks are not done")
    finally:
        client.cancel(list(pending))


def _has_workers(client: Any) -> bool:
    if client.status != "running":
        raise UserError("the dask scheduler has gone; start it again and repeat the command")
    return bool(client.ncores())


def _result(future: Any, task: Task) -> Any:
    from distributed import KilledWorker

    failure = future.exception() if future.status == "error" else None
    if isinstance(failure, KilledWorker):
        raise UserError(f"{', '.join(map(str, task))}: every worker that took it was killed; out of memory, perhaps")
    if future.status != "finished" and failure is None:
        raise UserError("the dask scheduler has gone; start it again and repeat the command")
    return future.result()
