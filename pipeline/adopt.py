"""Adopt the MedMNIST-C release: cells and manifests as the benchmark reads them, from the files that others published.

    <root>/data/raw/medmnist/bloodmnist_224.npz        MedMNIST+ at 224 pixels, whose test split is the clean one
    <root>/data/raw/medmnist-c/bloodmnist/bubble.npz   MedMNIST-C, as it is unpacked; each set has its own corruptions

become <root>/data/MediMeta-C/bloodmnist/test/ and <root>/manifests/bloodmnist/. A folder of its own as <root> keeps
adopted data sets apart from those that this project builds; params.yaml names it under ``benchmark.workspaces``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corruptions import SEVERITIES
from pipeline import UserError, manifest, npz, stage
from pipeline.layout import SIZE, Layout
from pipeline.sources import Clean, medmnist

SOURCE = "medmnist-c"
"""What the manifests call it, and its folder under data/raw."""

SPLIT = "test"
"""The only split that MedMNIST-C has."""

_BATCH = 64


def adopt(layout: Layout, dataset: str) -> None:
    """Write the cells of `dataset` and their manifests, the clean one last.

    Raises:
        UserError: a file is not there, damaged, or does not fit the clean images; or the data set is built here.
    """
    if layout.manifest(dataset, manifest.CLEAN).exists():
        there = manifest.read(layout, dataset, manifest.CLEAN)["source"]
        if there != SOURCE:
            raise UserError(
                f"{layout.root} has {dataset} from {there} already; adopt into a folder of its own (--root)"
            )
    clean = medmnist.load(dataset, SPLIT, root=layout.raw("medmnist"))
    raw, names = layout.raw(SOURCE), medmnist.CORRUPTED[dataset]
    facts = {"dataset": dataset, "source": SOURCE, "seed": None}
    with stage.progress(total=len(clean.labels) * (1 + len(names) * len(SEVERITIES)), unit="img", desc=dataset) as bar:
        clean_entry = _write(layout.clean(dataset, SPLIT), clean, bar)
        for name in names:
            released = medmnist.corrupted_file(raw, dataset, name)
            cells = {}
            for severity, cell in zip(SEVERITIES, medmnist.load_corrupted(dataset, name, root=raw), strict=True):
                if cell.labels.tolist() != clean.labels.tolist():
                    raise UserError(f"{released} has other labels at severity {severity} than the clean test split")
                cells[str(severity)] = _write(layout.cell(dataset, SPLIT, name, severity), cell, bar)
            made_from = {"release": released.name, "release_sha256": manifest.file_checksum(released)}
            manifest.write(layout, dataset, name, {**facts, "corruption": name, **made_from, "cells": {SPLIT: cells}})
    of_images = {"native_channels": clean.channels, "channels": clean.channels, "class_names": list(clean.class_names)}
    splits = {SPLIT: clean_entry}
    manifest.write(
        layout, dataset, manifest.CLEAN, {**facts, **of_images, "corruptions": list(names), "splits": splits}
    )


def _write(path: Path, images: Clean, bar: Any) -> dict[str, object]:
    """Write one cell, deflated as the release is; return its entry in the manifest."""
    count, shape = len(images.labels), (SIZE, SIZE, images.channels)
    with npz.write(path, images.labels, shape, compression="deflated") as writer:
        for start in range(0, count, _BATCH):
            writer.append(images.read(range(start, min(start + _BATCH, count))))
            bar.update(min(_BATCH, count - start))
    return manifest.entry(images.labels, images.class_names, writer.sha256)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = stage.parser(__doc__)
    names = tuple(medmnist.CORRUPTED)
    parser.add_argument("--dataset", action="append", choices=names, help="may be repeated (default: all five)")
    given = parser.parse_args(argv)

    def work() -> None:
        for dataset in given.dataset or names:
            adopt(Layout(given.root), dataset)
            print(f"{dataset}: clean and {len(medmnist.CORRUPTED[dataset])} corruptions at 5 severities")

    return stage.run(work)


if __name__ == "__main__":
    sys.exit(main())
