"""Draw the pictures: for each data set one image under every corruption and severity, and one overview of the seven.

Rows are corruptions, columns the clean image and severities 1 to 5; data/gallery/<dataset>.png, docs/gallery.png.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from corruptions.spec import CORRUPTIONS, SEVERITIES
from pipeline.config.params import Config, read_config
from pipeline.io import npz
from pipeline.io.atomic import atomic_write
from pipeline.run import command_line
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.cell import SIZE, Cell
from pipeline.workspace.paths import Workspace

_GAP = 4
_HEAD = 24  # height of the column titles, pixels
_SIDE = 118  # width of the row titles, pixels; more where a title needs it
_INK, _PAPER = (40, 44, 52), (255, 255, 255)
_OVERVIEW_SEVERITY = 4
_OVERVIEW_SIDE = 128  # the sheets of single data sets are not scaled: half size would hide pixelate


def gallery(workspace: Workspace, config: Config) -> None:
    """Write data/gallery/<dataset>.png for each data set, and docs/gallery.png."""
    datasets = config.datasets
    for dataset in progress(datasets, unit="picture", desc="gallery"):
        rows = [
            [
                _picture(workspace, Cell(dataset, "test")),
                *(_picture(workspace, Cell(dataset, "test", corruption, severity)) for severity in SEVERITIES),
            ]
            for corruption in config.corruptions(dataset)
        ]
        columns = ["clean", *(f"severity {k}" for k in SEVERITIES)]
        sheet = _sheet(rows, [c.replace("_", " ") for c in config.corruptions(dataset)], columns, side=SIZE)
        _save(sheet, workspace, f"data/gallery/{dataset}.png")
    rows = [
        [
            _picture(workspace, Cell(dataset, "test")),
            *(_picture(workspace, Cell(dataset, "test", corruption, _OVERVIEW_SEVERITY)) for corruption in CORRUPTIONS),
        ]
        for dataset in datasets
    ]
    columns = ["clean", *(c.replace("_", " ") for c in CORRUPTIONS)]
    _save(_sheet(rows, list(datasets), columns, side=_OVERVIEW_SIDE), workspace, "docs/gallery.png")


def _picture(workspace: Workspace, cell: Cell) -> Image.Image:
    """Return the test split's first image of the last class (a finding, where the classes are normal and not)."""
    images, labels = npz.read(workspace.npz(cell))
    last = len(manifest.read_clean(workspace, cell.dataset).class_names) - 1
    index = int(np.argmax(labels == last))
    return Image.fromarray(np.asarray(images[index]).squeeze())


def _sheet(rows: list[list[Image.Image]], row_titles: list[str], column_titles: list[str], *, side: int) -> Image.Image:
    step = side + _GAP
    font = ImageFont.load_default(14)
    left = max(_SIDE, *(ceil(font.getlength(title)) + 12 for title in row_titles))
    sheet = Image.new("RGB", (left + step * len(column_titles), _HEAD + step * len(rows)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(column_titles):
        draw.text((left + step * column + side / 2, _HEAD / 2), title, _INK, font, anchor="mm")
    for row, (pictures, title) in enumerate(zip(rows, row_titles, strict=True)):
        top = _HEAD + step * row
        draw.text((left - 8, top + side / 2), title, _INK, font, anchor="rm")
        for column, picture in enumerate(pictures):
            scaled = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
            sheet.paste(scaled, (left + step * column, top))
    return sheet


def _save(sheet: Image.Image, workspace: Workspace, name: str) -> None:
    with atomic_write(workspace.root / name) as handle:
        sheet.save(handle, "png")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    args = parser.parse_args(argv)
    return command_line.run(lambda: gallery(Workspace(args.root), read_config(Workspace(args.root))))


if __name__ == "__main__":
    sys.exit(main())
