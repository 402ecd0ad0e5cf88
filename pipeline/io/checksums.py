"""SHA-256 of files, and of arrays as the manifests have it: of the raw little-endian bytes in C order."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def labels_checksum(labels: NDArray[np.integer[Any]]) -> str:
    """Return the SHA-256 of labels (N,) as int64, in hexadecimal."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
