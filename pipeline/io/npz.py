"""Write and read the benchmark's npz files, in a stream and with bounded memory.

Any reader of zip and npy files can read them (`numpy.load`); what is special is how they are made: a stored
member's pixels begin at a multiple of 64 bytes, so that they can be mapped into memory; equal arrays give equal
files where they are stored; and the SHA-256 of the raw C-order bytes of each array is taken on the way. Deflate is
ISA-L's level 2 (python-isal), whose streams vary now and then, with noise stored inside it. The container is PKWARE's
APPNOTE 6.3.10, sections 4.3 to 4.5, in its zip64 form.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.io.archives import ZIP_FAILURES, is_damage
from pipeline.io.atomic import atomic_write

COMPRESSIONS = ("stored", "deflated")

_ALIGNMENT = 64
_LEVEL = 2  # at ISA-L's level 1 two streams in a hundred vary from process to process (python-isal 1.9.1)
_DATE = 0x21  # 1 January 1980, the earliest that the format can say: equal arrays, equal files
_ZIP64 = 45  # version needed to extract
_NONE = 0xFFFFFFFF  # "see the zip64 field"
_DEFLATE_LIMIT = 1032  # deflate makes at most 1032 bytes of one (zlib's technical notes)
_WORTHWHILE = 7 / 8  # of its size, an image that deflate makes larger than this is hardly worth the time
_STORED_RUN = 15  # images after it that are stored untried: a cell's images are much alike
_STORED_BLOCK = 0xFFFF  # bytes, of a stored block at most


class NpzError(UserError):
    """A file is missing, damaged, or not an npz of images and labels."""


class Arrays(NamedTuple):
    """Images uint8 (N, H, W, C) and labels int64 (N,) of one npz."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Writer:
    """Takes images in chunks; after the file is whole, `sha256` has the checksum of each array's bytes."""

    def __init__(self, handle: BinaryIO, labels: NDArray[np.int64], shape: tuple[int, ...], compression: str) -> None:
        self.sha256: dict[str, Any] = {}
        self._handle = handle
        self._container = _Container(handle, compression)
        self._labels = labels
        self._shape = (len(labels), *shape)
        self._left = len(labels)
        self._digest = hashlib.sha256()
        self._container.begin("images.npy")
        self._container.write(_npy_header(self._shape, "|u1"))

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add the next images, uint8 (n, H, W, C)."""
        if images.dtype != np.uint8 or images.shape[1:] != self._shape[1:] or len(images) > self._left:
            raise ValueError(
                f"cannot append {images.dtype} {images.shape} to uint8 {self._shape}, {self._left} to come"
            )
        pixels = np.ascontiguousarray(images).reshape(len(images), math.prod(self._shape[1:]))
        self._digest.update(pixels.data)
        for image in pixels:
            self._container.write(image.data)
        self._left -= len(images)

    def sync(self) -> None:
        """Wait until what was appended is on disk: for several files in parallel, before each is finished."""
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def _finish(self) -> None:
        if self._left:
            raise ValueError(f"{self._left} of {self._shape[0]} images were not written")
        self._container.end()
        labels = self._labels.astype("<i8").tobytes()
        self._container.begin("labels.npy")
        self._container.write(_npy_header((self._shape[0],), "<i8"))
        self._container.write(labels)
        self._container.end()
        self._container.close()
        self.sha256 = {"images": self._digest.hexdigest(), "labels": hashlib.sha256(labels).hexdigest()}


@contextmanager
def write(
    path: Path, labels: NDArray[np.int64], shape: tuple[int, int, int], *, compression: str = "stored"
) -> Iterator[Writer]:
    """Write ``images`` uint8 (len(labels), *shape) and ``labels`` int64 to `path`, whole or absent.

    Memory does not grow with the number of images. ValueError if the images appended are not as announced.
    """
    if compression not in COMPRESSIONS:
        raise ValueError(f"no compression {compression!r}; have {', '.join(COMPRESSIONS)}")
    with atomic_write(path) as handle:
        writer = Writer(handle, labels, shape, compression)
        yield writer
        writer._finish()


class Npz:
    """An npz of images and labels, checked on opening; the pixels are read when asked for.

    Attributes:
        labels: int64 (N,).
        shape: of the images, (N, H, W, C).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._member = _member(archive, path, "images.npy")
                with archive.open(self._member) as stream:
                    shape, dtype, header = _read_npy_header(stream)
                self.shape = _checked(path, self._member, "images", "uint8", 4, shape, dtype, header)
                self._header = header
                labels = _member(archive, path, "labels.npy")
                with archive.open(labels) as stream:
                    shape, dtype, header = _read_npy_header(stream)
                    _checked(path, labels, "labels", "int64", 1, shape, dtype, header)
                    self.labels = np.frombuffer(stream.read(), "<i8").astype(np.int64)
        except FileNotFoundError:
            raise NpzError(f"{path} is not there; `dvc repro` makes it") from None
        except ZIP_FAILURES as broken:
            if not is_damage(broken):
                raise
            raise NpzError(f"{path} is not a whole npz ({broken}); delete it and run `dvc repro`") from None
        if len(self.labels) != self.shape[0]:
            raise NpzError(f"{path} has {self.shape[0]} images and {len(self.labels)} labels")

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, read-only: mapped into memory where stored, else read."""
        if self._member.compress_type == zipfile.ZIP_STORED:
            return self._mapped()
        return np.concatenate([*self.chunks(256), np.empty((0, *self.shape[1:]), np.uint8)])

    def chunks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in order, `size` at a time, holding no more than that."""
        try:
            with self._stream() as stream:
                for start in range(0, self.shape[0], size):
                    shape = (min(size, self.shape[0] - start), *self.shape[1:])
                    pixels = stream.read(math.prod(shape))
                    yield np.frombuffer(pixels, np.uint8).reshape(shape)
        except ZIP_FAILURES as broken:
            if not is_damage(broken):
                raise
            raise NpzError(f"{self.path} is damaged ({broken}); delete it and run `dvc repro`") from None

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        if self._member.compress_type == zipfile.ZIP_STORED:  # without zipfile's CRC: ten times as fast
            with self.path.open("rb") as stream:
                stream.seek(self._start(stream))
                yield stream
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
            stream.read(self._header)
            yield stream

    def _start(self, handle: BinaryIO) -> int:
        handle.seek(self._member.header_offset + 26)
        name, extra = struct.unpack("<HH", handle.read(4))
        start: int = self._member.header_offset + 30 + name + extra + self._header
        if start + math.prod(self.shape) > os.fstat(handle.fileno()).st_size:
            raise NpzError(f"{self.path} is cut short; delete it and run `dvc repro`")
        return start

    def _mapped(self) -> NDArray[np.uint8]:
        with self.path.open("rb") as handle:
            start = self._start(handle)
        if not self.shape[0]:
            return np.empty(self.shape, np.uint8)
        return np.memmap(self.path, np.uint8, "r", start, self.shape)


def read(path: Path | str) -> Arrays:
    """Read an npz of images uint8 (N, H, W, C) and labels int64 (N,); NpzError if it is anything else.

    Stored images are mapped into memory, so reading costs nothing until pixels are used. Nothing is ever unpickled.
    """
    opened = Npz(Path(path))
    return Arrays(opened.images, opened.labels)


class _Container:
    """A zip file written front to back, one open member at a time."""

    def __init__(self, handle: BinaryIO, compression: str) -> None:
        self._handle = handle
        self._method = zipfile.ZIP_STORED if compression == "stored" else zipfile.ZIP_DEFLATED
        self._entries: list[tuple[bytes, int, int, int, int]] = []

    def begin(self, name: str) -> None:
        self._name, self._offset = name.encode(), self._handle.tell()
        self._crc = self._size = self._packed = 0
        self._deflate = _Deflate() if self._method else None
        before = self._offset + 30 + len(self._name) + 20 + 4
        self._padding = -before % _ALIGNMENT
        self._handle.write(self._local_header())

    def write(self, data: bytes | memoryview) -> None:
        self._crc = isal_zlib.crc32(data, self._crc)
        self._size += len(data)
        self._write_packed(self._deflate.packed(data) if self._deflate else data)

    def _write_packed(self, packed: bytes | memoryview) -> None:
        self._packed += len(packed)
        self._handle.write(packed)

    def end(self) -> None:
        if self._deflate:
            self._write_packed(_Deflate.END)
        self._entries.append((self._name, self._offset, self._crc, self._size, self._packed))
        self._handle.seek(self._offset)
        self._handle.write(self._local_header())
        self._handle.seek(0, io.SEEK_END)

    def _local_header(self) -> bytes:
        fields = (b"PK\3\4", _ZIP64, 0, self._method, 0, _DATE, self._crc, _NONE, _NONE, len(self._name))
        sizes = struct.pack("<HHQQ", 1, 16, self._size, self._packed)
        padding = struct.pack("<HH", 0xD935, self._padding) + bytes(self._padding)  # the alignment field of zipalign
        return struct.pack("<4sHHHHHIIIHH", *fields, len(sizes) + len(padding)) + self._name + sizes + padding

    def close(self) -> None:
        start = self._handle.tell()
        for name, offset, crc, size, packed in self._entries:
            extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
            fields = (b"PK\1\2", _ZIP64 | 3 << 8, _ZIP64, 0, self._method, 0, _DATE, crc, _NONE, _NONE, len(name))
            tail = (len(extra), 0, 0, 0, 0o100644 << 16, _NONE)
            self._handle.write(struct.pack("<4sHHHHHHIIIHHHHHII", *fields, *tail) + name + extra)
        end, count = self._handle.tell(), len(self._entries)
        sizes = (count, count, end - start, start)
        self._handle.write(struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, _ZIP64, _ZIP64, 0, 0, *sizes))
        self._handle.write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        self._handle.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, _NONE, _NONE, 0))


class _Deflate:
    """A raw deflate stream (RFC 1951) of pieces that are packed each on its own, so that any may be stored instead."""

    END = b"\3\0"  # an empty last block

    def __init__(self) -> None:
        self._to_store = 0

    def packed(self, piece: bytes | memoryview) -> bytes:
        """Return `piece` in whole bytes of the stream: deflated, or stored if the pieces before it gained little."""
        if self._to_store:
            self._to_store -= 1
            return _stored(piece)
        stream = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
        made = stream.compress(piece) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
        if len(made) > _WORTHWHILE * len(piece):
            self._to_store = _STORED_RUN
        return made


def _stored(piece: bytes | memoryview) -> bytes:
    parts = (piece[start : start + _STORED_BLOCK] for start in range(0, len(piece), _STORED_BLOCK))
    return b"".join(field for part in parts for field in (struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part))


def _npy_header(shape: tuple[int, ...], descr: str) -> bytes:
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue()


def _read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version}")
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    if fortran and len(shape) > 1:
        raise ValueError("Fortran order")
    return shape, dtype, stream.tell()


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    try:
        member = archive.getinfo(name)
    except KeyError:
        have = ", ".join(archive.namelist()[:8]) or "nothing"
        raise NpzError(f"{path} has no {name}; it has {have}") from None
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NpzError(f"{path}: {name} must be stored or deflated, not packed by zip method {member.compress_type}")
    return member


def _checked(
    path: Path,
    member: zipfile.ZipInfo,
    key: str,
    expected: str,
    dimensions: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    header: int,
) -> tuple[int, ...]:
    if dtype != np.dtype(expected).newbyteorder("<") or len(shape) != dimensions:
        raise NpzError(f"{path}: {key} must be {expected} with {dimensions} dimensions, not {dtype} {shape}")
    size = header + math.prod(shape) * dtype.itemsize
    if member.file_size != size or member.file_size > _DEFLATE_LIMIT * member.compress_size + 64:
        raise NpzError(f"{path}: {key} has {member.file_size} bytes where its shape {shape} needs {size}")
    return shape
