"""Write and read npz files: in a stream, with bounded memory, and without trust in what is read.

Any reader of zip and npy files can read the benchmark's (`numpy.load`). What is special is how they are made: the
pixels of a stored file begin at a multiple of 64 bytes, so that they can be mapped into memory; equal arrays give equal
files where they are stored; and the SHA-256 of the raw C-order bytes of each array is taken on the way.

Other people's npz files are read with the same `Array`. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.regular import check_regular, open_regular
from pipeline.io.zip import Member, MemberWriter, Stream, ZipError, ZipWriter, damage_refused

COMPRESSIONS = ("stored", "deflated")

_REMEDY = "run `dvc repro`"

_HEADER_BYTES = 1 << 14
"""NumPy reads no longer header than 10,000 bytes."""

_HEADER_FAILURES = (ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError)
"""What NumPy's header reader raises for bytes that are no header: it parses them as a Python literal."""


class NpzError(UserError):
    """A file is missing, damaged, or not an npz or npy with the arrays that are needed."""


class Arrays(NamedTuple):
    """Images uint8 (N, H, W, C) and labels int64 (N,) of one npz."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Checksums(NamedTuple):
    """SHA-256 of the raw C-order bytes of images and of labels, in hexadecimal."""

    images: str
    labels: str


class Writer:
    """Takes images in chunks.

    Attributes:
        checksums: of the arrays; there once the file is whole.
    """

    checksums: Checksums

    def __init__(self, handle: BinaryIO, member: MemberWriter, shape: tuple[int, ...]) -> None:
        self._handle, self._member, self._shape = handle, member, shape
        self._digest = hashlib.sha256()
        self._missing = shape[0]

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add the next images, uint8 (n, H, W, C)."""
        if images.dtype != np.uint8 or images.shape[1:] != self._shape[1:] or len(images) > self._missing:
            raise ValueError(
                f"cannot append {images.dtype} {images.shape} to uint8 {self._shape}, {self._missing} to come"
            )
        pixels = np.ascontiguousarray(images).reshape(len(images), math.prod(self._shape[1:]))
        self._digest.update(pixels.data)
        for image in pixels:
            self._member.write(image.data)
        self._missing -= len(images)

    def sync(self) -> None:
        """Wait until what was appended is on disk: for several files in parallel, before each is finished."""
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def finish(self) -> str:
        """Return the checksum of the images; ValueError if some are missing."""
        if self._missing:
            raise ValueError(f"{self._missing} of {self._shape[0]} images were not written")
        return self._digest.hexdigest()


@contextmanager
def write(
    path: Path, labels: NDArray[np.int64], shape: tuple[int, int, int], *, compression: str = "stored"
) -> Iterator[Writer]:
    """Write ``images`` uint8 (len(labels), *shape) and ``labels`` int64 to `path`, whole or absent.

    Memory does not grow with the number of images. ValueError if the images appended are not as announced.
    """
    if compression not in COMPRESSIONS:
        raise ValueError(f"no compression {compression!r}; have {', '.join(COMPRESSIONS)}")
    count, raw_labels = len(labels), labels.astype("<i8").tobytes()
    with atomic_write(path) as handle:
        archive = ZipWriter(handle, is_deflated=compression == "deflated")
        with archive.member("images.npy") as member:
            member.write(header_bytes((count, *shape), "|u1"))
            writer = Writer(handle, member, (count, *shape))
            yield writer
            images_checksum = writer.finish()
        with archive.member("labels.npy") as member:
            member.write(header_bytes((count,), "<i8"))
            member.write(raw_labels)
        archive.close()
    writer.checksums = Checksums(images_checksum, hashlib.sha256(raw_labels).hexdigest())


def header_bytes(shape: tuple[int, ...], descr: str) -> bytes:
    """Return the npy header of an array in C order."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue()


class Array:
    """One array in C order of an npz, or of a plain npy file, whose header fits its length.

    Rows are read at any place, by any thread, in memory that does not grow with the file.

    Attributes:
        where: the file and the array, for messages.
        shape, dtype: of the array.
        is_stored: whether its bytes stand in the file as they are.
    """

    def __init__(self, path: Path, name: str | None = None, *, remedy: str) -> None:
        """Open an array.

        Args:
            path: of the file.
            name: of the array in an npz; none for an npy file.
            remedy: what to do if the file is missing or damaged: the end of a sentence.

        Raises:
            NpzError: the file is missing or damaged, or the array is not there, in Fortran order or pickled.
        """
        self.where = str(path) if name is None else f"{path}: {name}"
        self._path, self._remedy = path, remedy
        with self._damage_refused():
            self._file = _NpyFile(path) if name is None else Member(path, f"{name}.npy")
            self.is_stored = self._file.is_stored
            with self._file.open() as stream:
                self.shape, self.dtype, self._header_size = _read_header(stream, self._file.size, self.where)
            size = self._header_size + math.prod(self.shape) * self.dtype.itemsize
            if size != self._file.size:
                raise NpzError(
                    f"{self.where} is damaged: its length does not fit its header, which says {self.dtype} {self.shape}"
                )

    def check(self) -> None:
        """Compare all bytes with the archive's checksum; this makes reading at any place of a deflated one quick."""
        with self._damage_refused():
            self._file.check()

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows `start` to `stop`, exclusive."""
        with self._damage_refused(), self._file.open(self._header_size + start * self._row_size) as stream:
            return self._read(stream, stop - start)

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, `size` at a time, holding no more than that."""
        with self._damage_refused(), self._file.open() as stream:
            stream.read(self._header_size)
            for start in range(0, self.shape[0], size):
                yield self._read(stream, min(size, self.shape[0] - start))

    def mapped(self) -> NDArray[Any]:
        """Return a stored array as a read-only map of the file into memory."""
        if not math.prod(self.shape):
            return np.empty(self.shape, self.dtype)
        return np.memmap(self._path, self.dtype, "r", self._file.offset + self._header_size, self.shape)

    @property
    def _row_size(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def _read(self, stream: Stream, count: int) -> NDArray[Any]:
        raw = stream.read(count * self._row_size)
        if len(raw) != count * self._row_size:
            raise NpzError(f"{self.where} is cut short: delete the file and {self._remedy}")
        return np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])

    @contextmanager
    def _damage_refused(self) -> Iterator[None]:
        try:
            with damage_refused(self._path):
                yield
        except FileNotFoundError:
            raise NpzError(f"no {self._path}: {self._remedy}") from None
        except ZipError as error:
            raise NpzError(f"{error}: delete it and {self._remedy}") from None


class _NpyFile:
    """A plain npy file, read as a stored member of an archive is."""

    is_stored, offset = True, 0

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self._path, self.size = path, path.stat().st_size

    @contextmanager
    def open(self, start: int = 0) -> Iterator[Stream]:
        with open_regular(self._path) as file:
            file.seek(start)
            yield file

    def check(self) -> None:
        """Do nothing: such a file has no checksum."""


class Npz:
    """An npz of images and labels, checked on opening; the pixels are read when asked for.

    Attributes:
        labels: int64 (N,).
        shape: of the images, (N, H, W, C).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._images = Array(path, "images", remedy=_REMEDY)
        labels = Array(path, "labels", remedy=_REMEDY)
        for array, dtype, dimensions in ((self._images, "uint8", 4), (labels, "<i8", 1)):
            if array.dtype != np.dtype(dtype) or len(array.shape) != dimensions:
                wanted = f"{np.dtype(dtype)} with {dimensions} dimension{'s' if dimensions > 1 else ''}"
                raise NpzError(f"{array.where} must be {wanted}, not {array.dtype} {array.shape}")
        self.shape = self._images.shape
        if labels.shape != self.shape[:1]:
            raise NpzError(f"{path} has {self.shape[0]} images and {labels.shape[0]} labels")
        self.labels: NDArray[np.int64] = labels.rows(0, labels.shape[0]).astype(np.int64)

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, read-only: mapped into memory where stored, else read."""
        return self._images.mapped() if self._images.is_stored else self._images.rows(0, self.shape[0])

    def chunks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in order, `size` at a time, holding no more than that."""
        return self._images.chunks(size)


def read(path: Path | str) -> Arrays:
    """Read an npz of images uint8 (N, H, W, C) and labels int64 (N,); NpzError if it is anything else.

    Stored images are mapped into memory, so reading costs nothing until pixels are used.
    """
    npz = Npz(Path(path))
    return Arrays(npz.images, npz.labels)


def _read_header(stream: Stream, size: int, where: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, dtype and the header's own size; `size` is that of header and array."""
    start = io.BytesIO(stream.read(min(size, _HEADER_BYTES)))
    try:
        version = npy.read_magic(start)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"npy version {version}")
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = reader(start)
    except _HEADER_FAILURES as failure:
        what = " ".join(str(failure).split())[:120] or type(failure).__name__
        raise NpzError(f"{where} is damaged: it does not begin as an npy array ({what})") from None
    if dtype.hasobject:
        raise NpzError(f"{where} holds pickled Python objects, which are never loaded")
    if is_fortran and len(shape) > 1:
        raise NpzError(f"{where} is in Fortran order; write it with numpy.ascontiguousarray")
    if min(shape, default=0) < 0 or not shape:
        raise NpzError(f"{where} has the shape {shape}, which has no rows")
    return shape, dtype, start.tell()
