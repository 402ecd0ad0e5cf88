"""End a stage when the DVC that started it has gone: it would write on beside the next `dvc repro`."""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path

_STARTED_BY_DVC = "DVC_STAGE"  # in the environment of what DVC starts, and not in DVC's own


def end_with_dvc() -> None:
    """Let this process get SIGTERM when DVC has gone, however that came about.

    Does nothing if DVC did not start it, or where the system has no file descriptors of processes (Linux 5.3 has).
    """
    if _STARTED_BY_DVC not in os.environ or not hasattr(os, "pidfd_open"):
        return
    try:
        dvc = _first_ancestor_without(_STARTED_BY_DVC)
        has_gone = dvc == 1 and os.getpgid(dvc) != os.getpgrp()  # init has adopted what DVC left
        descriptor = os.pidfd_open(dvc)
    except ProcessLookupError:
        has_gone = True
    except OSError:
        return  # another user's process, or an older system
    if has_gone:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        threading.Thread(target=_end_after, args=(descriptor,), daemon=True).start()


def _first_ancestor_without(variable: str) -> int:
    """Return DVC's process id: between it and this process there may be a shell."""
    process = os.getppid()
    while process > 1:
        folder = Path("/proc", str(process))
        variables = (folder / "environ").read_bytes().split(b"\0")
        if not any(entry.startswith(f"{variable}=".encode()) for entry in variables):
            break
        process = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])  # its parent: proc(5)
    return process


def _end_after(descriptor: int) -> None:
    select.select([descriptor], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
