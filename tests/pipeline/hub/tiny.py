"""A tiny build in the documented workspace: two data sets of a few 16 x 16 images, with their manifests."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import corruptions
from corruptions import BYTES_VERSION, CORRUPTIONS, SEVERITIES
from pipeline.io import npz
from pipeline.io.records import write_json
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import ArraysEntry, CleanManifest, CorruptionManifest, StrengthEntry
from pipeline.workspace.paths import Workspace

SIDE = 16
COUNTS = {"val": 2, "test": 5}
CLASSES = {"mammo_mass": ["benign", "malignant"], "pbc": ["neutrophil", "eosinophil", "basophil"]}
CHANNELS = {"mammo_mass": 1, "pbc": 3}
PROFILE, SEED = "imagenet-c", 2025


def make(
    root: Path,
    *,
    source: str = "phantom",
    channels: str = "rgb",
    classes: Mapping[str, list[str]] | None = None,
) -> Workspace:
    """Write the build in `root`, verified and committed to git; `classes` are other names of a data set's classes."""
    workspace = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    params = {
        "source": source,
        "datasets": list(CLASSES),
        "splits": {"val": "val", "test": "test"},
        "seed": SEED,
        "profile": PROFILE,
        "columns": {},
        "channels": channels,
        "compression": "stored",
        "counts": dict.fromkeys(("val", "test", "train", "pretrain", "pretest"), 4),
        "limit": None,
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    for dataset in CLASSES:
        _write_dataset(workspace, dataset, source, channels, (classes or {}).get(dataset, CLASSES[dataset]))
    verified(workspace)
    commit(root)
    return workspace


def verified(workspace: Workspace) -> None:
    """Say that verify has passed, as the stage does."""
    cells = len(list(workspace.release.rglob("*.npz")))
    facts = {"files": cells, "images": 0, "findings": 0, "manifests": manifest.build_checksum(workspace, CLASSES)}
    write_json(workspace.root / "metrics" / "verify.json", facts)


def commit(root: Path) -> None:
    """Commit manifests and metrics, in a new repository if there is none."""
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-f", "manifests", "metrics"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Build"], check=True)


def pixels(dataset: str, split: str, corruption: str, severity: int, channels: int) -> NDArray[np.uint8]:
    """Return the images of a cell, random but the same every time; grey ones are replicated to `channels`."""
    key = f"{dataset} {split} {corruption} {severity}".encode()
    rng = np.random.default_rng(list(hashlib.sha256(key).digest()))
    shape = (COUNTS[split], SIDE, SIDE, CHANNELS[dataset])
    return np.repeat(rng.integers(0, 256, shape, dtype=np.uint8), channels // CHANNELS[dataset], axis=-1)


def labels(dataset: str, split: str) -> NDArray[np.int64]:
    """Return the labels of a split."""
    return np.arange(COUNTS[split], dtype=np.int64) % len(CLASSES[dataset])


def rewrite(workspace: Workspace, dataset: str, corruption: str, *, shift: int) -> None:
    """Build one corruption again with other bytes, as a changed severity table would."""
    recorded = manifest.read_corruption(workspace, dataset, corruption)
    cells: dict[str, dict[int, ArraysEntry]] = {}
    for split in COUNTS:
        for severity in SEVERITIES:
            images = pixels(dataset, split, corruption, severity, recorded.channels or 3) + np.uint8(shift)
            path = workspace.npz(Cell(dataset, split, corruption, severity))
            cells.setdefault(split, {})[severity] = _write(path, images, labels(dataset, split))
    manifest.write(workspace, recorded.changed(cells=cells))


def _write_dataset(workspace: Workspace, dataset: str, source: str, mode: str, classes: list[str]) -> None:
    native = CHANNELS[dataset]
    channels = 3 if mode == "rgb" else native
    shared: dict[str, Any] = {
        "bytes_version": BYTES_VERSION,
        "dataset": dataset,
        "seed": SEED,
        "native_channels": native,
    }
    splits: dict[str, ArraysEntry] = {}
    for split in COUNTS:
        found = labels(dataset, split)
        images = pixels(dataset, split, "clean", 0, channels)
        per_class = tuple(np.bincount(found, minlength=len(CLASSES[dataset])).tolist())
        splits[split] = _write(workspace.npz(Cell(dataset, split)), images, found).changed(per_class=per_class)
    class_names = tuple(classes)
    clean = CleanManifest(**shared, source=source, channels=channels, class_names=class_names, splits=splits)
    manifest.write(workspace, clean)
    for corruption in CORRUPTIONS:
        cells = {
            split: {
                k: _write(
                    workspace.npz(Cell(dataset, split, corruption, k)),
                    pixels(dataset, split, corruption, k, channels),
                    labels(dataset, split),
                )
                for k in SEVERITIES
            }
            for split in COUNTS
        }
        strengths = tuple(StrengthEntry.at(k, corruptions.strength(corruption, k, profile=PROFILE)) for k in SEVERITIES)
        facts = {**shared, "channels": channels, "corruption": corruption, "profile": PROFILE, "column": None}
        manifest.write(workspace, CorruptionManifest(**facts, strengths=strengths, cells=cells))
    rows = [
        f"{split},{index},{label},{dataset}-{split}-{index}"
        for split in (*COUNTS, "train")
        for index, label in enumerate(labels(dataset, split if split in COUNTS else "val"))
    ]
    workspace.rows(dataset).parent.mkdir(parents=True, exist_ok=True)
    workspace.rows(dataset).write_text("\n".join(["split,index,label,image_id", *rows]) + "\n")


def _write(path: Path, images: NDArray[np.uint8], found: NDArray[np.int64]) -> ArraysEntry:
    with npz.write(path, found, images.shape[1:]) as writer:
        writer.append(images)
    return ArraysEntry(count=len(images), **writer.checksums._asdict())
