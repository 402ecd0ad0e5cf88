"""Adopt corrupted images that others published: cells and manifests as the benchmark reads them.

    <root>/data/raw/medmnist/bloodmnist_224.npz        MedMNIST+ at 224 pixels, whose test split is the clean one
    <root>/data/raw/medmnist-c/bloodmnist/bubble.npz   MedMNIST-C, as it is unpacked; each set has its own corruptions

become <root>/data/MediMeta-C/bloodmnist/test/ and <root>/manifests/bloodmnist/. So does an npz tree in that layout,
the authors' own MediMeta-C: --tree names its folder, or --hub and --revision its repository and commit on the Hub. A
folder of its own as <root> keeps adopted data sets apart from those that this project builds; params.yaml names it
under ``benchmark.workspaces``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corruptions.spec import SEVERITIES
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.checksums import file_checksum
from pipeline.published import npz_tree
from pipeline.run import command_line
from pipeline.run.progress import progress
from pipeline.sources import Clean, medmnist
from pipeline.workspace import manifest
from pipeline.workspace.cell import CLEAN, SIZE, Cell
from pipeline.workspace.manifest import ArraysEntry, CleanManifest, CorruptionManifest
from pipeline.workspace.paths import Workspace

SOURCE = "medmnist-c"
"""What the manifests call MedMNIST-C, and its folder under data/raw."""

TREE = "medimeta-c"
"""What the manifests call an adopted npz tree, and the folder under data/raw of one from the Hub."""

SPLIT = "test"
"""The only split that MedMNIST-C has."""

_BATCH = 64


@dataclass(frozen=True)
class Release:
    """What others published of one data set.

    Attributes:
        dataset: its name.
        source: what its manifests call the release.
        clean: the clean images of each split.
        corruptions: names, in order.
        origin: the file or the revision that a corruption is from, and the file's SHA-256.
        load: a corruption's five severities of a split.
    """

    dataset: str
    source: str
    clean: Mapping[str, Clean]
    corruptions: tuple[str, ...]
    origin: Callable[[str], tuple[str, str | None]]
    load: Callable[[str, str], Sequence[Clean]]


def check_not_built(workspace: Workspace, dataset: str, source: str) -> None:
    """Raise UserError if the workspace has `dataset` from elsewhere than the release `source`."""
    if workspace.manifest(dataset, CLEAN).exists():
        known = manifest.read_clean(workspace, dataset).source
        if known != source:
            raise UserError(
                f"{workspace.root} has {dataset} from {known} already; adopt into a folder of its own (--root)"
            )


def medmnist_c(workspace: Workspace, dataset: str) -> Release:
    """Return a data set of MedMNIST-C, whose files lie under data/raw."""
    raw = workspace.raw(SOURCE)

    def origin(corruption: str) -> tuple[str, str | None]:
        path = medmnist.corrupted_file(raw, dataset, corruption)
        return path.name, file_checksum(path)

    return Release(
        dataset,
        SOURCE,
        {SPLIT: medmnist.load(dataset, SPLIT, root=workspace.raw("medmnist"))},
        medmnist.CORRUPTED[dataset],
        origin,
        lambda split, corruption: medmnist.load_corrupted(dataset, corruption, root=raw),
    )


def tree(folder: Path, dataset: str, origin: str) -> Release:
    """Return a data set of an npz tree; `origin` says where the tree is from."""
    return Release(
        dataset,
        TREE,
        {split: npz_tree.load(folder, Cell(dataset, split)) for split in npz_tree.splits(folder)},
        npz_tree.corruptions(folder),
        lambda corruption: (origin, None),
        lambda split, corruption: [npz_tree.load(folder, Cell(dataset, split, corruption, k)) for k in SEVERITIES],
    )


def adopt(workspace: Workspace, release: Release, *, channels: str = "rgb") -> None:
    """Write the cells of a released data set and their manifests, the clean one last.

    `channels` is ``rgb`` to write grey images as three equal channels, or ``native``.

    Raises:
        UserError: a file is not there, damaged, or does not fit the clean images.
    """
    dataset, first = release.dataset, next(iter(release.clean.values()))
    channel_count = 3 if channels == "rgb" else first.channels
    total = sum(len(clean.labels) for clean in release.clean.values())
    total *= 1 + len(release.corruptions) * len(SEVERITIES)
    with progress(total=total, unit="img", desc=dataset) as bar:
        entries = {
            split: _write(workspace, Cell(dataset, split), clean, channel_count, bar)
            for split, clean in release.clean.items()
        }
        for name in release.corruptions:
            cells: dict[str, dict[int, ArraysEntry]] = {}
            for split, clean in release.clean.items():
                cells[split] = {}
                for severity, images in zip(SEVERITIES, release.load(split, name), strict=True):
                    if images.labels.tolist() != clean.labels.tolist():
                        raise UserError(
                            f"{release.origin(name)[0]} has other labels at severity {severity} of {name} than clean"
                            f" {split} of {dataset}"
                        )
                    cell = Cell(dataset, split, name, severity)
                    cells[split][severity] = _write(workspace, cell, images, channel_count, bar)
            origin, checksum = release.origin(name)
            adopted = CorruptionManifest(
                dataset=dataset,
                source=release.source,
                seed=None,
                corruption=name,
                release=origin,
                release_sha256=checksum,
                cells=cells,
            )
            manifest.write(workspace, adopted)
    manifest.write(
        workspace,
        CleanManifest(
            dataset=dataset,
            source=release.source,
            seed=None,
            native_channels=1 if all(map(_is_grey, release.clean.values())) else 3,
            channels=channel_count,
            class_names=first.class_names,
            corruptions=release.corruptions,
            splits=entries,
        ),
    )


def _is_grey(images: Clean) -> bool:
    """Say whether all channels of every image are equal."""
    batches = map(images.read, images.batches(_BATCH))
    return images.channels == 1 or all(bool((batch == batch[..., :1]).all()) for batch in batches)


def _write(workspace: Workspace, cell: Cell, images: Clean, channels: int, bar: Any) -> ArraysEntry:
    """Write one cell, deflated as releases are; return its entry in the manifest."""
    if images.channels > channels:
        raise UserError(f"{cell.path} has {images.channels} channels and the clean images 1: adopt with --channels rgb")
    shape = (SIZE, SIZE, channels)
    with npz.write(workspace.released(cell), images.labels, shape, compression="deflated") as writer:
        for batch in map(images.read, images.batches(_BATCH)):
            writer.append(np.repeat(batch, channels // images.channels, axis=-1))
            bar.update(len(batch))
    return manifest.clean_entry(images.labels, images.class_names, writer.checksums)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--dataset", action="append", help="may be repeated (default: all that there are)")
    parser.add_argument("--channels", choices=("rgb", "native"), help="default: as params.yaml says, else rgb")
    parser.add_argument("--tree", type=Path, help="folder of an npz tree, instead of MedMNIST-C")
    parser.add_argument("--hub", metavar="ORG/NAME", help="data-set repository of one, such as razaimam45/MediMeta-C")
    parser.add_argument("--revision", help="the commit of --hub, 40 hexadecimal digits")
    args = parser.parse_args(argv)
    if bool(args.hub) != bool(args.revision) or (args.hub and args.tree):
        parser.error("--hub and --revision go together, and without --tree")
    workspace = Workspace(args.root)

    def releases() -> dict[str, Callable[[], Release]]:
        if not (args.hub or args.tree):
            return {name: lambda name=name: medmnist_c(workspace, name) for name in medmnist.CORRUPTED}  # type: ignore[misc]
        folder = args.tree or npz_tree.download(args.hub, args.revision, workspace.raw(TREE))
        origin = f"{args.hub}@{args.revision}" if args.hub else folder.resolve().name
        return {
            name: lambda name=name, home=home: tree(home, name, origin)  # type: ignore[misc]
            for name, home in npz_tree.find(folder).items()
        }

    def work() -> None:
        channels = args.channels or (read_config(workspace).channels if workspace.params.is_file() else "rgb")
        known = releases()
        for dataset in args.dataset or known:
            if dataset not in known:
                raise UserError(f"no data set {dataset!r} to adopt; have {', '.join(known)}")
            check_not_built(workspace, dataset, TREE if args.hub or args.tree else SOURCE)
            release = known[dataset]()
            adopt(workspace, release, channels=channels)
            print(f"{dataset}: clean and {len(release.corruptions)} corruptions at 5 severities")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
