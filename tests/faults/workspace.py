"""A workspace of noise, made in milliseconds: one data set, its clean files and manifest, ready for corrupt."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from corruptions import BYTES_VERSION
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.workspace import manifest
from pipeline.workspace.cell import RELEASED, SIZE, Cell
from pipeline.workspace.paths import Workspace

REPOSITORY = Path(__file__).parents[2]
DATASET = "pbc"


def make(
    root: Path,
    *,
    val: int = 2,
    test: int = 6,
    channels: int = 3,
    pictures: NDArray[np.uint8] | None = None,
    **params: object,
) -> Path:
    """Make a workspace in `root`, with `channels` native and released alike, and return it.

    Its images are noise, or the first of `pictures`, uint8 (N, 224, 224, channels).
    """
    write_params(root, channels="native" if channels == 1 else "rgb", **params)
    paths, splits = Workspace(root), {}
    for split, count in zip(RELEASED, (val, test), strict=True):
        rng = np.random.default_rng(count)
        labels = np.arange(count) % 2
        with npz.write(paths.npz(Cell(DATASET, split)), labels, (SIZE, SIZE, channels)) as writer:
            if pictures is not None:
                writer.append(pictures[:count])
            for start in range(0, 0 if pictures is not None else count, 64):
                writer.append(rng.integers(0, 256, (min(64, count - start), SIZE, SIZE, channels), np.uint8))
        splits[split] = manifest.clean_entry(labels, ("one", "other"), writer.checksums)
    clean = manifest.CleanManifest(
        bytes_version=BYTES_VERSION,
        dataset=DATASET,
        source="phantom",
        seed=2025,
        native_channels=channels,
        channels=channels,
        class_names=("one", "other"),
        splits=splits,
    )
    manifest.write(paths, clean)
    return root


def write_params(root: Path, **params: object) -> None:
    """Write the project's params.yaml with `params` to `root`."""
    read = _params()
    (root / "params.yaml").write_text(yaml.safe_dump(read | {"datasets": [DATASET]} | params))


@functools.cache
def _params() -> dict[str, object]:
    read: dict[str, object] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    return read


def corrupt_command(root: Path, *more: str, corruption: str = "gaussian_noise") -> list[str]:
    """Return the command line of one corrupt stage, as DVC runs it."""
    python = [sys.executable, "-W", "error", "-m", "pipeline.corrupt"]
    return [*python, "--root", str(root), "--dataset", DATASET, "--corruption", corruption, *more]


def run(command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository and capture what it says."""
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ, **options)  # type: ignore[call-overload,no-any-return]


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file under a final name."""
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and not any(map(is_temporary, (p, *p.parents)))
    }


def leftovers(root: Path) -> list[Path]:
    """Return the temporary files in a workspace."""
    return [p for p in root.rglob("*") if is_temporary(p)]


def check_sentence(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert the exit code, one sentence on stderr with `words`, and no traceback."""
    assert ended.returncode == code, ended.stderr
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    for word in words:
        assert word in lines[0]
