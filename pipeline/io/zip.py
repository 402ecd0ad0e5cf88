"""Members of zip archives: read without trust at any place, and written front to back.

`zipfile` reads headers, and reads and writes the directory (PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5). The bytes of
a member are read and written here, since `zipfile` can neither begin in the middle of a deflated member, nor align a
stored one, nor use ISA-L, whose CRC and deflate are several times as fast as zlib's.
"""

from __future__ import annotations

import errno
import io
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from isal import isal_zlib

from pipeline.errors import UserError
from pipeline.io.regular import open_regular

_FAILURES = (
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
"""What zipfile raises for a damaged, encrypted or exotic archive, by the place where it notices."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DEFLATE_LIMIT = 1032  # deflate makes at most 1032 bytes of one (zlib's technical notes)
_BLOCK = 1 << 16  # bytes, of packed data that is inflated at a time
_CHECKED_BLOCK = 1 << 20  # bytes, of unpacked data that is checked at a time
_CHECKPOINT_EVERY = 8 << 20  # bytes of a deflated member; a checkpoint takes about 50 kB

_ALIGNMENT = 64
_ALIGNMENT_FIELD = 0xD935  # the extra field that zipalign uses
_UNIX = 3  # the system that file attributes are of (section 4.4.2)
_ZIP64 = 45  # the version of the format that has 64-bit sizes (section 4.4.3)
_IN_EXTRA = 0xFFFFFFFF  # in place of a size that stands in the zip64 field
_FIRST_DAY = 33  # 1 January 1980, as MS-DOS writes it
_LEVEL = 2  # at ISA-L's level 1 two streams in a hundred vary from process to process (python-isal 1.9.1)
_WORTHWHILE = 7 / 8  # of its size, a piece that deflate makes larger than this is hardly worth the time
_STORED_RUN = 15  # pieces after it that are stored untried: a cell's images are much alike
_STORED_BLOCK = 0xFFFF  # bytes, of a stored block at most
_LAST_BLOCK = b"\3\0"  # an empty one, which ends a deflate stream


class ZipError(UserError):
    """A zip archive is damaged, lacks a member, or is packed in a way that is not read here."""


@contextmanager
def damage_refused(path: Path) -> Iterator[None]:
    """Raise ZipError for whatever zipfile raises within this because the archive `path` is damaged."""
    try:
        yield
    except _FAILURES as failure:
        # EINVAL is of a seek to before the beginning, where a damaged archive points; other OSErrors are the disk's.
        is_other = isinstance(failure, OSError) and failure.errno != errno.EINVAL
        if is_other or isinstance(failure, UserError):
            raise
        raise ZipError(f"{path} is not a whole zip archive ({' '.join(str(failure).split())[:120]})") from None


def check_packing(member: zipfile.ZipInfo, where: str) -> None:
    """Raise ZipError unless a member is stored or deflated, not encrypted, and no larger than deflate can make it."""
    if member.flag_bits & 1 or member.compress_type not in _METHODS:
        raise ZipError(f"{where} must be stored or deflated; it is encrypted or packed in another way")
    if member.file_size > _DEFLATE_LIMIT * member.compress_size + 64:
        raise ZipError(f"{where} says that it unpacks to more than it can")


class Stream(Protocol):
    """What can be read from front to back."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        ...


class _Checkpoint(NamedTuple):
    """A place from which inflating can go on: `start` bytes of the member were made of the first `packed` ones."""

    start: int
    packed: int
    inflater: Any


class Member:
    """One stored or deflated file of an archive, whose bytes are read at any place; any thread may.

    Attributes:
        path, where: of the archive; and that with the member, for messages.
        size, packed_size, crc: bytes unpacked and packed, and the checksum, as the archive's directory has them.
        offset: where its own bytes begin in the archive.
        is_stored: whether they stand there as they are.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.where = path, f"{path}: {name}"
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            if name not in archive.namelist():
                raise ZipError(f"{path} has no {name}; it has {', '.join(archive.namelist()[:8]) or 'nothing'}")
            member = archive.getinfo(name)
            check_packing(member, self.where)
            file.seek(member.header_offset)
            header = file.read(30)  # section 4.3.7
            if len(header) < 30 or header[:4] != b"PK\3\4":
                raise ZipError(f"{self.where} is not where the archive's directory says")
            self.offset = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))
            if self.offset + member.compress_size > file.seek(0, io.SEEK_END):
                raise ZipError(f"{self.where} is cut short")
        self.size, self.packed_size, self.crc = member.file_size, member.compress_size, member.CRC
        self.is_stored = member.compress_type == zipfile.ZIP_STORED
        self._checkpoints = [_Checkpoint(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))]

    @contextmanager
    def open(self, start: int = 0) -> Iterator[Stream]:
        """Open the member at a byte; after `check`, a deflated one too is read from nearby.

        A stored member is not checked by its CRC, and its stream does not end where the member ends.
        """
        with open_regular(self.path) as file:
            if self.is_stored:
                file.seek(self.offset + start)
                yield file
                return
            place = bisect_right(self._checkpoints, start, key=lambda checkpoint: checkpoint.start)
            stream = _Inflated(self, file, self._checkpoints[place - 1])
            while left := start - stream.position:
                if not stream.read(min(left, _CHECKED_BLOCK)):
                    raise ZipError(f"{self.where} is cut short")
            yield stream

    def check(self) -> None:
        """Compare the member with its CRC, which reads all of it; leave checkpoints, from which `open` begins.

        Raises:
            ZipError: it is damaged.
        """
        position = crc = 0
        with open_regular(self.path) as file:
            file.seek(self.offset)
            stream: Stream = file if self.is_stored else _Inflated(self, file, self._checkpoints[0])
            while block := stream.read(min(_CHECKED_BLOCK, self.size - position)):
                crc = isal_zlib.crc32(block, crc)
                position += len(block)
                if isinstance(stream, _Inflated) and position - self._checkpoints[-1].start >= _CHECKPOINT_EVERY:
                    self._checkpoints.append(stream.checkpoint())
        if (position, crc) != (self.size, self.crc):
            raise ZipError(f"{self.where} is damaged: its checksum is wrong")


class _Inflated:
    """What a deflated member unpacks to, from a checkpoint on; read from beginning to end, its CRC is checked.

    Attributes:
        position: of the next byte in the member.
    """

    def __init__(self, member: Member, file: BinaryIO, checkpoint: _Checkpoint) -> None:
        self.position = checkpoint.start
        self._member, self._file, self._packed = member, file, checkpoint.packed
        self._inflater = checkpoint.inflater.copy()
        self._crc = None if checkpoint.start else 0
        file.seek(member.offset + checkpoint.packed)

    def read(self, size: int, /) -> bytes:
        inflated = bytearray()
        while len(inflated) < size and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_BLOCK, self._member.packed_size - self._packed))
                self._packed += len(packed)
            piece = self._inflater.decompress(packed, size - len(inflated))
            if not piece and not packed:
                break
            inflated += piece
        self.position += len(inflated)
        if self._crc is not None:
            self._crc = isal_zlib.crc32(inflated, self._crc)
            if self.position == self._member.size and self._crc != self._member.crc:
                raise ZipError(f"{self._member.where} is damaged: its checksum is wrong")
        return bytes(inflated)

    def checkpoint(self) -> _Checkpoint:
        """Return the place that has been reached."""
        return _Checkpoint(self.position, self._packed, self._inflater.copy())


class ZipWriter:
    """An archive that is written front to back: equal members give equal bytes, and data of stored ones is aligned.

    A stored member's data begins at a multiple of 64 bytes. Deflate is ISA-L's level 2, whose streams vary now and
    then, with what it hardly makes smaller stored inside it.
    """

    def __init__(self, handle: BinaryIO, *, is_deflated: bool) -> None:
        self._handle = handle
        self._is_deflated = is_deflated
        self._members: list[zipfile.ZipInfo] = []

    @contextmanager
    def member(self, name: str) -> Iterator[MemberWriter]:
        """Add a member of what is written within this."""
        info = zipfile.ZipInfo(name)  # of 1 January 1980
        info.external_attr = 0o100644 << 16
        info.compress_type = zipfile.ZIP_DEFLATED if self._is_deflated else zipfile.ZIP_STORED
        info.header_offset, info.CRC = self._handle.tell(), 0
        info.create_system, info.create_version, info.extract_version = _UNIX, _ZIP64, _ZIP64
        info.extra = struct.pack("<HH", _ALIGNMENT_FIELD, 0)
        padding = -(info.header_offset + len(_local_header(info))) % _ALIGNMENT
        info.extra = struct.pack("<HH", _ALIGNMENT_FIELD, padding) + bytes(padding)
        self._handle.write(_local_header(info))
        writer = MemberWriter(self._handle, info)
        yield writer
        writer.finish()
        self._handle.seek(info.header_offset)
        self._handle.write(_local_header(info))
        self._handle.seek(0, io.SEEK_END)
        info.extra = b""  # the directory needs no padding
        self._members.append(info)

    def close(self) -> None:
        """Write the directory."""
        start = self._handle.tell()
        self._handle.seek(0)  # where zipfile takes the archive to begin; it writes nothing there
        with zipfile.ZipFile(self._handle, "w") as archive:
            archive.filelist.extend(self._members)
            archive.start_dir = start


class MemberWriter:
    """Takes the data of one member of a `ZipWriter`, piece by piece."""

    def __init__(self, handle: BinaryIO, info: zipfile.ZipInfo) -> None:
        self._handle, self._info = handle, info
        self._is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
        self._untried = 0  # pieces still to be stored without trying to deflate them

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece; each is deflated on its own, so that any may be stored instead."""
        self._info.CRC = isal_zlib.crc32(piece, self._info.CRC)
        self._info.file_size += len(piece)
        self._write(self._deflated(piece) if self._is_deflated else piece)

    def finish(self) -> None:
        """End the data."""
        if self._is_deflated:
            self._write(_LAST_BLOCK)

    def _write(self, packed: bytes | memoryview) -> None:
        self._info.compress_size += len(packed)
        self._handle.write(packed)

    def _deflated(self, piece: bytes | memoryview) -> bytes:
        """Return `piece` in whole bytes of a raw deflate stream (RFC 1951)."""
        if self._untried:
            self._untried -= 1
            return _stored_blocks(piece)
        deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)
        packed: bytes = deflate.compress(piece) + deflate.flush(isal_zlib.Z_SYNC_FLUSH)
        if len(packed) > _WORTHWHILE * len(piece):
            self._untried = _STORED_RUN
        return packed


def _local_header(info: zipfile.ZipInfo) -> bytes:
    """Return the header before a member's data (sections 4.3.7 and 4.5.3), its sizes in the zip64 field.

    That of zipfile depends on the version of Python: 3.11.4 changed where the sizes stand.
    """
    name = info.filename.encode("ascii")
    extra = info.extra + struct.pack("<HHQQ", 1, 16, info.file_size, info.compress_size)
    fields = (_ZIP64, 0, info.compress_type, 0, _FIRST_DAY, info.CRC, _IN_EXTRA, _IN_EXTRA, len(name), len(extra))
    return b"PK\3\4" + struct.pack("<5H3L2H", *fields) + name + extra


def _stored_blocks(piece: bytes | memoryview) -> bytes:
    blocks = (piece[start : start + _STORED_BLOCK] for start in range(0, len(piece), _STORED_BLOCK))
    return b"".join(
        field for block in blocks for field in (struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF), block)
    )
