"""What reading a damaged zip archive raises, a numpy one among them."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib

from pipeline.errors import UserError

ZIP_FAILURES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    OverflowError,
    OSError,
)
"""What zipfile raises for a damaged, encrypted or exotic archive, by the place where it notices; `is_damage` sorts out
what has other reasons."""


def is_damage(problem: BaseException) -> bool:
    """Say whether one of `ZIP_FAILURES` is about what the archive holds, and not about the disk or this program."""
    if isinstance(problem, OSError):
        return problem.errno == errno.EINVAL  # of a seek to before the beginning, where a damaged archive points
    return isinstance(problem, ZIP_FAILURES) and not isinstance(problem, UserError)
