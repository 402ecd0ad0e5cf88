"""Measure kernels, writing, verifying, exporting and reading beside the peers: `python -m tests.bench`, `make bench`.

Prints one table and the cost of the whole of MediMeta-C at its rates, and writes JSON with machine, versions, spread.
A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from datasets import disable_progress_bars

from benchmark.models.components.packages import declare_box_operators
from pipeline.io.records import write_json
from tests.bench import extended, kernels, pipeline
from tests.bench.timing import Row, limit_opencv, machine, measured, show, table


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="measure these alone, such as zoom_blur, verify, or extended for its set",
    )
    parser.add_argument("--images", type=int, default=256, help="clean images (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default %(default)s)")
    parser.add_argument("--gpu-rate", type=float, help="images/s of a GPU's kernels, for the costs: make bench-gpu")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/bench.json"))
    given = parser.parse_args(argv)
    warnings.filterwarnings("ignore", module="imagecorruptions|medmnistc|skimage|pkg_resources|torch")
    declare_box_operators()  # medmnistc imports torchvision
    disable_progress_bars()
    limit_opencv()
    found: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        beyond = extended.rows(given.images)
        rows = kernels.rows(given.images) | pipeline.rows(Path(folder), given.images) | beyond
        asked = given.rows or list(rows)
        wanted = [row for name in asked for row in (beyond if name == "extended" else [name])]
        if not set(wanted) <= set(rows):
            parser.error(f"the rows are: {', '.join(rows)}")
        for name in wanted:
            show(name)
            found[name] = measured(rows[name](), given.rounds)
        found = kernels.mean(found) | found
        sizes = pipeline.sizes(Path(folder), 2 * pipeline.PEER_IMAGES) if "export" in found else {}
    of_extended = {name: row for name, row in found.items() if name in beyond}
    found = {name: row for name, row in found.items() if name not in beyond}
    for rows_of_table in filter(None, (found, of_extended)):
        print("\n".join(table(rows_of_table)))
    costs = pipeline.cost(found, given.gpu_rate) if given.rows is None else {}
    if sizes:
        print("exported bytes over datasets' own: " + ", ".join(f"{name} {r:.2f}" for name, r in sizes.items()))
    if costs:
        print("the whole of MediMeta-C: " + ", ".join(f"{name} {value:.3g}" for name, value in costs.items()))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        given.output,
        {
            "machine": machine(),
            "unit": "224 x 224 x 3 images per CPU second, one thread: median, slowest and fastest of the rounds",
            "images": given.images,
            "rounds": given.rounds,
            "rows": _records(found),
            "extended": _records(of_extended),
            "exported bytes over datasets' own": sizes,
            "costs": costs,
        },
    )
    print(f"wrote {given.output}")
    return 0


def _records(rows: dict[str, Row]) -> dict[str, Any]:
    return {name: {who: timing._asdict() for who, timing in row.items()} for name, row in rows.items()}


if __name__ == "__main__":
    sys.exit(main())
