"""Read the whole released tree back and list everything that is not as its manifests say.

Every file is compared with its manifest, and images of every cell are corrupted anew and compared: some of each, and
all that are constant or equal to their clean image. Exit code 0 and metrics/verify.json if there is no finding, else 1
with one line for each. What only looks odd, such as similarity that rises with severity, is a warning.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.spec import SEVERITIES, strength
from corruptions.table import BYTES_VERSION
from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.generation.built import ABOUT
from pipeline.generation.check import CellCheck, is_out_of_order
from pipeline.hub.build import source_ids
from pipeline.hub.records import VerifyRecord
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.io.checksums import labels_checksum
from pipeline.io.records import write_record
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.cell import CLEAN, RELEASED, SIZE, Cell, cells_of
from pipeline.workspace.manifest import ArraysEntry, Manifest, StrengthEntry
from pipeline.workspace.paths import Workspace

_BATCH = 32


@dataclass
class Checked:
    """What was read of one data set's split under one corruption (or clean), and what was found."""

    findings: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: int = 0
    images: int = 0

    def add(self, other: Checked) -> None:
        """Add what another check found, each sentence once."""
        self.findings += [sentence for sentence in other.findings if sentence not in self.findings]
        self.warnings += [sentence for sentence in other.warnings if sentence not in self.warnings]
        self.files += other.files
        self.images += other.images


def verify(workspace: Workspace, config: Config, *, workers: int) -> Checked:
    """Check every file of the release against its manifest and its clean images; never stop at a finding."""
    total = Checked()
    for tree in (workspace.release, workspace.extended):
        total.add(_check_tree(workspace, config, tree))
    checks: list[Callable[[], Checked]] = []
    for dataset in config.datasets:
        for split in RELEASED:
            checks.append(partial(_check_clean, workspace, config, dataset, split))
            check = partial(_check_corruption, workspace, config, dataset, split)
            checks += [partial(check, name) for name in config.corruptions(dataset)]
    with progress(total=len(checks), unit="part", desc="verify") as bar:
        for checked in ordered(lambda check: check(), checks, workers=workers):
            total.add(checked)
            bar.update()
    return total


def _check_tree(workspace: Workspace, config: Config, tree: Path) -> Checked:
    """Name what lies in the released tree, or in that of the extended set, and is not part of it."""
    checked = Checked()
    cells = (
        cell
        for dataset in config.datasets
        for split in RELEASED
        for cell in cells_of(dataset, split, config.corruptions(dataset))
    )
    expected = {cell.path for cell in cells if workspace.npz(cell).is_relative_to(tree)}
    expected |= {ABOUT} if tree == workspace.extended else set()
    folders = {str(parent) for path in expected for parent in Path(path).parents}
    earlier = set()
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        dataset = name.partition("/")[0]
        if is_temporary(path):
            checked.findings.append(f"{path}: left by an interrupted run; delete it")
        elif dataset not in config.datasets and (workspace.manifests / dataset / f"{CLEAN}.json").is_file():
            earlier.add(dataset)
        elif name not in (folders if path.is_dir() else expected) and (name == dataset or dataset in config.datasets):
            checked.findings.append(f"{path}: not part of the release; delete it, since readers list the folders")
    checked.warnings += [
        f"{tree / dataset}: not among params.yaml's data sets, and left alone; readers list it"
        for dataset in sorted(earlier)
    ]
    return checked


def _check_clean(workspace: Workspace, config: Config, dataset: str, split: str) -> Checked:
    checked = Checked()
    try:
        recorded = manifest.read_clean(workspace, dataset)
        entry = recorded.split(split)
    except UserError as missing:
        checked.findings.append(str(missing))
        return checked
    expected = {"source": config.source_of(dataset), "seed": config.seed, "bytes_version": BYTES_VERSION}
    checked.findings += _stale(workspace.manifest(dataset, CLEAN), recorded, expected)
    path = workspace.npz(Cell(dataset, split))
    labels, classes = _read_back(path, entry, recorded.channels, checked), len(recorded.class_names)
    if labels is not None and len(labels):
        if labels.min() < 0 or labels.max() >= classes:
            checked.findings.append(f"{path}: labels {labels.min()}..{labels.max()} for {classes} classes")
        elif tuple(np.bincount(labels, minlength=classes).tolist()) != entry.per_class:
            checked.findings.append(f"{path}: images per class are not the manifest's")
    return checked


def _check_corruption(workspace: Workspace, config: Config, dataset: str, split: str, corruption: str) -> Checked:
    checked = Checked()
    cells = [Cell(dataset, split, corruption, severity) for severity in SEVERITIES]
    try:
        native_channels = manifest.read_clean(workspace, dataset).native_channels
        recorded = manifest.read_corruption(workspace, dataset, corruption)
        entries = [recorded.cell(cell) for cell in cells]
    except UserError as missing:
        checked.findings.append(str(missing))
        return checked
    column = config.column(dataset)
    strengths = [strength(corruption, k, profile=config.profile, column=column) for k in SEVERITIES]
    expected = {
        "profile": config.profile,
        "seed": config.seed,
        "bytes_version": BYTES_VERSION,
        "strengths": tuple(map(StrengthEntry.at, SEVERITIES, strengths)),
    }
    checked.findings += _stale(workspace.manifest(dataset, corruption), recorded, expected)
    try:
        clean = npz.Npz(workspace.npz(Cell(dataset, split)))
    except npz.NpzError:
        clean = None  # named by the check of the clean split
    similarities = []
    for cell, entry in zip(cells, entries, strict=True):
        path = workspace.npz(cell)
        check = None if clean is None else CellCheck(config, cell, clean, native_channels, batch=_BATCH)
        labels = _read_back(path, entry, recorded.channels, checked, check)
        if labels is None or clean is None or check is None:
            continue
        if not np.array_equal(labels, clean.labels):
            checked.findings.append(f"{path}: labels are not those of clean.npz")
        if check.different:
            names = _names(workspace, cell, check.different)
            checked.findings.append(f"{path}: not what {corruption} makes of the clean images: {names}")
        if check.similarities:
            similarities.append(np.mean(check.similarities, axis=0))
    if len(similarities) == len(SEVERITIES) and is_out_of_order(np.array(similarities)):
        listed = ", ".join(f"{full:.4f}" for full, _ in similarities)
        folder = workspace.npz(cells[0]).parent
        checked.warnings.append(f"{folder}: {corruption} does not grow with severity (mean SSIM {listed})")
    return checked


def _stale(path: Path, recorded: Manifest, expected: dict[str, Any]) -> Iterator[str]:
    for key, value in expected.items():
        if getattr(recorded, key) != value:
            yield f"{path}: {key} is not that of params.yaml and the table; run `dvc repro`"


def _read_back(
    path: Path,
    entry: ArraysEntry,
    channels: int | None,
    checked: Checked,
    check: CellCheck | None = None,
) -> NDArray[np.int64] | None:
    """Read one file and compare it with its manifest's entry; return its labels, or None if it cannot be read."""
    digest, start = hashlib.sha256(), 0
    try:
        opened = npz.Npz(path)
        checked.files += 1
        checked.images += opened.shape[0]
        for images in opened.chunks(_BATCH):
            digest.update(np.ascontiguousarray(images).reshape(-1).data)
            if check is not None:
                check.add(start, images)
            start += len(images)
    except npz.NpzError as broken:
        checked.findings.append(str(broken))
        return None
    expected = (entry.count, SIZE, SIZE, channels)
    if opened.shape != expected:
        checked.findings.append(f"{path}: images have shape {opened.shape}, the manifest says {expected}")
    if digest.hexdigest() != entry.images:
        checked.findings.append(f"{path}: images have another checksum than the manifest's")
    if labels_checksum(opened.labels) != entry.labels:
        checked.findings.append(f"{path}: labels have another checksum than the manifest's")
    return opened.labels


def _names(workspace: Workspace, cell: Cell, indices: Sequence[int]) -> str:
    """Return images by index and, where the table of prepared images can be read, by where they came from."""
    try:
        ids = source_ids(workspace, cell.dataset)[cell.split]
    except UserError:
        ids = []
    listed = [f"image {k} ({ids[k]})" if k < len(ids) else f"image {k}" for k in indices[:3]]
    return ", ".join(listed) + (f" and {len(indices) - 3} more" if len(indices) > 3 else "")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    command_line.add_workers(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        workspace = Workspace(args.root)
        config = read_config(workspace)
        checked = verify(workspace, config, workers=args.workers)
        for sentence in (*(f"warning: {warning}" for warning in checked.warnings), *checked.findings):
            command_line.warn(sentence)
        print(f"verify: {checked.files} files, {checked.images} images, {len(checked.findings)} findings")
        if checked.findings:
            return 1
        build = manifest.build_checksum(workspace, config.datasets)
        record = VerifyRecord(files=checked.files, images=checked.images, findings=0, manifests=build)
        write_record(workspace.metrics / "verify.json", record)
        return 0

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())
