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

from corruptions import CORRUPTIONS, SEVERITIES, Strength, cpu, draws, literature, strength
from corruptions.table import COLUMNS, DRAWS
from tests.corruptions.literature.photographs import photographs

ANGLES = np.array([0, 45, 127, 128, 200, 255], np.uint8)
PACKAGES = ("numpy", "scipy", "scikit-image", "Pillow", "Wand")


def cells() -> Iterator[tuple[str, str, list[Strength]]]:
    """Yield the five strengths of every row of the table, with where they come from; equal rows once."""
    seen = set()
    for name in CORRUPTIONS:
        for profile, datasets in (("imagenet-c", ["pbc"]), ("modality", list(COLUMNS))):
            for dataset in datasets:
                row = [strength(name, severity, profile=profile, column=dataset) for severity in SEVERITIES]
                key = str([(one.kernel, one.parameters) for one in row])
                if key not in seen:
                    seen.add(key)
                    yield name, profile if profile == "imagenet-c" else COLUMNS[dataset], row


def compared(chosen: Strength, pictures: dict[str, NDArray[np.uint8]], *, build: bool) -> tuple[int, float, float]:
    """Return the largest difference in levels, and the share that differs on photographs and on noise, percent."""
    largest, shares = 0, {}
    for what, picture in pictures.items():
        drawn: tuple[NDArray[np.uint16 | np.uint8], ...] = ()
        images = picture
        published = getattr(literature, chosen.kernel)
        if DRAWS.get(chosen.kernel) == "angles":
            images, drawn = picture.repeat(len(ANGLES), axis=0), (ANGLES,)
            published = literature.motion_blur if build else literature.motion_blur_in_float
        elif DRAWS.get(chosen.kernel) == "uniforms":
            drawn = (draws.uniforms((1, 2), [0], images.size).reshape(images.shape),)
        exact = getattr(cpu, chosen.kernel)(images, *drawn, **chosen.parameters)
        apart = np.abs(exact.astype(np.int16) - published(images, *drawn, **chosen.parameters))
        largest, shares[what] = max(largest, int(apart.max())), 100 * float((apart > 0).mean())
    on_noise = shares.pop("noise")
    return largest, max(shares.values()), on_noise


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
    yield "level given. The noises are compared from the same draws."
    yield ""
    yield f"{platform.machine()}, Python {platform.python_version()}, {versions}; {magick}."
    yield ""
    yield "| corruption | strengths | kernel | level | 1 | 2 | 3 | 4 | 5 |"
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|"
    for name, where, row in cells():
        for build in (False, True) if name == "motion_blur" else (False,):
            found = [compared(chosen, pictures, build=build) for chosen in row]
            kernel = f"{row[0].kernel}{', this ImageMagick' if build else ''}"
            shares = " | ".join(f"{photo:.3f} / {noise:.3f}" for _, photo, noise in found)
            yield f"| {name} | {where} | {kernel} | {max(level for level, _, _ in found)} | {shares} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the page (default: standard output)")
    given = parser.parse_args(argv)
    page = "\n".join(report()) + "\n"
    if given.output:
        given.output.write_text(page)
    else:
        print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
