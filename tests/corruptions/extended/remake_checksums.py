"""Write the checksums of extended corruptions: `python -m tests.corruptions.extended.remake_checksums NAME... | --all`.

By hand and never by a test. For each corruption one file: check vectors, made by the plain reference, on the images of
`check_vectors.json`; and golden checksums, made by the kernels, on those of `goldens.json`. A checksum that changed is
a new version of the bytes: raise `BYTES_VERSION` and add a line to CHANGELOG.md in the same commit.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from corruptions import EXTENDED, PROFILES, SEVERITIES, strength, sweep
from corruptions.table import BYTES_VERSION, COLUMNS, EXTENDED_KERNELS, EXTENDED_STRENGTHS, KERNELS
from tests.corruptions import plain
from tests.corruptions.extended import plain as extended_plain
from tests.corruptions.pictures import digest, disc, waves

FOLDER = pathlib.Path(__file__).with_name("checksums")


def columns(name: str) -> list[tuple[str, str]]:
    """Return each profile and data set whose strengths of a corruption differ from those of the earlier ones."""
    kinds = EXTENDED_STRENGTHS["modality"][name]
    first = {kind: dataset for dataset, kind in reversed(COLUMNS.items())}
    by_kind = [] if kinds == "imagenet-c" else [(PROFILES[1], dataset) for dataset in first.values()]
    return [(PROFILES[0], "pbc"), *by_kind]


def by_definition(
    images: Any, name: str, severity: int, profile: str, dataset: str, seed: int, split: str, indices: list[int]
) -> Any:
    """Return the images as docs/corruptions.md defines the corruption, by the plain references."""
    cell = strength(name, severity, profile=profile, column=dataset)
    key = plain.key(seed, dataset, split, name)
    if cell.kernel in KERNELS:
        return plain.corrupt(images, cell.kernel, cell.parameters, key, indices)
    row: Any = EXTENDED_KERNELS[cell.kernel]
    module, draws, count = row["module"], row["draws"], row.get("words", 0)
    return extended_plain.corrupt(images, module, cell.kernel, cell.parameters, draws, count, key, indices)


def check_vectors(name: str) -> Iterator[tuple[str, str]]:
    """Yield the title and the digests, severities 1 to 5, of each check vector of a corruption."""
    for profile, dataset in columns(name):
        for channels in (1, 3):
            images = waves(2, 37, 53, channels)
            made = [by_definition(images, name, k, profile, dataset, 1, "test", [5, 12345]) for k in SEVERITIES]
            yield f"{profile} {dataset} C={channels}", " ".join(map(digest, made))


def goldens(name: str) -> Iterator[tuple[str, str]]:
    """Yield the title and the digests, severities 1 to 5, of each golden of a corruption."""
    for profile, dataset in columns(name):
        for channels in (1, 3):
            for title, images, indices in (
                ("waves", waves(2, 19, 26, channels), [3, 70000]),
                ("disc", disc(40, 31, channels), [0]),
                ("large", disc(224, 224, channels), [7]),
            ):
                made = sweep(images, name, dataset=dataset, split="val", indices=indices, seed=2025, profile=profile)
                yield f"{profile} {dataset} C={channels} {title}", " ".join(digest(result) for _, result in made)


def main() -> int:
    """Write the files of the corruptions that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    for name in EXTENDED if args.all else args.names:
        checksums = {
            "bytes_version": BYTES_VERSION,
            "check vectors": dict(check_vectors(name)),
            "goldens": dict(goldens(name)),
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(checksums, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {name}.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
