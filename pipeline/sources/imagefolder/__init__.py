"""Your own images: ``<root>/<dataset>/<split>/<class>/*.png``, also jpg, jpeg, tif and tiff, in any size from 2 x 2.

An image is turned as its EXIF says, cropped to the square in its middle and brought to 224 x 224 with integers alone
(see `fitted`), so that the same decoded pixels give the same bytes on every machine; an image of 224 x 224 stays as it
is. PNG and TIFF decode exactly; a JPEG is decoded by the libjpeg-turbo that the pinned Pillow brings. Levels mean what
the file says (see `decode`), transparency is left out. The data set is grey, one channel, if every image of every split
is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from pipeline.io.regular import check_regular, walk
from pipeline.run.command_line import available_cores, warn
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.sources import Clean, SourceFile
from pipeline.sources.arrays import evenly
from pipeline.sources.imagefolder.listing import SPLITS, image_id, list_splits
from pipeline.sources.imagefolder.pixels import ImageError, decode, is_coloured
from pipeline.sources.imagefolder.resize import fitted
from pipeline.workspace.cell import SIZE
from pipeline.workspace.datasets import looks_personal
from pipeline.workspace.paths import checked_name

__all__ = ["DATASETS", "SPLITS", "fetch", "load"]

DATASETS = None
"""Any folder may be a data set."""


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split, sorted by class and file name; `count` images of it, evenly by class. `seed` is unused.

    Raises:
        UserError: a folder is missing or empty, the splits' classes differ, or a file cannot be read as an image.
    """
    folder = root / checked_name(dataset)
    if not (folder / split).is_dir():
        raise UserError(f"no folder {folder / split}; put images into {folder}/<{'|'.join(SPLITS)}>/<class>/")
    listings = list_splits(folder)
    files_of_all = [path for listing in listings.values() for path in listing.files]
    coloured, unreadable = _inspected(tuple((path, _time_of_change(path)) for path in files_of_all))
    listing = listings[split].without(unreadable)
    labels = np.array(listing.labels, np.int64)
    channels = 3 if coloured else 1
    positions = evenly(labels, count)
    files = [listing.files[position] for position in positions]
    return Clean(
        labels=labels[positions],
        class_names=tuple(listing.classes),
        image_ids=[image_id(path, folder / split) for path in files],
        channels=channels,
        read=lambda positions: _read([files[position] for position in positions], channels),
        dropped=listing.dropped,
    )


def fetch(folder: Path, datasets: Sequence[str], base_url: str) -> dict[str, SourceFile]:
    """Bring nothing; see `Source.fetch`."""
    files: dict[str, SourceFile] = {}
    for dataset in datasets:
        if not (folder / dataset).is_dir():
            raise UserError(
                f"no folder {folder / dataset}; put images into it as <split>/<class>/*.png, or `dvc pull` it"
            )
        listings = list_splits(folder / dataset).values()
        images = {path for listing in listings for path in listing.files}
        empty = [path for listing in listings for path in listing.empty]
        others = [path for path in walk(folder / dataset) if path not in images and path.is_file()]  # in dropped.csv
        for path in progress([*sorted(images), *empty, *others], desc=f"check {dataset}", unit="file"):
            check_regular(path)
            files[image_id(path, folder)] = SourceFile(size=path.stat().st_size, sha256=file_checksum(path))
    personal = [name for name in files if any(map(looks_personal, name.split("/")))]
    if personal:
        warn(
            f"warning: {len(personal)} names of files or folders, such as {personal[0]!a}, may say who is shown or"
            " when: manifests/source.json has them, so think before you commit and push it"
        )
    return files


def _time_of_change(path: Path) -> int:
    check_regular(path)
    return path.stat().st_mtime_ns


@functools.lru_cache(maxsize=1)
def _inspected(files: tuple[tuple[Path, int], ...]) -> tuple[bool, dict[Path, str]]:
    """Decode all files, given with their times of change, once for all splits.

    Returns:
        Whether any is coloured, and why some cannot be read.
    """
    unreadable: dict[Path, str] = {}

    def inspect(path: Path) -> bool:
        try:
            return is_coloured(path)
        except ImageError as wrong:
            unreadable[path] = str(wrong).removeprefix(f"{path} ")
            return False

    paths = progress([path for path, _ in files], desc="inspect", unit="img")
    coloured = list(ordered(inspect, paths, workers=available_cores()))
    return any(coloured), unreadable


def _read(paths: Sequence[Path], channels: int) -> NDArray[np.uint8]:
    images = np.empty((len(paths), SIZE, SIZE, channels), np.uint8)
    for index, path in enumerate(paths):
        pixels = fitted(decode(path))
        if channels == 1:
            if (pixels != pixels[..., :1]).any():
                raise UserError(f"{path} has changed: it was grey when the folder was listed")
            pixels = pixels[..., :1]
        images[index] = pixels  # grey ones fill all channels
    return images
