"""Image files of any kind, written byte by byte: TIFF 6.0 and PNG (third edition), whatever Pillow would write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TIFF_TYPES = {"H": 3, "L": 4}
NONE, DEFLATE, PACKBITS = 1, 8, 32773
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

TURNED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}
"""What a value of the tag Orientation means (EXIF 2.32, 4.6.4 A)."""


def tiff(
    samples: Any,
    bits: Sequence[int],
    photometric: int | None,
    *,
    big_endian: bool = False,
    compression: int = NONE,
    fill_order: int = 1,
    layout: str = "strips",
    tags: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """Return a TIFF of whole numbers (H, W, samples), each of so many `bits`.

    They lie in two ``strips``, in strips plane by plane (``planes``), or in ``tiles`` of 16 x 16.
    """
    height, width, count = samples.shape
    order = ">" if big_endian else "<"
    if layout == "tiles":
        padded = np.pad(samples, [(0, -height % 16), (0, -width % 16), (0, 0)])
        blocks = [padded[y : y + 16, x : x + 16] for y in range(0, height, 16) for x in range(0, width, 16)]
    else:
        planes = np.split(samples, count, axis=2) if layout == "planes" else [samples]
        blocks = [half for plane in planes for half in (plane[: height // 2], plane[height // 2 :])]
    pieces = []
    for block in blocks:
        raw = b"".join(_packed_row(row, bits[0], order) for row in block.reshape(len(block), -1))
        packed = {NONE: bytes, DEFLATE: zlib.compress, PACKBITS: _packbits}[compression](raw)
        pieces.append(packed.translate(REVERSED) if fill_order == 2 else packed)
    entries: dict[int, tuple[str, Sequence[int]]] = {
        256: ("L", [width]),
        257: ("L", [height]),
        258: ("H", bits),
        259: ("H", [compression]),
        266: ("H", [fill_order]),
        277: ("H", [count]),
        284: ("H", [2 if layout == "planes" else 1]),
    }
    sizes = ("L", [len(piece) for piece in pieces])
    places = ("L", [8 + sum(map(len, pieces[:n])) for n in range(len(pieces))])
    if layout == "tiles":
        entries |= {322: ("H", [16]), 323: ("H", [16]), 324: places, 325: sizes}
    else:
        entries |= {273: places, 278: ("L", [height // 2]), 279: sizes}
    if photometric is not None:
        entries[262] = ("H", [photometric])
    entries |= {tag: ("H", values) for tag, values in (tags or {}).items()}
    body = b"".join(pieces)
    body += bytes(len(body) % 2)
    directory = b""
    after = b""
    start = 8 + len(body) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(data) > 4:
            value = struct.pack(f"{order}L", start + len(after))
            after += data
        else:
            value = data.ljust(4, b"\0")
        directory += struct.pack(f"{order}HHL", tag, TIFF_TYPES[kind], len(values)) + value
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(f"{order}L", 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(entries)) + directory + bytes(4) + after


def _packed_row(row: Any, bits: int, order: str) -> bytes:
    if bits in (8, 16, 32):
        return bytes(row.astype(f"{order}{'i' if row.min() < 0 else 'u'}{bits // 8}").tobytes())
    text = "".join(f"{value:0{bits}b}" for value in row.tolist())
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _packbits(raw: bytes) -> bytes:
    runs = (raw[start : start + 128] for start in range(0, len(raw), 128))
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def png(samples: Any, bits: int, colour_type: int, chunks: Mapping[bytes, bytes] | None = None) -> bytes:
    """Return a PNG of whole numbers (H, W, samples); `chunks` come before the pixels."""
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + _packed_row(row, bits, ">") for row in samples.reshape(height, -1))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = {b"IHDR": header, **(chunks or {}), b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )
