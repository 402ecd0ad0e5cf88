"""Which files of an image folder are images of which class, and which are left out."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.io.regular import is_leftover, walk

SPLITS = ("train", "val", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

EMPTY = ".gitkeep"
"""A file of this name says that a class is meant to have no image in a split."""


@dataclass(frozen=True)
class Listing:
    """The image files of one split, class by class and in natural order.

    Attributes:
        folder: of the split.
        classes: name, sorted and in Unicode's normal form C, to folder.
        files: of the images.
        labels: of the images, positions in `classes`.
        dropped: id and reason of what else lies there.
    """

    folder: Path
    classes: dict[str, Path]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    dropped: tuple[tuple[str, str], ...]

    @property
    def empty(self) -> list[Path]:
        """The files named `EMPTY` that stand for classes without images."""
        return [path / EMPTY for path in self.classes.values() if (path / EMPTY).is_file()]

    def without(self, reasons: Mapping[Path, str]) -> Listing:
        """Return the listing with some files dropped.

        Raises:
            UserError: a class has no image left, and no file named `EMPTY`.
        """
        pairs = [(file, label) for file, label in zip(self.files, self.labels, strict=True) if file not in reasons]
        dropped = [(image_id(file, self.folder), reasons[file]) for file in self.files if file in reasons]
        dropped = sorted([*self.dropped, *dropped])
        for label, path in enumerate(self.classes.values()):
            if label not in {label for _, label in pairs} and path / EMPTY not in self.empty:
                left_out = [pair for pair in dropped if pair[0].startswith(f"{image_id(path, self.folder)}/")]
                why = f": {len(left_out)} files are left out, such as {': '.join(left_out[0])}" if left_out else ""
                raise UserError(
                    f"{path} has no image{why}; where the split is meant to have none of this class, put a file named"
                    f" {EMPTY} there"
                )
        if not pairs:
            raise UserError(f"no image in {self.folder}; have {', '.join(SUFFIXES)}")
        files, labels = zip(*pairs, strict=True)
        return Listing(self.folder, self.classes, files, labels, tuple(dropped))


def list_splits(folder: Path) -> dict[str, Listing]:
    """Return what each split of a data set's folder holds, by the names of the files.

    Raises:
        UserError: a class is missing in a split or has no image there, or a name or link cannot be used.
    """
    listings = {split: _listing(folder / split) for split in SPLITS if os.path.lexists(folder / split)}
    if listings:
        split, listing = next(reversed(listings.items()))
        listings[split] = replace(listing, dropped=(*listing.dropped, *_beside(folder)))
    for split, listing in listings.items():
        for other, reference in listings.items():
            missing = [name for name in reference.classes if name not in listing.classes]
            if missing:
                raise UserError(
                    f"{folder / split} has no folder for {', '.join(missing)}, which {other} has; every split needs"
                    f" all classes: where one is meant to have no image, make its folder with a file named {EMPTY}"
                )
    return listings


def _beside(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield id and reason of every file of a data set's folder that is in none of its splits."""
    for path in sorted(folder.iterdir()):
        if path.name not in SPLITS and not is_leftover(path.name):
            for file in walk(path) if path.is_dir() else [path]:
                yield f"../{image_id(file, folder)}", f"in none of the folders {', '.join(SPLITS)}"


def image_id(path: Path, folder: Path) -> str:
    r"""Return the path of a file below `folder` as text; a byte that is no UTF-8 is written as ``\x..``."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _listing(folder: Path) -> Listing:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder, or a link to one that is not there")
    classes: dict[str, Path] = {}
    dropped: list[tuple[str, str]] = []
    for path in folder.iterdir():
        if is_leftover(path.name):
            continue
        if not path.is_dir() and path.exists():
            dropped.append((image_id(path, folder), "in no class's folder"))
        elif (name := _class_name(path)) in classes:
            raise UserError(f"{folder} has two folders that are both named {name!r} once Unicode is normalised")
        else:
            classes[name] = path
    if not classes:
        raise UserError(f"{folder} has no folders; each class of images needs its own")
    classes = dict(sorted(classes.items()))
    files: list[Path] = []
    labels: list[int] = []
    for label, path in enumerate(classes.values()):
        images, others = _images(path, folder)
        files += images
        labels += [label] * len(images)
        dropped += others
    return Listing(folder, classes, tuple(files), tuple(labels), tuple(dropped)).without({})


def _class_name(path: Path) -> str:
    """Return the name of the class whose folder is `path`."""
    try:
        name = os.fsencode(path.name).decode("utf-8")  # whatever encoding the locale has
    except UnicodeDecodeError:
        raise UserError(f"{image_id(path, path.parents[1])}: a class's name must be UTF-8; rename the folder") from None
    if not path.is_dir():
        raise UserError(f"{path} is a link to {path.readlink()}, which is not there")
    return unicodedata.normalize("NFC", name)


def _images(folder: Path, split: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the image files below a class's folder, and id and reason of the other files."""
    images: list[Path] = []
    others: list[tuple[str, str]] = []
    for path in walk(folder):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            images.append(path)
        else:
            reason = f"its name ends in {suffix or 'nothing'}, not in {', '.join(SUFFIXES)}"
            others.append((image_id(path, split), reason))
    return sorted(images, key=lambda path: _natural(image_id(path, folder))), others


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Order 2.png before 10.png; equal ones by their plain names."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts], name
