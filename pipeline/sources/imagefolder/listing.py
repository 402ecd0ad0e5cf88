"""Which files of an image folder are images of which class, and which are left out."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
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
        class_names: sorted, in Unicode's normal form C.
        files: of the images.
        labels: of the images, positions in `class_names`.
        empty: the files named `EMPTY` of classes without images.
        dropped: id and reason of what else lies there.
    """

    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    empty: tuple[Path, ...]
    dropped: tuple[tuple[str, str], ...]


def list_splits(folder: Path) -> dict[str, Listing]:
    """Return what each split of a data set's folder holds.

    Raises:
        UserError: a class is missing in a split or has no image there, or a name or link cannot be used.
    """
    listings = {split: _listing(folder / split) for split in SPLITS if os.path.lexists(folder / split)}
    for split, listing in listings.items():
        for other, reference in listings.items():
            missing = [name for name in reference.class_names if name not in listing.class_names]
            if missing:
                raise UserError(
                    f"{folder / split} has no folder for {', '.join(missing)}, which {other} has; every split needs"
                    f" all classes: where one is meant to have no image, make its folder with a file named {EMPTY}"
                )
    return listings


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
    files: list[Path] = []
    labels: list[int] = []
    empty: list[Path] = []
    for label, name in enumerate(sorted(classes)):
        images, others = _images(classes[name], folder)
        dropped += others
        if images:
            files += images
            labels += [label] * len(images)
        elif (classes[name] / EMPTY).is_file():
            empty.append(classes[name] / EMPTY)
        else:
            why = f" ({len(others)} files are left out: {others[0][1]})" if others else ""
            raise UserError(
                f"{classes[name]} has no image{why}; where the split is meant to have none of this class, put a file"
                f" named {EMPTY} there"
            )
    if not files:
        raise UserError(f"no image in {folder}; have {', '.join(SUFFIXES)}")
    return Listing(tuple(sorted(classes)), tuple(files), tuple(labels), tuple(empty), tuple(sorted(dropped)))


def _class_name(path: Path) -> str:
    """Return the name of the class whose folder is `path`."""
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{image_id(path, path.parents[1])}: a class's name must be UTF-8; rename the folder") from None
    if not path.is_dir():
        raise UserError(f"{path} is a link to {path.readlink()}, which is not there")
    return unicodedata.normalize("NFC", path.name)


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
