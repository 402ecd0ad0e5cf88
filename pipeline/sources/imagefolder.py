"""Your own images: ``<root>/<dataset>/<split>/<class>/*.png``, also jpg, jpeg, tif and tiff, in any size from 2 x 2.

An image is turned as its EXIF says, cropped to the square in its middle and brought to 224 x 224 with integers alone
(see `fitted`), so that the same decoded pixels give the same bytes on every machine; an image of 224 x 224 stays as it
is. PNG and TIFF decode exactly; a JPEG is decoded by the libjpeg-turbo that the pinned Pillow brings. 16-bit images are
taken as 0..65535, transparency is left out. The data set is grey, one channel, if every image of every split is.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.cell import SIZE
from pipeline.paths import checked_name
from pipeline.sources import Clean, SourceError
from pipeline.sources.arrays import evenly

SPLITS = ("train", "val", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
PIXELS = 80_000_000
"""Largest image, pixels; Pillow warns of a decompression bomb a little above."""

_FORMATS = ("PNG", "JPEG", "TIFF")
_GREY = {"1": "L", "L": "L", "LA": "L", "La": "L"}
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")

_DECODER_FAILURES = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    UserWarning,  # of broken metadata, and the next one of size: raised where warnings are errors
    Image.DecompressionBombWarning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for damaged files, by the place where they notice."""


@dataclass(frozen=True)
class _Found:
    """Image files of a split, class by class and in natural order, and what else lies there."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    dropped: tuple[tuple[str, str], ...]


def load(dataset: str, split: str, *, root: Path, count: int | None = None, seed: int = 0) -> Clean:
    """Return a split, sorted by class and file name; `count` images of it evenly spaced. `seed` is unused.

    Raises:
        SourceError: a folder is missing or empty, the splits' classes differ, or a file cannot be read as an image.
    """
    try:
        folder = root / checked_name(dataset)
    except ValueError as wrong:
        raise SourceError(str(wrong)) from None
    if split not in SPLITS:
        raise SourceError(f"imagefolder has no split {split!r}; have {', '.join(SPLITS)}")
    if not (folder / split).is_dir():
        raise SourceError(f"no folder {folder / split}; put images into {folder}/<{'|'.join(SPLITS)}>/<class>/")
    classes = _classes(folder, split)
    found = {one: _find(folder / one, classes) for one in SPLITS if (folder / one).is_dir()}
    files, dropped = found[split].files, found[split].dropped
    if not files:
        raise SourceError(f"no image in {folder / split}; have {', '.join(SUFFIXES)}")
    channels = 3 if any(_coloured(path) for one in found.values() for path in one.files) else 1
    rows = evenly(len(files), count)
    return Clean(
        labels=np.array(found[split].labels, np.int64)[rows],
        class_names=classes,
        ids=[files[row].relative_to(folder / split).as_posix() for row in rows],
        channels=channels,
        read=lambda positions: _read([files[rows[position]] for position in positions], channels),
        dropped=dropped,
    )


def image_files(folder: Path) -> Iterator[Path]:
    """Yield every image file of a data set's folder, sorted: what a build depends on."""
    for split in SPLITS:
        if (folder / split).is_dir():
            yield from _find(folder / split, _classes(folder, split)).files


def decode(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of an image file, uint8 (H, W, 1) if it is kept as grey, else (H, W, 3).

    Raises:
        SourceError: it is no PNG, JPEG or TIFF of one page, is damaged, or has pixels of a kind without a fixed range.
    """
    with _opened(path) as image:
        image.load()
        return _pixels(ImageOps.exif_transpose(image), path)


def fitted(image: NDArray[np.uint8], size: int = SIZE) -> NDArray[np.uint8]:
    """Return the square in the middle of `image` (H, W, C) at `size` x `size`, uint8.

    To a smaller size each new pixel is the mean of the area that it covers, to a larger one it is interpolated linearly
    between the two nearest in each direction. Sums are of whole numbers, the one division rounds halves up.
    """
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    lengthwise, total = _summed(square, size)
    across, _ = _summed(lengthwise.transpose(1, 0, 2), size)
    return ((2 * across.transpose(1, 0, 2) + total**2) // (2 * total**2)).astype(np.uint8)


def _summed(lines: NDArray[Any], size: int) -> tuple[NDArray[np.int64], int]:
    """Return `size` weighted sums of `lines` along the first axis, and what the weights of each add up to."""
    count = len(lines)
    new = np.arange(size + 1)
    if count > size:  # new line n covers [n * count, (n + 1) * count) where an old one is `size` long
        first, part = np.divmod(new * count, size)
        sums = np.stack([lines[begin:end].sum(axis=0, dtype=np.int64) for begin, end in pairwise(first)]) * size
        begun = lines[np.minimum(first, count - 1)] * part[:, np.newaxis, np.newaxis]
        return sums - begun[:-1] + begun[1:], count
    place = (2 * new[:-1] + 1) * count - size  # of a new line's middle, where an old one is 2 * size long
    first, part = np.divmod(place[:, np.newaxis, np.newaxis], 2 * size)
    near, far = (np.clip(line.ravel(), 0, count - 1) for line in (first, first + 1))
    return lines[near].astype(np.int64) * (2 * size - part) + lines[far].astype(np.int64) * part, 2 * size


def _classes(folder: Path, split: str) -> tuple[str, ...]:
    """Return the names of the classes of `split`, sorted; every split that is there must have the same."""
    have = {one: _subfolders(folder / one) for one in SPLITS if (folder / one).is_dir()}
    classes = have[split]
    if not classes:
        raise SourceError(f"{folder / split} has no folders; each class of images needs its own")
    for one, names in have.items():
        if names != classes:
            differ = ", ".join(sorted(set(names) ^ set(classes)))
            raise SourceError(f"{folder}: the classes of {one} and {split} differ ({differ}); every split needs all")
    return classes


def _subfolders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")))


def _find(folder: Path, classes: Sequence[str]) -> _Found:
    files: list[Path] = []
    labels: list[int] = []
    dropped = [(one.name, "in no class's folder") for one in sorted(folder.iterdir()) if not one.is_dir()]
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir(), key=_natural):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                dropped.append((f"{name}/{path.name}", "a folder in a class's folder"))
            elif path.suffix.lower() not in SUFFIXES:
                dropped.append((f"{name}/{path.name}", f"its name does not end in {', '.join(SUFFIXES)}"))
            else:
                files.append(path)
                labels.append(label)
    return _Found(tuple(files), tuple(labels), tuple(one for one in dropped if not one[0].startswith(".")))


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Order 2.png before 10.png; equal ones by their plain names."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts], path.name


def _coloured(path: Path) -> bool:
    """Say whether any pixel of a file has a colour; a file that says it is grey is not decoded."""
    with _opened(path) as image:
        if image.mode in _GREY or image.mode in _WIDE:
            return False
    pixels = decode(path)
    return bool((pixels != pixels[..., :1]).any())


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image whose size and number of pages are allowed; what its decoder finds wrong is a SourceError."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if min(width, height) < 2 or width * height > PIXELS:
                raise SourceError(f"{path} is {width} x {height}; images have 2 x 2 to {PIXELS:,} pixels")
            pages = getattr(image, "n_frames", 1)
            if pages != 1:
                raise SourceError(f"{path} has {pages} pages; save each as a file of its own")
            yield image
    except FileNotFoundError:
        raise SourceError(f"no {path}: it was there when the folder was listed") from None
    except _DECODER_FAILURES as broken:
        if isinstance(broken, SourceError):
            raise
        what = " ".join(str(broken).split())[:120] or type(broken).__name__
        raise SourceError(f"{path} cannot be read as an image ({what})") from None


def _pixels(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode in _GREY:
        return np.asarray(image.convert("L"))[..., np.newaxis]
    if image.mode in _WIDE:
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise SourceError(f"{path} has grey levels from {wide.min()} to {wide.max()}; 16-bit images have 0..65535")
        return ((wide + 128) // 257).astype(np.uint8)[..., np.newaxis]  # 65535 / 255 = 257
    if image.mode in _COLOUR:
        seen = image.convert("RGBA") if "transparency" in image.info else image
        return np.asarray(seen.convert("RGB"))
    raise SourceError(f"{path} has pixels of mode {image.mode}; save it as 8- or 16-bit grey, or as RGB")


def _read(paths: Sequence[Path], channels: int) -> NDArray[np.uint8]:
    out = np.empty((len(paths), SIZE, SIZE, channels), np.uint8)
    for at, path in enumerate(paths):
        pixels = fitted(decode(path))
        if pixels.shape[2] > channels and (pixels != pixels[..., :1]).any():
            raise SourceError(f"{path} has changed: it was grey when the folder was listed")
        out[at] = pixels[..., :channels] if pixels.shape[2] >= channels else np.repeat(pixels, channels, axis=2)
    return out
