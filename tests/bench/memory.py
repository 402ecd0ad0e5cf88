"""Memory of the stages against the number of images: `python -m tests.bench.memory`.

For each number a workspace of grey noise is made, a stage runs on it as a process of its own, and the most memory that
it ever held (peak resident set, mapped pages included) is printed. The line has to be flat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.workspace.cell import PREPARED, RELEASED, Cell
from pipeline.workspace.paths import Workspace
from tests.bench.timing import machine
from tests.faults import workspace

EXPORT = """
import sys
from pathlib import Path
from pipeline.io import npz, parquet
source = npz.Npz(Path(sys.argv[1]))
ids = [str(i) for i in range(len(source.labels))]
schema = parquet.features(["one", "other"]).arrow_schema
parquet.write(Path(sys.argv[2]), parquet.Images("data/pbc/test/contrast", source, "contrast", 3, ids), schema)
"""


def peak(command: Sequence[str]) -> float:
    """Run a command and return its peak resident set in MB; verify ends with 1, since six corruptions are missing."""
    with subprocess.Popen(
        command, cwd=workspace.REPOSITORY, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode not in (0, 1) or (run.returncode == 1 and "pipeline.verify" not in command):
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}")
    return usage.ru_maxrss / 1024


def stages(root: Path, workers: int) -> dict[str, list[str]]:
    """Return the command line of each stage; verify reads what corrupt made, and export one cell of it."""
    python = [sys.executable, "-m"]
    common = ["--root", str(root), "--workers", str(workers)]
    cell = Workspace(root).npz(Cell(workspace.DATASET, "test", "contrast", 3))
    return {
        "corrupt": [*python, "pipeline.corrupt", "--dataset", workspace.DATASET, "--corruption", "contrast", *common],
        "verify": [*python, "pipeline.verify", *common],
        "export of a cell": [sys.executable, "-c", EXPORT, str(cell), str(root / "export")],
    }


def measured(counts: Sequence[int], *, workers: int, channels: int, folder: Path | None) -> dict[str, dict[int, float]]:
    """Return the peak of each stage, MB, at each number of images."""
    peaks: dict[str, dict[int, float]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(dir=folder) as made:
            peaks.setdefault("prepare", {})[count] = peak(_prepare(Path(made), count, workers, channels))
        with tempfile.TemporaryDirectory(dir=folder) as made:
            root = workspace.make(Path(made), val=1, test=count, channels=channels)
            for name, command in stages(root, workers).items():
                peaks.setdefault(name, {})[count] = peak(command)
    return peaks


def _prepare(root: Path, count: int, workers: int, channels: int) -> list[str]:
    """Return the command that draws a split of so many phantom images; the other splits have one image each."""
    counts = dict.fromkeys((*RELEASED, *PREPARED), 1) | {"test": count}
    dataset = "oct" if channels == 1 else workspace.DATASET
    workspace.write_params(root, channels="native", counts=counts, datasets=[dataset])
    python = [sys.executable, "-m", "pipeline.prepare", "--root", str(root), "--workers", str(workers)]
    return [*python, "--dataset", dataset]


def main(argv: list[str] | None = None) -> int:
    """Measure, print a line for each stage and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[64, 640, 5000, 20_000], metavar="N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1, help="1: 0.3 MB of disk an image")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/memory.json"))
    given = parser.parse_args(argv)
    peaks = measured(given.images, workers=given.workers, channels=given.channels, folder=given.folder)
    print(f"{'peak MB at images':20}" + "".join(f"{count:>8}" for count in given.images))
    for name, line in peaks.items():
        print(f"{name:20}" + "".join(f"{line[count]:8.0f}" for count in given.images))
    report = {"machine": machine(), "workers": given.workers, "channels": given.channels, "peak MB": peaks}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {given.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
