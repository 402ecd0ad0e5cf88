"""How every CPU bench measures: works in turns, medians of CPU time, one table, the machine.

A row of the table is one kind of work, and its contenders are whoever does it: "ours", "copy" (copying the same pixels
in memory) and peers. They take turns in one process and one thread, so that a busy machine disturbs all alike. A number
is the median of the rounds, in images per CPU second; waiting for a disk does not count, system time does.
"""

from __future__ import annotations

import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
import skimage.data
from numpy.typing import NDArray

from pipeline.workspace.cell import SIZE

Work = Callable[[], int]
"""Does its work once and returns the number of images that it took or made."""

DISTRIBUTIONS = (
    "medimeta-c",
    "numpy",
    "numba",
    "isal",
    "deflate",
    "pyarrow",
    "datasets",
    "torch",
    "transformers",
    "open_clip_torch",
    "imagecorruptions",
    "medmnistc",
    "corrupt-tta",
    "albumentationsx",
    "Pillow",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "Wand",
)
BYTES = SIZE * SIZE * 3  # of one image
_SHORTEST = 0.1  # CPU seconds of a turn: what is shorter is done again until they are over


class Timing(NamedTuple):
    """Images per CPU second: the median of the rounds, and the slowest and fastest of them."""

    median: float
    slowest: float
    fastest: float


Row = dict[str, Timing]
Contenders = Callable[[], dict[str, Work]]
"""Prepares a row, and returns its works."""


def photographs(count: int) -> NDArray[np.uint8]:
    """Return `count` parts of a retina and a stained tissue; uint8 (N, 224, 224, 3)."""
    eye, tissue = skimage.data.retina(), skimage.data.immunohistochemistry()
    parts = []
    for i in range(count):
        picture = (eye, tissue)[i % 2]
        top, left = (37 * i) % (picture.shape[0] - SIZE), (101 * i) % (picture.shape[1] - SIZE)
        parts.append(picture[top : top + SIZE, left : left + SIZE])
    return np.ascontiguousarray(np.stack(parts))


def copying(images: NDArray[np.uint8]) -> Work:
    """Return the work of copying the images in memory."""
    out = np.empty_like(images)
    return lambda: len(np.copyto(out, images) or images)


def measured(works: dict[str, Work], rounds: int, clock: Callable[[], float] = time.process_time) -> Row:
    """Run each work in turns for so many rounds, after one that does not count.

    Args:
        works: by the name of who does it.
        rounds: that count.
        clock: seconds of; the CPU's own time by default.
    """
    rates: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start, count, spent = clock(), 0, 0.0
            while spent < _SHORTEST:
                count += work()
                spent = clock() - start
            if turn:
                rates[name].append(count / spent)
    return {name: Timing(statistics.median(r), min(r), max(r)) for name, r in rates.items()}


def table(rows: dict[str, Row]) -> Iterator[str]:
    """Yield the lines of the printed table: our rate in three units, then how many times each peer's rate it is."""
    yield f"{'work':24}{'images/s':>10}{'MB/s':>8}{'x copy':>9}  times a peer (per CPU second, one thread)"
    for name, row in rows.items():
        own = row["ours"].median
        peers = ", ".join(f"{own / t.median:.3g} x {peer}" for peer, t in row.items() if peer not in ("ours", "copy"))
        yield f"{name:24}{own:10.0f}{own * BYTES / 1e6:8.0f}{own / row['copy'].median:9.3f}  {peers}".rstrip()


def limit_opencv() -> None:
    """Keep the peers' OpenCV to one thread."""
    try:
        import cv2
    except ImportError:  # then no peer uses it
        return
    cv2.setNumThreads(1)


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on: processor, system, versions."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # said in the report
            versions[name] = "not installed"
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "versions": versions,
    }


def show(name: str) -> None:
    """Say on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"\r{name:60}", end="\r", file=sys.stderr, flush=True)
