"""SHA-256 of files, and of arrays as the manifests have it: of the raw little-endian bytes in C order."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.io.regular import open_regular


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes, in hexadecimal."""
    with open_regular(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def labels_checksum(labels: NDArray[np.integer[Any]]) -> str:
    """Return the SHA-256 of labels (N,) as int64, in hexadecimal."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
