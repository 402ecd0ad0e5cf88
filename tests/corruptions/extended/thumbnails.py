"""Draw the pictures of docs/corruptions.md: `python -m tests.corruptions.extended.thumbnails NAME... | --all`.

For each corruption of the extended set one strip at half size: tissue, a photograph of scikit-image's, at severities
1, 3 and 5, and the phantom's radiograph at severity 5. The strip `CLEAN` has both as they are.
"""

from __future__ import annotations

import argparse
import io
import pathlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corruptions import EXTENDED, corrupt
from pipeline.sources import phantom
from tests.corruptions.literature.photographs import photographs

FOLDER = pathlib.Path(__file__).parents[3] / "docs" / "thumbnails"
CLEAN = "clean"
SHOWN = (1, 3, 5)
"""Severities of the photograph from left to right; the radiograph has the last."""

_SIDE = 112  # of a tile, pixels: half the benchmark's, so that a box is two pixels
_GAP = 4  # white pixels between tiles
_QUALITY = 75  # of JPEG: about 10 kB a strip


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the two clean pictures, uint8 (1, 224, 224, C), colour and grey."""
    return photographs()["tissue"], phantom.load("pneumonia", "test", count=1).read(range(1))


def strip(name: str) -> Image.Image:
    """Draw a corruption, or the clean pictures if `name` is `CLEAN`."""
    photograph, radiograph = pictures()
    shown = [(photograph, severity) for severity in SHOWN] + [(radiograph, SHOWN[-1])]
    if name == CLEAN:
        tiles = [photograph, radiograph]
    else:
        tiles = [corrupt(clean, name, k, dataset="docs", split="test", seed=1) for clean, k in shown]
    sheet = Image.new("RGB", (len(tiles) * (_SIDE + _GAP) - _GAP, _SIDE), "white")
    for n, tile in enumerate(tiles):
        picture = Image.fromarray(tile[0].squeeze()).convert("RGB")
        sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX), (n * (_SIDE + _GAP), 0))
    return sheet


def encoded(name: str) -> bytes:
    """Return the strip of a corruption as a JPEG file."""
    handle = io.BytesIO()
    strip(name).save(handle, "jpeg", quality=_QUALITY, optimize=True)
    return handle.getvalue()


def main() -> int:
    """Write the files of the corruptions that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in (CLEAN, *EXTENDED) if args.all else args.names:
        (FOLDER / f"{name}.jpg").write_bytes(encoded(name))
        print(f"wrote {name}.jpg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
