"""Read the whole released tree back and list everything that is not as its manifests say.

Exit code 0 and metrics/verify.json if there is no finding, else 1 with one line for each.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

import corruptions
from corruptions import BYTES_VERSION, CORRUPTIONS, SEVERITIES
from pipeline import manifest
from pipeline.cell import CLEAN, RELEASED, SIZE, Cell
from pipeline.config import Config, read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.io.checksums import labels_checksum
from pipeline.io.records import write_json
from pipeline.manifest import ArraysEntry, Manifest, StrengthEntry
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress

METRICS = Path("metrics") / "verify.json"

_BATCH = 32
_SLACK = 0.02  # rise of SSIM to the next severity that is no finding: zoom_blur's on photographs reaches 0.015
_SAMPLE = 8  # images whose SSIM is taken, spread over the split


@dataclass
class Checked:
    """What was read of one data set's split under one corruption (or clean), and what was found."""

    findings: list[str] = field(default_factory=list)
    files: int = 0
    images: int = 0


def findings(workspace: Workspace, chosen: Config, *, workers: int) -> Checked:
    """Check every file of the release against its manifest and its clean images; never stops at a finding."""
    total = Checked()
    total.findings += _strangers(workspace, chosen)
    parts = [
        partial(_check_clean if name == CLEAN else _check_corruption, workspace, chosen, dataset, name, split)
        for dataset in chosen.datasets
        for name in (CLEAN, *CORRUPTIONS)
        for split in RELEASED
    ]
    with progress(total=len(parts), unit="part", desc="verify") as bar:
        for checked in ordered(lambda part: part(), parts, workers=workers):
            total.findings += checked.findings
            total.files += checked.files
            total.images += checked.images
            bar.update()
    return total


def _strangers(workspace: Workspace, chosen: Config) -> Iterator[str]:
    names = {"clean.npz", *(workspace.npz(Cell("x", "val", c, k)).name for c in CORRUPTIONS for k in SEVERITIES)}
    for path in sorted(workspace.release.rglob("*")):
        parts = path.relative_to(workspace.release).parts
        place = len(parts)
        known = (
            (parts[0] in chosen.datasets if place == 1 else True)
            and (place != 2 or parts[1] in RELEASED)
            and (place != 3 or parts[2] in names)
            and place <= 3
            and path.is_dir() == (place < 3)
        )
        if is_temporary(path):
            yield f"{path}: left by an interrupted run; delete it"
        elif not known and (place == 1 or parts[0] in chosen.datasets):
            yield f"{path}: not part of the release; delete it, since readers list the folders"


def _check_clean(workspace: Workspace, chosen: Config, dataset: str, name: str, split: str) -> Checked:
    checked = Checked()
    try:
        clean = manifest.read_clean(workspace, dataset)
        entry = clean.split(split)
    except UserError as missing:
        checked.findings.append(str(missing))
        return checked
    expected = {"source": chosen.source, "seed": chosen.seed, "bytes_version": BYTES_VERSION}
    checked.findings += _stale(workspace, dataset, name, clean, expected)
    path = workspace.npz(Cell(dataset, split))
    labels = _check_file(path, entry, clean.channels, None, [], checked)
    if labels is not None and len(labels):
        classes = len(clean.class_names)
        if labels.min() < 0 or labels.max() >= classes:
            checked.findings.append(f"{path}: labels {labels.min()}..{labels.max()} for {classes} classes")
        elif tuple(np.bincount(labels, minlength=classes).tolist()) != entry.per_class:
            checked.findings.append(f"{path}: images per class are not the manifest's")
    return checked


def _check_corruption(workspace: Workspace, chosen: Config, dataset: str, corruption: str, split: str) -> Checked:
    checked = Checked()
    try:
        recorded = manifest.read_corruption(workspace, dataset, corruption)
    except UserError as missing:
        checked.findings.append(str(missing))
        return checked
    column = chosen.column(dataset)
    strengths = tuple(
        StrengthEntry.at(k, corruptions.strength(corruption, k, profile=chosen.profile, column=column))
        for k in SEVERITIES
    )
    expected = {
        "profile": chosen.profile,
        "seed": chosen.seed,
        "bytes_version": BYTES_VERSION,
        "strengths": strengths,
    }
    checked.findings += _stale(workspace, dataset, corruption, recorded, expected)
    try:
        clean = npz.Npz(workspace.npz(Cell(dataset, split)))
    except npz.NpzError:
        clean = None  # reported by the clean split's own check
    similarities: list[NDArray[np.float64]] = []
    for severity in SEVERITIES:
        cell = Cell(dataset, split, corruption, severity)
        path = workspace.npz(cell)
        sampled: list[NDArray[np.float64]] = []
        try:
            entry = recorded.cell(cell)
        except UserError as missing:
            checked.findings.append(str(missing))
            continue
        labels = _check_file(path, entry, recorded.channels or 3, clean, sampled, checked)
        if labels is not None and clean is not None and not np.array_equal(labels, clean.labels):
            checked.findings.append(f"{path}: labels are not those of clean.npz")
        if sampled:
            similarities.append(np.mean(sampled, axis=0))
    if len(similarities) == len(SEVERITIES) and _out_of_order(np.array(similarities)):
        listed = ", ".join(f"{full:.4f}" for full, _ in similarities)
        checked.findings.append(
            f"{workspace.release / dataset / split}: {corruption} does not grow with severity (mean SSIM {listed})"
        )
    return checked


def _stale(
    workspace: Workspace, dataset: str, name: str, recorded: Manifest, expected: dict[str, Any]
) -> Iterator[str]:
    for key, value in expected.items():
        if getattr(recorded, key) != value:
            path = workspace.manifest(dataset, name)
            yield f"{path}: {key} is not that of params.yaml and the table; run `dvc repro`"


def _check_file(
    path: Path,
    entry: ArraysEntry,
    channels: int,
    clean: npz.Npz | None,
    similarities: list[NDArray[np.float64]],
    checked: Checked,
) -> NDArray[np.int64] | None:
    """Add what is wrong with one file to `checked`; return its labels unless it cannot be read."""
    try:
        opened = npz.Npz(path)
        checked.files += 1
        checked.images += opened.shape[0]
        found = list(_read_back(path, opened, entry, channels, clean, similarities))
    except npz.NpzError as broken:
        checked.findings.append(str(broken))
        return None
    checked.findings += found
    return opened.labels


def _read_back(
    path: Path,
    opened: npz.Npz,
    entry: ArraysEntry,
    channels: int,
    clean: npz.Npz | None,
    similarities: list[NDArray[np.float64]],
) -> Iterator[str]:
    expected = (entry.count, SIZE, SIZE, channels)
    if opened.shape != expected:
        yield f"{path}: images have shape {opened.shape}, the manifest says {expected}"
    compared = clean.chunks(_BATCH) if clean is not None and clean.shape == opened.shape else None
    sample = set(np.linspace(0, opened.shape[0] - 1, _SAMPLE, dtype=int).tolist())
    digest, start, constant, unchanged = hashlib.sha256(), 0, 0, 0
    for images in opened.chunks(_BATCH):
        originals = None if compared is None else next(compared)
        digest.update(np.ascontiguousarray(images).reshape(-1).data)
        for index, image in enumerate(images, start):
            constant += bool(image.min() == image.max())
            if originals is not None:
                original = originals[index - start]
                unchanged += np.array_equal(image, original)
                if index in sample:
                    similarities.append(_ssim(original, image))
        start += len(images)
    if constant:
        yield f"{path}: {constant} images are constant"
    if unchanged:
        yield f"{path}: {unchanged} images equal their clean image"
    if digest.hexdigest() != entry.images:
        yield f"{path}: images have another checksum than the manifest's"
    if labels_checksum(opened.labels) != entry.labels:
        yield f"{path}: labels have another checksum than the manifest's"


def _ssim(clean: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the structural similarity (Wang et al. 2004) of two images' channel means, at full and at half size.

    One size alone misjudges the order of severities: at full size grain does, since zoom_blur averages 16 copies at
    severity 2 and 11 at severity 3; at half size a pixelation to 50 percent cannot be seen.
    """
    pairs = [(clean.mean(-1), image.mean(-1))]
    pairs.append((_halved(pairs[0][0]), _halved(pairs[0][1])))
    return np.array([structural_similarity(a, b, data_range=255) for a, b in pairs])


def _out_of_order(similarities: NDArray[np.float64]) -> bool:
    """Say whether severity 5 is no stronger than 1, or a severity is clearly weaker than the one before, at both sizes.

    ImageNet-C's own zoom_blur rises a little from 2 to 3 and from 4 to 5, where it averages fewer copies.
    """
    ends = similarities[-1] >= similarities[0]
    steps = np.diff(similarities, axis=0) >= _SLACK
    return bool(ends.all() or steps.all(axis=1).any())


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = plane.shape
    halved: NDArray[np.float64] = plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return halved


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    command_line.add_workers(parser)
    given = parser.parse_args(argv)

    def work() -> int:
        workspace = Workspace(given.root)
        checked = findings(workspace, read_config(Workspace(given.root)), workers=given.workers)
        _report(checked.findings)
        print(f"verify: {checked.files} files, {checked.images} images, {len(checked.findings)} findings")
        if checked.findings:
            return 1
        write_json(
            workspace.root / METRICS,
            {
                "files": checked.files,
                "images": checked.images,
                "findings": 0,
                "manifests": manifest.build_checksum(workspace),
            },
        )
        return 0

    return command_line.run(work)


def _report(found: Iterable[str]) -> None:
    for sentence in found:
        print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
