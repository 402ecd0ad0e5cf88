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

from datasets import disable_progress_bars

from benchmark.models.components.packages import declare_box_operators
from pipeline.io.records import write_json
from tests.bench import kernels, pipeline
from tests.bench.timing import Row, limit_opencv, machine, measured, show, table


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="measure these alone, such as zoom_blur or verify")
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
        rows = kernels.rows(given.images) | pipeline.rows(Path(folder), given.images)
        wanted = given.rows or list(rows)
        if not set(wanted) <= set(rows):
            parser.error(f"the rows are: {', '.join(rows)}")
        for name in wanted:
            show(name)
            found[name] = measured(rows[name](), given.rounds)
        found = kernels.mean(found) | found
        sizes = pipeline.sizes(Path(folder), 2 * pipeline.PEER_IMAGES) if "export" in found else {}
    print("\n".join(table(found)))
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
            "rows": {name: {who: t._asdict() for who, t in row.items()} for name, row in found.items()},
            "exported bytes over datasets' own": sizes,
            "costs": costs,
        },
    )
    print(f"wrote {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
