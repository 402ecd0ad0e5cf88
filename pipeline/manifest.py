"""The manifests in git: what every file must hold, by checksum. The record that verify, report and publish trust."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import UserError
from pipeline.layout import Layout
from pipeline.whole import write_json

CLEAN = "clean"
"""Manifest of the released clean splits: source, class names, channels, counts and checksums."""

PREPARED = "prepared"
"""Manifest of the splits that are prepared for tuning and not released."""

_SHAPES: dict[str, tuple[type, ...]] = {
    "splits": (dict, dict),
    "cells": (dict, dict, dict),
    "class_names": (list, str),
    "corruptions": (list, str),
    "per_class": (list, int),
    **dict.fromkeys(("count", "channels", "native_channels"), (int,)),
    **dict.fromkeys(("source", "images", "labels"), (str,)),
}
"""What stands under a key anywhere in a manifest: its type, then that of all its parts, and of theirs."""


class _Facts(dict[str, Any]):
    """A mapping in a manifest: what it lacks, or holds in another shape, is said in a sentence."""

    def __init__(self, path: Path, pairs: dict[str, Any]) -> None:
        super().__init__(pairs)
        self._path = path
        for key, shape in _SHAPES.items():
            if key in self and not _fits(self[key], *shape):
                raise UserError(f"{path}: {key} is not of its shape: restore it with git or run `dvc repro`")

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self._path} has no {key!r}: restore it with git or run `dvc repro`")


def _fits(value: Any, kind: type, *inner: type) -> bool:
    if not isinstance(value, kind):
        return False
    parts: Any = value.values() if isinstance(value, dict) else value
    return not inner or all(_fits(part, *inner) for part in parts)


def read(layout: Layout, dataset: str, name: str) -> dict[str, Any]:
    """Return the manifest `name` (``clean``, ``prepared`` or a corruption) of `dataset`; UserError if there is none."""
    path = layout.manifest(dataset, name)
    try:
        value: dict[str, Any] = json.loads(path.read_text(), object_hook=partial(_Facts, path))
    except FileNotFoundError:
        raise UserError(f"no {path}: run `dvc repro` first") from None
    except (ValueError, RecursionError) as broken:
        if isinstance(broken, UserError):
            raise
        raise UserError(f"{path} is not JSON ({broken}): restore it with git or run `dvc repro`") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is no manifest: restore it with git or run `dvc repro`")
    return value


def write(layout: Layout, dataset: str, name: str, value: dict[str, Any]) -> None:
    """Write a manifest, whole or absent, the same text for the same value."""
    write_json(layout.manifest(dataset, name), value)


def entry(labels: NDArray[np.int64], class_names: Sequence[str], sums: dict[str, str]) -> dict[str, Any]:
    """Return the entry of a file: its images, how many of each class, and the arrays' checksums `sums`."""
    per_class = np.bincount(labels, minlength=len(class_names))
    return {"count": len(labels), "per_class": per_class.tolist(), **sums}


def checksum(layout: Layout) -> str:
    """Return one SHA-256 over all data sets' manifests: the name of a build."""
    digest = hashlib.sha256()
    for path in sorted(layout.manifests.glob("*/*.json")):
        digest.update(f"{path.relative_to(layout.manifests).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
