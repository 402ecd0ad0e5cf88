"""Run a stage's tasks on a dask cluster whose machines share a disk.

Before any work every worker must import this project in the same versions, compute the same bytes, and see the same
workspace. A task whose worker is killed runs again elsewhere; since a file under its final name is whole, and a task's
files depend on nothing but its inputs, that changes nothing. Needs the extra ``dask``.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import itertools
import os
import pkgutil
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, missing_package

CONNECT = 10.0
"""Seconds that a scheduler has to answer."""

EXAMINE = 180.0
"""Seconds that the workers have for their examination: kernels may have to be compiled."""

PATIENCE = 60.0
"""Seconds without any worker before giving up."""

Task = tuple[str | float, ...]
Identity = Mapping[str, str]

_GONE = "the dask scheduler has gone; start it again and repeat the command"


def everywhere(
    target: str,
    tasks: Sequence[Task],
    options: Mapping[str, object],
    *,
    root: Path,
    scheduler: str,
    corruptions: Sequence[str] = (),
) -> Iterator[tuple[Task, Any]]:
    """Yield (task, result) as results come, each from ``target(root, *task, options)`` on some worker.

    Args:
        target: a function that workers import, as ``module:name``.
        tasks: the arguments of each call.
        options: the last argument of every call.
        root: the workspace, on a disk that all workers see under the same absolute path.
        scheduler: its address.
        corruptions: those that tasks make; workers compare the bytes of these with ours, and of the seven.

    Raises:
        UserError: dask is not installed, no scheduler or worker answers, a worker fails its examination, or a task
            killed every worker it was given; also what a task itself raises.
    """
    client = _connect(scheduler)
    from distributed.comm import CommClosedError

    try:
        expected = identity(*corruptions)
        _examine_all(client, root, expected)
        work = functools.partial(call, target, str(root), options=options, expected=expected)
        yield from _results(client, {client.submit(work, task, pure=False): task for task in tasks})
    except CommClosedError:
        raise UserError(_GONE) from None
    finally:
        client.close(timeout=CONNECT)  # the scheduler forgets what is not done


def call(target: str, root: str, task: Task, *, options: Mapping[str, object], expected: Identity) -> Any:
    """Import ``module:name`` and call it; what a worker runs, be it one that came after the examination."""
    if differences := _differences(expected):
        raise UserError(f"a worker {'; '.join(differences)}")
    return pkgutil.resolve_name(target)(root, *task, options)


def findings_here(token: str, content: str, expected: Identity) -> list[str]:
    """Return what is wrong with this process as a worker.

    Args:
        token: path of a file that the caller has just written in the workspace.
        content: of that file.
        expected: the caller's `identity`.
    """
    try:
        is_visible = Path(token).read_text(encoding="utf-8") == content
    except OSError:
        is_visible = False
    unseen = f"does not see {Path(token).parent} (the workspace must lie on a disk that all machines share)"
    return [unseen] * (not is_visible) + _differences(expected)


@functools.cache
def identity(*beside: str) -> Identity:
    """Return what must be equal on all machines: versions, and the checksum of a small image's corruptions.

    These are the seven and those named in `beside`.
    """
    import corruptions

    return {
        "medimeta-c": corruptions.__version__,
        "format version": str(corruptions.BYTES_VERSION),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in ("numpy", "numba")},
        "corruptions beside the seven": " ".join(beside),
        "kernel checksum": _kernel_checksum([*corruptions.CORRUPTIONS, *beside]),
    }


def _differences(expected: Identity) -> list[str]:
    here = identity(*expected["corruptions beside the seven"].split())
    return [f"has {k} {v}, here it is {expected[k]}" for k, v in here.items() if v != expected[k]]


def _kernel_checksum(names: Sequence[str]) -> str:
    """Return the checksum of a small image under the named corruptions, in the kernels of both profiles."""
    import numpy as np

    import corruptions
    from corruptions.table import COLUMNS

    column = next(iter(COLUMNS))
    levels = np.arange(2 * 20 * 24 * 3, dtype=np.uint32) * 2654435761 >> 24  # multiplicative hash: Knuth, vol. 3, 6.4
    images = levels.astype(np.uint8).reshape(2, 20, 24, 3)
    digest = hashlib.sha256()
    for name, profile in itertools.product(dict.fromkeys(names), corruptions.PROFILES):
        results = corruptions.sweep(images, name, dataset="x", split="test", seed=0, profile=profile, column=column)
        for _, corrupted in results:
            digest.update(corrupted.tobytes())
    return digest.hexdigest()[:16]


def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError(missing_package("dask", "dask")) from None
    try:
        return Client(scheduler, timeout=CONNECT)
    except (OSError, ValueError) as failure:
        reason = " ".join(str(failure).split())
    # A half-made client stops its thread when it is collected; amid the start of the next one that would never end.
    gc.collect()
    raise UserError(f"no dask scheduler answers at {scheduler} ({reason}); `dask scheduler` starts one")


def _examine_all(client: Any, root: Path, expected: Identity) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        how = "`dask worker ADDRESS` starts one"
        raise UserError(f"the scheduler has no worker after {PATIENCE:.0f} s; {how}") from None
    content = secrets.token_hex(16)
    with tempfile.NamedTemporaryFile(dir=root, prefix=".tmp-visible-") as token:
        token.write(content.encode())
        token.flush()
        os.fsync(token.fileno())
        question = (_examination(), token.name, content, dict(expected))
        try:
            answers = client.run(*question, on_error="return", callback_timeout=EXAMINE)
        except TimeoutError:
            raise UserError(f"a worker has not answered in {EXAMINE:.0f} s; restart the workers") from None
    findings = [f"worker {worker} {finding}" for worker, answer in answers.items() for finding in _findings(answer)]
    if findings:
        raise UserError("; ".join(findings))


def _examination() -> Callable[..., list[str]]:
    def examine(token: str, content: str, expected: Identity) -> list[str]:
        # A function within a function travels by value: a worker that cannot import this module can run it and say so.
        try:
            from pipeline.run import cluster
        except ImportError as missing:
            return [f"cannot import medimeta-c ({missing}); install the same version there"]
        return cluster.findings_here(token, content, expected)

    return examine


def _findings(answer: list[str] | BaseException) -> list[str]:
    if isinstance(answer, OSError):
        return []  # the connection broke, so the worker has gone; `call` compares one that comes in its place
    return [f"failed its examination: {answer!r}"] if isinstance(answer, BaseException) else answer


def _results(client: Any, pending: dict[Any, Task]) -> Iterator[tuple[Task, Any]]:
    from distributed import KilledWorker, wait

    seen = time.monotonic()
    while pending:
        try:
            done = wait(list(pending), timeout=1, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = set()
        if client.status != "running" or any(future.cancelled() for future in done):
            raise UserError(_GONE)
        for future in done:
            task = pending.pop(future)
            try:
                yield task, future.result()
            except KilledWorker:
                what = ", ".join(map(str, task))
                raise UserError(f"{what}: every worker that took it was killed; out of memory, perhaps") from None
        if client.ncores():
            seen = time.monotonic()
        elif time.monotonic() - seen > PATIENCE:
            raise UserError(f"no worker is left after {PATIENCE:.0f} s; {len(pending)} tasks are not done")
