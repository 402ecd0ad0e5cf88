"""A process that has imported everything and forks one that runs a stage, so that killing it fifty times is quick.

Reads lines of JSON on stdin: ``{"module": "corrupt", "argv": [...], "after": seconds or null}``. Runs the stage in a
fork, kills it with -9 after so many seconds, and answers with a line: its exit status (-9 if killed) and duration.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time

import numpy as np

import corruptions
from pipeline import corrupt, export, fetch, prepare, verify

STAGES = {"corrupt": corrupt, "export": export, "fetch": fetch, "prepare": prepare, "verify": verify}

HEAVY = ("datasets", "deflate", "h5py", "isal.isal_zlib", "mlcroissant", "pyarrow.parquet", "requests")
"""What stages import when they work: without it a fork would be killed while it imports, and not while it writes."""


def main() -> None:
    """Serve until stdin ends."""
    for name in HEAVY:
        importlib.import_module(name)
    for _ in corruptions.sweep(np.zeros((1, 8, 8, 3), np.uint8), "gaussian_noise", dataset="x", split="val", seed=0):
        pass  # its kernels are compiled, so that the forks are killed while they write and not before
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.perf_counter()
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            os._exit(STAGES[asked["module"]].main(asked["argv"]))
        timer = threading.Timer(asked["after"] or 3600, os.kill, (child, signal.SIGKILL))
        timer.start()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        timer.join()
        answer = {"status": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - started}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
