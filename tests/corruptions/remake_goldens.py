"""Write goldens.json anew: `python -m tests.corruptions.remake_goldens --overwrite`, by hand and never by a test.

A golden that changed is a new version of the bytes: raise `BYTES_VERSION` and add a line to CHANGELOG.md in the same
commit.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from corruptions import CORRUPTIONS, PROFILES, sweep
from corruptions.table import BYTES_VERSION, COLUMNS
from tests.corruptions.pictures import digest, disc, waves

PATH = pathlib.Path(__file__).with_name("goldens.json")
IMAGES = {
    "waves": "waves(2, 19, 26, C), indices 3 and 70000",
    "disc": "disc(40, 31, C), index 0",
}


def rows(**options: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the digests, severities 1 to 5, of every corruption, profile, data set, image and C."""
    for profile in PROFILES:
        for dataset in COLUMNS:
            for channels in (1, 3):
                pictures = {"waves": (waves(2, 19, 26, channels), [3, 70000]), "disc": (disc(40, 31, channels), [0])}
                for picture, (images, indices) in pictures.items():
                    for name in CORRUPTIONS:
                        made = sweep(
                            images,
                            name,
                            dataset=dataset,
                            split="val",
                            indices=indices,
                            seed=2025,
                            profile=profile,
                            **options,
                        )
                        yield (
                            f"{profile} {dataset} C={channels} {picture} {name}",
                            " ".join(digest(result) for _severity, result in made),
                        )


def main() -> int:
    """Write the file if asked to overwrite it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overwrite", action="store_true", required=True, help="yes, replace the goldens")
    parser.parse_args()
    goldens = {
        "bytes_version": BYTES_VERSION,
        "images": IMAGES,
        "call": "split val, seed 2025; first 16 hex digits of the SHA-256 of the result, severities 1..5",
        "digests": dict(rows()),
    }
    PATH.write_text(json.dumps(goldens, indent=1) + "\n")
    print(f"wrote {len(goldens['digests'])} rows to {PATH.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
