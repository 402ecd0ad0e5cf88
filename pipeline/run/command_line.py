"""What the command line of every stage shares: its arguments, its exit code and its last words."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UserError, missing_package
from pipeline.run import interrupts
from pipeline.run.parent import end_with_dvc
from pipeline.text import printable


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return an argument parser with ``--root``, described by a module's docstring."""
    arguments = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--root", type=Path, default=Path(), help="folder of params.yaml (default: the current one)")
    return arguments


def add_workers(arguments: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    arguments.add_argument("--workers", type=positive, default=available_cores(), help="threads (default: all cores)")


def positive(text: str) -> int:
    """Parse a whole number from 1 for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use: those of its affinity, within the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # cgroup v2, v1
        try:
            quota, period = map(int, " ".join((cgroup / name).read_text(encoding="ascii") for name in names).split())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
        if quota > 0:
            cores = min(cores, -(-quota // period))
    return cores


def run(work: Callable[[], int | None]) -> int:
    """Do the work of a command and return its exit code: 0, 1 with a sentence on stderr, 130 or 143 if interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names may have letters that a terminal lacks
    try:
        with interrupts.raising():
            end_with_dvc()
            return work() or 0
    except KeyboardInterrupt as interrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below a progress bar
        return _say("interrupted; nothing half-written was kept", 128 + getattr(interrupt, "number", 2))
    except UserError as mistake:
        return _say(f"error: {mistake}")
    except OSError as failure:
        path = f"{failure.filename}: " if failure.filename else ""
        return _say(f"error: {path}{failure.strerror or failure}; nothing half-written was kept")
    except MemoryError:
        return _say("error: out of memory; use fewer --workers or a smaller --batch")
    except ModuleNotFoundError as missing:
        if missing.name is None or "." in missing.name:
            raise  # a slip of ours
        extra = "benchmark" if "benchmark" in sys.modules else "pipeline"  # which never imports benchmark
        return _say(f"error: {missing_package(missing.name, extra)}")
    except RuntimeError as failure:
        from corruptions.spec import BackendUnavailable

        if not isinstance(failure, BackendUnavailable):
            raise
        return _say(f"error: {failure}")


def warn(sentence: str) -> None:
    """Print a sentence on stderr, whatever letters the names in it have."""
    print(printable(sentence), file=sys.stderr)


def _say(sentence: str, code: int = 1) -> int:
    warn(sentence)
    return code
