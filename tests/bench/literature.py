"""Measure how far the exact kernels are from the literature's float formulas, and write the table of the docs.

python -m tests.bench.literature --output docs/measurements/literature.md
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, EXTENDED, SEVERITIES, Strength, literature, strength
from corruptions.cpu.draws import draw
from corruptions.spec import find_kernel
from corruptions.table import COLUMNS
from tests.corruptions.extended.test_literature import WITH_OTHER_EDGES, WITH_THRESHOLDS
from tests.corruptions.literature.photographs import photographs

ANGLES = np.array([0, 45, 127, 128, 200, 255], np.uint8)
PACKAGES = ("numpy", "scipy", "scikit-image", "Pillow", "opencv-python-headless", "Wand")


def cells(names: Sequence[str]) -> Iterator[tuple[str, str, list[Strength]]]:
    """Yield the five strengths of every row of the corruptions, with where they come from; equal rows once."""
    seen = set()
    for name in names:
        for profile, datasets in (("imagenet-c", ["pbc"]), ("modality", list(COLUMNS))):
            for dataset in datasets:
                row = [strength(name, severity, profile=profile, column=dataset) for severity in SEVERITIES]
                key = str([cell[:2] for cell in row])
                if key not in seen:
                    seen.add(key)
                    yield name, profile if profile == "imagenet-c" else COLUMNS[dataset], row


def compare(strength: Strength, pictures: dict[str, NDArray[np.uint8]], *, build: bool) -> tuple[int, float, float]:
    """Return the largest difference in levels, and the percentage that differs on photographs and on noise."""
    largest, percentages = 0, {}
    for name, picture in pictures.items():
        images, drawn = picture, draw(strength, (1, 2), [0], picture.shape)
        published = find_kernel("literature", strength.kernel)
        if strength.draws == ("angles",):
            images, drawn = picture.repeat(len(ANGLES), axis=0), (ANGLES,)
            if strength.kernel == "motion_blur" and not build:
                published = literature.motion_blur_in_float
        exact = find_kernel("cpu", strength.kernel)(images, *drawn, **strength.parameters)
        difference = np.abs(exact.astype(np.int16) - published(images, *drawn, **strength.parameters))
        largest, percentages[name] = max(largest, int(difference.max())), 100 * float((difference > 0).mean())
    on_noise = percentages.pop("noise")
    return largest, max(percentages.values()), on_noise


def report() -> Iterator[str]:
    """Yield the page, line by line."""
    magick = __import__("wand.version", fromlist=["MAGICK_VERSION"]).MAGICK_VERSION
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    pictures = photographs()
    yield "# The exact kernels beside the literature's formulas"
    yield ""
    yield "Made by `python -m tests.bench.literature`; do not edit. Share of the elements that differ from the float"
    yield "formula rounded to the nearest level, in percent: the most of any photograph (retina, its edge, stained"
    yield "tissue, microaneurysms, a street scene; 224 x 224) / on uniform noise. No element differs by more than the"
    yield "level args. The noises are compared from the same draws."
    yield ""
    yield f"{platform.machine()}, Python {platform.python_version()}, {versions}; {magick}."
    yield ""
    yield from lines(CORRUPTIONS, pictures)
    yield ""
    yield "## The extended set"
    yield ""
    other_edges, with_thresholds = (", ".join(sorted(kernels)) for kernels in (WITH_OTHER_EDGES, WITH_THRESHOLDS))
    yield f"Without {other_edges}, whose shapes Pillow draws with other edges. In {with_thresholds} a random"
    yield "number decides between two results: where it is beside the threshold, a rounding does, and the difference"
    yield "may be any."
    yield ""
    yield from lines([name for name in EXTENDED if strength(name, 1).kernel not in WITH_OTHER_EDGES], pictures)


def lines(names: Sequence[str], pictures: dict[str, NDArray[np.uint8]]) -> Iterator[str]:
    """Yield the table of the corruptions, line by line."""
    yield "| corruption | strengths | kernel | level | 1 | 2 | 3 | 4 | 5 |"
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|"
    for name, where, row in cells(names):
        for build in (False, True) if name == "motion_blur" else (False,):
            compared = [compare(strength, pictures, build=build) for strength in row]
            kernel = f"{row[0].kernel}{', this ImageMagick' if build else ''}"
            percentages = " | ".join(f"{photo:.3f} / {noise:.3f}" for _, photo, noise in compared)
            yield f"| {name} | {where} | {kernel} | {max(level for level, _, _ in compared)} | {percentages} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the page (default: standard output)")
    args = parser.parse_args(argv)
    page = "\n".join(report()) + "\n"
    if args.output:
        args.output.write_text(page)
    else:
        print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
