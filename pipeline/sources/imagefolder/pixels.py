"""Decode PNG, JPEG and TIFF files to 8-bit pixels that mean what the file says, or refuse them by name.

Pillow decodes them. What it leaves to its caller is done here: the range of 12- and 16-bit grey, and 16-bit grey whose
0 is white. What it would read as something else is refused: signed and 32-bit numbers, floating point, colour spaces
without a fixed way to RGB, transparency that is multiplied into the colours, and levels that by the file's own word use
a part of the range. Tags are those of TIFF 6.0.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from pipeline.errors import UserError
from pipeline.io.regular import open_regular

PIXELS = 80_000_000
"""Largest image, pixels; Pillow warns of a decompression bomb a little above."""

_FORMATS = ("PNG", "JPEG", "TIFF")
_GREY = ("1", "L", "LA", "La")
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N")
_COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANES = 258, 259, 262, 266, 277, 284
_COLOUR_MAP, _INK_SET, _EXTRA, _SAMPLE_FORMAT = 320, 332, 338, 339
_MINIMA, _MAXIMA = (280, 340), (281, 341)  # {S}MinSampleValue, {S}MaxSampleValue
_NUMBERS = {1: "unsigned", 2: "signed", 3: "floating-point"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {_BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_JPEG = 7
_PREMULTIPLIED = 1
_ADVICE = "save it as 8- or 16-bit grey, or as 8-bit RGB"

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


class ImageError(UserError):
    """A file is damaged, or no image of a kind that is read."""


def decode(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of an image file, turned as it says: uint8 (H, W, 1) if its kind is grey, else (H, W, 3).

    Raises:
        ImageError: it is no PNG, JPEG or TIFF of one page, is damaged, or has pixels of a kind that is not read.
        UserError: it is not there, no regular file, or the disk cannot be read.
    """
    with _opened(path) as image:
        white, is_inverted, is_premultiplied = 65535, False, False
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            white, is_inverted, is_premultiplied = _check_tiff(image, path)
        if image.mode not in _GREY + _WIDE + _COLOUR:
            raise ImageError(f"{path} has pixels of mode {image.mode}; {_ADVICE}")
        image.load()
        if is_premultiplied and image.getextrema()[-1] != (255, 255):
            raise ImageError(f"{path} has its transparency multiplied into its colours; {_ADVICE}")
        image = ImageOps.exif_transpose(image)
        if image.mode in _WIDE:
            levels = np.asarray(image).astype(np.int64)
            levels = white - levels if is_inverted else levels
            return ((2 * 255 * levels + white) // (2 * white)).astype(np.uint8)[..., np.newaxis]
        if image.mode in _GREY:
            image = image.convert("LA") if image.mode == "La" else image
            return np.asarray(image.convert("L"))[..., np.newaxis]
        if "transparency" in image.info:  # which convert("RGB") would try to keep
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))


def is_coloured(path: Path) -> bool:
    """Decode a file and say whether any of its pixels has a colour."""
    pixels = decode(path)
    return bool((pixels != pixels[..., :1]).any())


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image whose size and number of pages are allowed; what its decoder finds wrong is an ImageError."""
    try:
        with open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if min(width, height) < 2 or width * height > PIXELS:
                raise ImageError(f"{path} is {width} x {height}; images have 2 x 2 to {PIXELS:,} pixels")
            pages = getattr(image, "n_frames", 1)
            if pages != 1:
                raise ImageError(f"{path} has {pages} pages; save each as a file of its own")
            if image.format == "PNG":
                _check_png(file)
            yield image
    except FileNotFoundError:
        raise UserError(f"no {path}: it was there when the folder was listed") from None
    except _DECODER_FAILURES as failure:
        if isinstance(failure, UserError):
            raise
        if isinstance(failure, MemoryError) or (isinstance(failure, OSError) and failure.errno):
            raise UserError(f"{path} cannot be read ({failure or 'out of memory'})") from None
        what = re.sub(r" <.*>", "", " ".join(str(failure).split()))[:120] or type(failure).__name__
        raise ImageError(f"{path} cannot be read as an image ({what})") from None


def _check_png(file: BinaryIO) -> None:
    """Compare the checksums of all parts of a PNG, which Pillow does not do while it decodes pixels."""
    place = file.tell()
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as again:
        again.verify()
    file.seek(place)


def _check_tiff(image: TiffImagePlugin.TiffImageFile, path: Path) -> tuple[int, bool, bool]:
    """Refuse what Pillow would not read as the tags say.

    Returns:
        The largest level of grey pixels of more than 8 bits, whether it is black there, and whether the colours are
        premultiplied.
    """
    tags = image.tag_v2
    for number in set(tags.get(_SAMPLE_FORMAT, (1,))) - {1}:
        raise ImageError(f"{path} has {_NUMBERS.get(number, 'undefined')} pixel values; {_ADVICE}")
    bits = max(tags.get(_BITS, (1,)))
    if bits > 16:
        raise ImageError(f"{path} has {bits}-bit pixels; {_ADVICE}")
    photometric = tags.get(_PHOTOMETRIC)
    if photometric is None:
        raise ImageError(f"{path} does not say what its pixel values mean (tag PhotometricInterpretation); {_ADVICE}")
    if photometric == _YCBCR and tags.get(_COMPRESSION) != _JPEG:
        raise ImageError(f"{path} has YCbCr colours without JPEG compression; {_ADVICE}")
    is_plain = bits == 8 and tags.get(_FILL_ORDER, 1) == 1 and tags.get(_SAMPLES, 1) == _CHANNELS.get(photometric)
    if tags.get(_PLANES) == 2 and not is_plain:
        raise ImageError(f"{path} keeps its channels apart, and not as plain 8-bit ones; {_ADVICE}")
    if photometric == _CMYK and tags.get(_INK_SET, 1) != 1:
        raise ImageError(f"{path} has other inks than CMYK; {_ADVICE}")
    if photometric == _PALETTE and max(tags.get(_COLOUR_MAP, (256,))) < 256:
        raise ImageError(f"{path} has a palette of numbers below 256 where 65535 is full; {_ADVICE}")
    white = 2**bits - 1
    if bits > 8:  # of images of 8 bits the tags are statistics
        limits = [limit for tag in _MINIMA + _MAXIMA for limit in _numbers(tags.get(tag))]
        for limit in limits:
            if limit not in (0, white):
                raise ImageError(
                    f"{path} says that its levels go to {limit} of {white} (tags MinSampleValue, MaxSampleValue);"
                    " stretch them to the whole range"
                )
    return white, photometric == _WHITE_IS_ZERO, _PREMULTIPLIED in tags.get(_EXTRA, ())


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)
