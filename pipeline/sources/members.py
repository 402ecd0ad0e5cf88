"""Members of a zip file that hold rows of equal size: read at any row, in memory that does not grow with the file."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.io.archives import ZIP_FAILURES, is_damage
from pipeline.sources import SourceError
from pipeline.sources.arrays import Header, header, read_labels

_BLOCK = 1 << 20
_DEFLATE_LIMIT = 1032  # deflate makes at most 1032 bytes of one (zlib's technical notes)
_EVERY = 8 << 20  # bytes of the array from one checkpoint to the next; a checkpoint takes about 50 kB


@dataclass(frozen=True)
class _Checkpoint:
    """A place from which inflating can go on: `at` bytes of the array were made from the first `packed` ones."""

    at: int
    packed: int
    inflater: Any


class Rows:
    """One array (N, ...) in a stored or deflated member, checked by its CRC on opening.

    The check reads the member once and leaves checkpoints, since deflate has no other way to begin in the middle.

    Attributes:
        shape, dtype: of the array.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._where = path, f"{path}: {name}"
        with _reading(path):
            with zipfile.ZipFile(path) as archive:
                self._member = _member(archive, path, f"{name}.npy")
            with path.open("rb") as file:
                self._start = _pixels(file, self._member)
                self._stored = self._member.compress_type == zipfile.ZIP_STORED
                self._checkpoints: list[_Checkpoint] = []
                self._header = self._scan(file)
        self.shape, self.dtype = self._header.shape, self._header.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows `start` to `stop`, exclusive; any thread may."""
        each = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        first, length = self._header.size + start * each, (stop - start) * each
        with _reading(self._path), self._path.open("rb") as file:
            raw = self._stored_bytes(file, first, length) if self._stored else self._inflated(file, first, length)
        if len(raw) != length:
            raise SourceError(f"{self._where} was cut short while it was read")
        return np.frombuffer(raw, self.dtype).reshape(stop - start, *self.shape[1:])

    def _scan(self, file: BinaryIO) -> Header:
        """Read the member through: its header, its CRC, and checkpoints if it is deflated."""
        inflater = None if self._stored else zlib.decompressobj(-zlib.MAX_WBITS)
        head: Header | None = None
        crc, made, packed, begun = 0, 0, 0, b""
        file.seek(self._start)
        while packed < self._member.compress_size:
            if inflater is not None and (not self._checkpoints or made - self._checkpoints[-1].at >= _EVERY):
                self._checkpoints.append(_Checkpoint(made, packed, inflater.copy()))
            block = file.read(min(_BLOCK // 16 if inflater else _BLOCK, self._member.compress_size - packed))
            if not block:
                raise EOFError("the file ends early")
            packed += len(block)
            for piece in [block] if inflater is None else _pieces(inflater, block):
                crc = zlib.crc32(piece, crc)
                made += len(piece)
                if made > self._member.file_size:
                    raise SourceError(f"{self._where} is damaged: it is longer than it says")
                if head is None:
                    begun += piece
                    if len(begun) >= min(1 << 14, self._member.file_size):
                        head = self._fits(header(io.BytesIO(begun), self._where))
        if made != self._member.file_size or crc != self._member.CRC:
            raise SourceError(f"{self._where} is damaged: its checksum is wrong")
        return head or self._fits(header(io.BytesIO(begun), self._where))

    def _fits(self, head: Header) -> Header:
        if head.bytes != self._member.file_size:
            raise SourceError(f"{self._where} is damaged: its length does not fit its header")
        return head

    def _stored_bytes(self, file: BinaryIO, first: int, length: int) -> bytes:
        file.seek(self._start + first)
        return file.read(length)

    def _inflated(self, file: BinaryIO, first: int, length: int) -> bytes:
        checkpoint = self._checkpoints[bisect_right(self._checkpoints, first, key=lambda one: one.at) - 1]
        inflater, skip = checkpoint.inflater.copy(), first - checkpoint.at
        file.seek(self._start + checkpoint.packed)
        left = self._member.compress_size - checkpoint.packed
        out = bytearray()
        while left and len(out) < length:
            block = file.read(min(_BLOCK // 16, left))
            if not block:
                break
            left -= len(block)
            for piece in _pieces(inflater, block):
                used = min(skip, len(piece))
                skip -= used
                out += memoryview(piece)[used : used + length - len(out)]
        return bytes(out)


def labels(path: Path, name: str) -> NDArray[Any]:
    """Read a small array of labels, (N,) or (N, 1), as (N,)."""
    with (
        _reading(path),
        zipfile.ZipFile(path) as archive,
        archive.open(_member(archive, path, f"{name}.npy")) as stream,
    ):
        return read_labels(stream, f"{path}: {name}")


def _pieces(inflater: Any, block: bytes) -> Iterator[bytes]:
    """Yield what `block` inflates to, a bounded piece at a time."""
    while True:
        piece = inflater.decompress(block, _BLOCK)
        if piece:
            yield piece
        block = inflater.unconsumed_tail
        if len(piece) < _BLOCK and not (piece and block):
            return


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    if name not in archive.namelist():
        have = ", ".join(archive.namelist()[:8]) or "nothing"
        raise SourceError(f"{path} has no {name}; it has {have}")
    member = archive.getinfo(name)
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SourceError(f"{path}: {name} is encrypted or packed in an unknown way")
    if member.file_size > _DEFLATE_LIMIT * member.compress_size + 64:
        raise SourceError(f"{path}: {name} says that it unpacks to more than it can")
    return member


def _pixels(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return where a member's own bytes begin (APPNOTE 6.3.10, section 4.3.7)."""
    file.seek(member.header_offset)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a member is not where the directory says")
    name, extra = struct.unpack("<HH", local[26:])
    return member.header_offset + 30 + int(name) + int(extra)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise SourceError for an archive that is not there, or damaged."""
    try:
        yield
    except FileNotFoundError:
        raise SourceError(f"no {path}: run `python -m pipeline.fetch`, or put the file there") from None
    except ZIP_FAILURES as broken:
        if not is_damage(broken):
            raise
        what = " ".join(str(broken).split())[:120]
        raise SourceError(f"{path} is not a whole npz ({what}); delete it and fetch it anew") from None
