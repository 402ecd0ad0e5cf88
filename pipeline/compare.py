"""Set two trees of the same clean images side by side: how far apart each cell is, and whose strengths come closest.

FIRST and SECOND are folders of npz trees in the released layout, such as data/MediMeta-C and an adopted workspace's.
Writes <out>/index.html, with pictures, and cells.csv, strengths.csv and comparison.json, the same as tables. Whoever
has published files sees in it which strengths of the table they were made with.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from corruptions.spec import EVERY
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.records import Record, write_csv, write_record
from pipeline.published import differences, npz_tree
from pipeline.published.differences import CellDifference, NearestStrength, Pair
from pipeline.run import command_line
from pipeline.run.progress import progress
from pipeline.workspace.cell import Cell

PICTURED = 3
"""Severity of the pictures."""

_SIDE = 128  # of a picture, pixels
_GAIN = 4  # of the pictured difference


class Comparison(Record):
    """What comparison.json holds: how two trees differ, and which files only one of them has."""

    first: str
    second: str
    cells: tuple[CellDifference, ...]
    strengths: tuple[NearestStrength, ...]
    left_out: tuple[str, ...]


def compare(first: Path, second: Path, out: Path, datasets: Sequence[str] = ()) -> Comparison:
    """Compare two trees and write the report; return what it says.

    Raises:
        UserError: a file is missing or damaged, the clean images, labels or their order differ, or nothing is in both.
    """
    homes, others = npz_tree.find(first), npz_tree.find(second)
    common = [name for name in homes if name in others and (not datasets or name in datasets)]
    pairs = [
        differences.pair(name, split, homes[name], others[name])
        for name in common
        for split in npz_tree.splits(homes[name])
        if split in npz_tree.splits(others[name])
    ]
    if not any(both.corruptions for both in pairs) or set(datasets) - set(common):
        raise UserError(
            f"nothing to compare: {first} has {', '.join(homes)}, and {second} has {', '.join(others)}; a data set must"
            " have a split and a corruption in both"
        )
    cells, strengths, pictures = [], [], []
    with progress(total=sum(len(both.corruptions) for both in pairs), unit="corruption", desc="compare") as bar:
        for both in pairs:
            for corruption in both.corruptions:
                cells += [differences.difference(both, cell) for cell in both.cells() if cell.corruption == corruption]
                if corruption in EVERY:
                    strengths += differences.nearest(both, corruption)
                pictures.append((both, corruption, _pictures(both, corruption)))
                bar.update()
    comparison = Comparison(
        first=str(first),
        second=str(second),
        cells=tuple(cells),
        strengths=tuple(strengths),
        left_out=tuple(_left_out(homes, others, pairs)),
    )
    _write_table(out / "cells.csv", CellDifference, comparison.cells)
    _write_table(out / "strengths.csv", NearestStrength, comparison.strengths)
    environment = Environment(
        loader=FileSystemLoader(Path(npz_tree.__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("comparison.html.j2").render(
        comparison=comparison, pictures=pictures, severity=PICTURED, gain=_GAIN, sample=differences.SAMPLE
    )
    with atomic_write(out / "index.html") as handle:
        handle.write(page.encode())
    write_record(out / "comparison.json", comparison)
    return comparison


def _left_out(homes: dict[str, Path], others: dict[str, Path], pairs: Sequence[Pair]) -> list[str]:
    """Return what only one of the trees has, by name."""
    alone = [f"{name} is in one tree only" for name in sorted(homes.keys() ^ others.keys())]
    for both in pairs:
        ours, theirs = (set(npz_tree.corruptions(folder)) for folder in both.folders)
        alone += [f"{both.dataset}, {both.split}: {name} is in one tree only" for name in sorted(ours ^ theirs)]
    return alone


def _pictures(both: Pair, corruption: str) -> list[str]:
    """Return the first image clean, of both trees, and their difference, as addresses that hold the data."""
    cells = both.load(Cell(both.dataset, both.split, corruption, PICTURED))
    clean, first, second = (images.read([0])[0] for images in (both.clean, *cells))
    levels = np.abs(first.astype(np.int16) - second)
    return [_address(image) for image in (clean, first, second, np.minimum(255, _GAIN * levels).astype(np.uint8))]


def _address(image: NDArray[np.uint8]) -> str:
    data = io.BytesIO()
    picture = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    picture.resize((_SIDE, _SIDE), Image.Resampling.BOX).save(data, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _write_table(path: Path, kind: type[Record], records: Sequence[Record]) -> None:
    rows = (record.model_dump().values() for record in records)
    write_csv(path, kind.model_fields, (("; ".join(x) if isinstance(x, tuple) else x for x in row) for row in rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of one tree")
    parser.add_argument("second", type=Path, help="folder of the other, whose strengths are looked for")
    parser.add_argument("--dataset", action="append", default=[], help="may be repeated (default: all in both)")
    parser.add_argument("--out", type=Path, default=Path("reports/comparison"), help="default: reports/comparison")
    args = parser.parse_args(argv)

    def work() -> None:
        comparison = compare(args.first, args.second, args.out, args.dataset)
        for sentence in comparison.left_out:
            print(f"warning: {sentence}", file=sys.stderr)
        equal = sum(cell.mean_absolute == 0 for cell in comparison.cells)
        print(f"{len(comparison.cells)} cells compared, {equal} equal; wrote {args.out / 'index.html'}")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
