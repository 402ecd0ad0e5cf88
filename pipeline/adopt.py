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

import numpy as np

from corruptions.spec import SEVERITIES
from pipeline import manifest
from pipeline.cell import CLEAN, SIZE, Cell
from pipeline.config import read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.checksums import file_checksum
from pipeline.manifest import ArraysEntry, CleanManifest, CorruptionManifest
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.progress import progress
from pipeline.sources import Clean, medmnist

SOURCE = "medmnist-c"
"""What the manifests call it, and its folder under data/raw."""

SPLIT = "test"
"""The only split that MedMNIST-C has."""

_BATCH = 64


def adopt(workspace: Workspace, dataset: str, *, channels: str = "rgb") -> None:
    """Write the cells of `dataset` and their manifests, the clean one last.

    Grey images get three equal channels, as published readers expect them, unless `channels` is ``native``.

    Raises:
        UserError: a file is not there, damaged, or does not fit the clean images; or the data set is built here.
    """
    if workspace.manifest(dataset, CLEAN).exists():
        source = manifest.read_clean(workspace, dataset).source
        if source != SOURCE:
            raise UserError(
                f"{workspace.root} has {dataset} from {source} already; adopt into a folder of its own (--root)"
            )
    clean = medmnist.load(dataset, SPLIT, root=workspace.raw("medmnist"))
    raw, names = workspace.raw(SOURCE), medmnist.CORRUPTED[dataset]
    with progress(total=len(clean.labels) * (1 + len(names) * len(SEVERITIES)), unit="img", desc=dataset) as bar:
        clean_entry = _write(workspace.npz(Cell(dataset, SPLIT)), clean, channels, bar)
        for name in names:
            released = medmnist.corrupted_file(raw, dataset, name)
            cells = {}
            for severity, cell in zip(SEVERITIES, medmnist.load_corrupted(dataset, name, root=raw), strict=True):
                if cell.labels.tolist() != clean.labels.tolist():
                    raise UserError(f"{released} has other labels at severity {severity} than the clean test split")
                cells[severity] = _write(workspace.npz(Cell(dataset, SPLIT, name, severity)), cell, channels, bar)
            adopted = CorruptionManifest(
                dataset=dataset,
                source=SOURCE,
                seed=None,
                corruption=name,
                release=released.name,
                release_sha256=file_checksum(released),
                cells={SPLIT: cells},
            )
            manifest.write(workspace, adopted)
    manifest.write(
        workspace,
        CleanManifest(
            dataset=dataset,
            source=SOURCE,
            seed=None,
            native_channels=clean.channels,
            channels=3 if channels == "rgb" else clean.channels,
            class_names=clean.class_names,
            corruptions=names,
            splits={SPLIT: clean_entry},
        ),
    )


def _write(path: Path, images: Clean, channels: str, bar: Any) -> ArraysEntry:
    """Write one cell, deflated as the release is; return its entry in the manifest."""
    count, shape = len(images.labels), (SIZE, SIZE, 3 if channels == "rgb" else images.channels)
    with npz.write(path, images.labels, shape, compression="deflated") as writer:
        for start in range(0, count, _BATCH):
            pixels = images.read(range(start, min(start + _BATCH, count)))
            writer.append(np.repeat(pixels, shape[-1], axis=-1) if pixels.shape[-1] < shape[-1] else pixels)
            bar.update(min(_BATCH, count - start))
    return manifest.clean_entry(images.labels, images.class_names, writer.checksums)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = command_line.parser(__doc__)
    names = tuple(medmnist.CORRUPTED)
    parser.add_argument("--dataset", action="append", choices=names, help="may be repeated (default: all five)")
    parser.add_argument("--channels", choices=("rgb", "native"), help="default: as params.yaml says, else rgb")
    args = parser.parse_args(argv)

    def work() -> None:
        workspace = Workspace(args.root)
        channels = args.channels or (read_config(workspace).channels if workspace.params.is_file() else "rgb")
        for dataset in args.dataset or names:
            adopt(workspace, dataset, channels=channels)
            print(f"{dataset}: clean and {len(medmnist.CORRUPTED[dataset])} corruptions at 5 severities")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
