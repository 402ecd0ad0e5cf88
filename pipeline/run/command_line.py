"""What the command line of every stage shares: its arguments, its progress bar, its last words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import joblib
from tqdm import tqdm

import corruptions
from pipeline.errors import UserError
from pipeline.run import interrupts


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return an argument parser with ``--root``, described by a module's docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--root", type=Path, default=Path(), help="folder of params.yaml (default: the current one)")
    return made


def add_workers(to: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    to.add_argument("--workers", type=positive, default=joblib.cpu_count(), help="threads (default: all cores)")


def positive(text: str) -> int:
    """Parse a whole number from 1 for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def run(work: Callable[[], int | None]) -> int:
    """Do the work of a command and return its exit code: 0, 1 with a sentence on stderr, or 130 for Ctrl-C."""
    try:
        return work() or 0
    except (UserError, corruptions.BackendUnavailable) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 1
    except OSError as failure:
        what = f"{failure.filename}: " if failure.filename else ""
        print(f"error: {what}{failure.strerror or failure}; nothing half-written was kept", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: out of memory; use fewer --workers or a smaller --batch", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupts.SENTENCE, file=sys.stderr)
        return 130


def progress(items: Iterable[Any] | None = None, **options: Any) -> tqdm[Any]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    return tqdm(items, disable=None, dynamic_ncols=True, smoothing=0.1, **options)
