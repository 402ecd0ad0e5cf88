"""The npz file of one cell's logits: logits, labels, indices, the key of all that they depend on, and the weights."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.regular import read_regular

_ARCHIVE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError)
_MEMBER = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    SyntaxError,
    RecursionError,
    tokenize.TokenError,
)
_DAMAGE = (*_ARCHIVE, *_MEMBER)
"""What NumPy and zipfile raise for a file that was cut, edited, or is another kind of file."""


class Logits(NamedTuple):
    """One cell's logits.

    Attributes:
        logits: float32 (N, K), by image and class.
        labels: int64 (N,).
        indices: of each image in its split, int64 (N,).
        key: checksum of weights, prompts and pixels.
        weights: SHA-256 of the model's image tower.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    key: str
    weights: str


def read_logits(path: Path) -> Logits:
    """Read a file of logits.

    Raises:
        UserError: it is not whole.
        FileNotFoundError: it is not there.
    """
    data = io.BytesIO(read_regular(path))  # where a damaged archive can't be mistaken for a damaged disk
    try:
        with np.load(data, allow_pickle=False) as archive:
            members = [archive[name] for name in Logits._fields]
        if not all(isinstance(member, np.ndarray) for member in members):
            raise ValueError("a member is no array")
    except _DAMAGE as damage:
        raise UserError(f"{path} is not a whole file of logits ({damage}); delete it and predict again") from None
    logits, labels, indices, key, weights = members
    return Logits(logits, labels, indices, str(key), str(weights))


def write_logits(path: Path, logits: Logits) -> None:
    """Write a file of logits, whole or absent."""
    with atomic_write(path) as handle:
        np.savez(handle, **logits._asdict())


def stored_key(path: Path) -> str | None:
    """Return the key in a file of logits, or None if there is no such file, or it is not whole: predict it again."""
    try:
        return read_logits(path).key
    except (OSError, UserError):
        return None
