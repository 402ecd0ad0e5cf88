"""Every kind of PNG and TIFF that Pillow opens: the pixels of its plain 8-bit twin, or refused by its name."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from pipeline.errors import UserError
from pipeline.sources.imagefolder.pixels import ImageError, decode
from tests.pipeline.sources.imagefolder.files import DEFLATE, NONE, PACKBITS, TURNED, png, tiff

HEIGHT, WIDTH = 20, 36
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
PREMULTIPLIED = 1
PLAIN_PLANES = [(1, (8,), 1), (2, (8, 8, 8), 1), (3, (8,), 1), (5, (8, 8, 8, 8), 1)]
PILLOW_LACKS = [(WHITE_IS_ZERO, 8), (PALETTE, 1), (PALETTE, 2), (PALETTE, 4)]


def numbers(*shape: int, top: int, seed: int = 0) -> Any:
    """Random whole numbers from 0 to `top`, both among them."""
    values = np.random.default_rng(seed).integers(0, top + 1, shape)
    values[0, 0], values[-1, -1] = 0, top
    return values


def scaled(values: Any, top: int) -> Any:
    """The nearest of 256 levels."""
    return np.floor(values * 255 / top + 0.5).astype(np.uint8)


def levels(values: Any, photometric: int, bits: int, colours: Any) -> Any:
    """What samples (H, W, S) mean, in 8 bits, without extra samples."""
    top = 2**bits - 1
    if photometric == PALETTE:
        return colours[values[..., 0]]
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        grey = scaled(values[..., :1], top)
        return 255 - grey if photometric == WHITE_IS_ZERO else grey
    channels = values[..., : 4 if photometric == CMYK else 3] >> (bits - 8)  # of 16 bits the upper 8
    if photometric == CMYK:
        return np.asarray(Image.fromarray(channels.astype(np.uint8), "CMYK").convert("RGB"))
    return channels


Kind = tuple[bool, int, int, int, tuple[int, ...], tuple[int, ...]]


def kinds() -> Iterator[Any]:
    """Whatever Pillow opens: byte order, photometric interpretation, sample format, fill order, bits, extra samples."""
    for order, photometric, (form, *_), fill_order, bits, extra in TiffImagePlugin.OPEN_INFO:
        kind = (order == b"MM", photometric, form, fill_order, bits, extra)
        yield pytest.param(kind, id="-".join(str(part).replace(" ", "") for part in kind))


def refused(kind: Kind, compression: int, layout: str) -> str | None:
    """The reason why a kind is refused, None if it is read."""
    _, photometric, form, fill_order, bits, extra = kind
    if fill_order == 2 and compression == NONE and (photometric, *bits) in PILLOW_LACKS:
        return "unknown raw mode|channels apart"
    if form != 1:
        return {2: "signed", 3: "floating-point"}[form]
    if max(bits) > 16:
        return "32-bit"
    if photometric == YCBCR:
        return "YCbCr"
    if photometric == LAB:
        return "mode LAB|channels apart"
    if layout == "planes" and (photometric, bits, fill_order) not in PLAIN_PLANES:
        return "channels apart|cannot be read as an image"
    return "transparency multiplied" if extra[:1] == (PREMULTIPLIED,) else None


@pytest.mark.parametrize("layout", ["strips", "planes", "tiles"])
@pytest.mark.parametrize("compression", [NONE, DEFLATE, PACKBITS])
@pytest.mark.parametrize("kind", list(kinds()))
def test_every_tiff_that_pillow_opens_is_right_or_refused(
    tmp_path: Path, kind: Kind, compression: int, layout: str
) -> None:
    big_endian, photometric, form, fill_order, bits, extra = kind
    values = numbers(HEIGHT, WIDTH, len(bits), top=2 ** (8 if form == 3 else bits[0]) - 1)
    tags = {339: [form] * len(bits)} | ({338: extra} if extra else {})
    colours = numbers(256, 3, top=255, seed=1).astype(np.uint8)[: 2 ** bits[0]]
    if photometric == PALETTE:
        tags[320] = (colours.T.astype(int).ravel() * 257).tolist()
    path = tmp_path / "x.tif"
    path.write_bytes(
        tiff(
            values,
            bits,
            photometric,
            big_endian=big_endian,
            compression=compression,
            fill_order=fill_order,
            tags=tags,
            layout=layout,
        )
    )
    if (why := refused(kind, compression, layout)) is None:
        np.testing.assert_array_equal(decode(path), levels(values, photometric, bits[0], colours))
    else:
        with pytest.raises(UserError, match=f"x.tif.*({why})"):
            decode(path)


SIXTEEN = numbers(HEIGHT, WIDTH, 1, top=65535)


@pytest.mark.parametrize(
    ("samples", "bits", "photometric", "tags", "why"),
    [
        (SIXTEEN >> 4, (16,), BLACK_IS_ZERO, {281: [4095]}, "levels go to 4095 of 65535"),
        (SIXTEEN, (16,), BLACK_IS_ZERO, {280: [1000]}, "levels go to 1000"),
        (SIXTEEN, (16,), BLACK_IS_ZERO, {341: [255]}, "levels go to 255"),
        (SIXTEEN, (16,), BLACK_IS_ZERO, {339: [4]}, "cannot be read as an image"),
        (SIXTEEN >> 8, (8,), None, {}, "PhotometricInterpretation"),
        (SIXTEEN >> 8, (8,), PALETTE, {320: list(range(256)) * 3}, "a palette of numbers below 256"),
        (numbers(HEIGHT, WIDTH, 4, top=255), (8,) * 4, CMYK, {332: [2]}, "other inks than CMYK"),
        (numbers(HEIGHT, WIDTH, 2, top=255), (8,) * 2, BLACK_IS_ZERO, {338: [1]}, "transparency multiplied"),
        (SIXTEEN >> 4, (12,), WHITE_IS_ZERO, {}, "cannot be read as an image"),
        (SIXTEEN >> 6, (10,), BLACK_IS_ZERO, {}, "cannot be read as an image"),
        (SIXTEEN, (16,), 32803, {}, "cannot be read as an image"),
    ],
)
def test_what_a_tiff_declares_is_not_passed_over(
    tmp_path: Path, samples: Any, bits: tuple[int, ...], photometric: int | None, tags: dict[int, Any], why: str
) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(samples, bits, photometric, tags=tags))
    with pytest.raises(UserError, match=f"x.tif.*({why})"):
        decode(path)


def test_declared_levels_that_change_nothing_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(SIXTEEN, (16,), BLACK_IS_ZERO, tags={280: [0], 281: [65535]}))
    np.testing.assert_array_equal(decode(path), scaled(SIXTEEN, 65535))
    path.write_bytes(tiff(SIXTEEN >> 9, (8,), BLACK_IS_ZERO, tags={281: [127]}))  # a statistic
    np.testing.assert_array_equal(decode(path), SIXTEEN >> 9)


@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, RGB])
def test_premultiplied_colours_are_read_where_nothing_is_transparent(tmp_path: Path, photometric: int) -> None:
    count = 4 if photometric == RGB else 2
    values = numbers(HEIGHT, WIDTH, count, top=255)
    values[..., -1] = 255
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(values, (8,) * count, photometric, tags={338: [PREMULTIPLIED]}))
    np.testing.assert_array_equal(decode(path), values[..., :-1])


@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {b"sBIT": None},
        {b"gAMA": struct.pack(">I", 45455)},
        {b"gAMA": struct.pack(">I", 100000)},
        {b"cHRM": struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000])},
        {b"tRNS": None},
    ],
    ids=lambda chunks: "".join(name.decode() for name in chunks) or "plain",
)
@pytest.mark.parametrize(
    ("colour_type", "bits"),
    [
        *[(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)],
        *[(4, 8), (4, 16), (6, 8), (6, 16)],
    ],
)
def test_every_png_is_right(tmp_path: Path, colour_type: int, bits: int, chunks: dict[bytes, bytes | None]) -> None:
    """Chunks on gamma, colours, significant bits and transparency change no level."""
    count = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    values = numbers(HEIGHT, WIDTH, count, top=2**bits - 1)
    colours = numbers(256, 3, top=255, seed=1).astype(np.uint8)[: 2**bits]
    filled: dict[bytes, bytes] = {}
    for name, data in chunks.items():
        if name == b"tRNS" and colour_type in (4, 6):
            pytest.skip("has its transparency in the pixels")
        transparent = bytes(range(len(colours))) if colour_type == 3 else bytes([0, 1]) * count
        significant = bytes([min(5, bits)]) * (3 if colour_type == 3 else count)
        filled[name] = data or {b"sBIT": significant, b"tRNS": transparent}[name]
    if colour_type == 3:
        filled = (
            {name: filled[name] for name in filled if name != b"tRNS"}
            | {b"PLTE": colours.tobytes()}
            | {name: filled[name] for name in filled if name == b"tRNS"}
        )
    path = tmp_path / "x.png"
    path.write_bytes(png(values, bits, colour_type, filled))
    if colour_type == 3:
        expected = colours[values[..., 0]]
    elif colour_type == 0:
        expected = scaled(values, 2**bits - 1)
    else:
        expected = values[..., : 1 if colour_type == 4 else 3] >> (bits - 8)
    pixels = decode(path)
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, pixels.shape))


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), level=st.sampled_from([0, 6]))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_bit_of_a_pngs_pixels_is_found(tmp_path: Path, place: float, bit: int, level: int) -> None:
    """Though Pillow would give other pixels without a word."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    Image.fromarray((rows * columns).astype(np.uint8)).save(file := io.BytesIO(), "png", compress_level=level)
    content = bytearray(file.getvalue())
    first = content.index(b"IDAT") + 4
    last = content.index(b"IEND") - 4
    content[first + int(place * (last - first))] ^= 1 << bit
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.png"):
        decode(path)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("name", ["x.jpg", "x.tif"])
def test_a_jpeg_is_what_pillow_decodes(tmp_path: Path, name: str, mode: str) -> None:
    image = Image.fromarray(numbers(64, 48, 3, top=255).astype(np.uint8)).convert(mode)
    image.save(tmp_path / name, compression="jpeg" if name == "x.tif" else None, quality=90)
    with Image.open(tmp_path / name) as decoded:
        expected = np.asarray(decoded.convert("L" if mode == "L" else "RGB"))
    np.testing.assert_array_equal(decode(tmp_path / name), expected.reshape(64, 48, -1))


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "exif.tif"])
def test_an_image_is_turned_as_it_says(tmp_path: Path, name: str, orientation: int) -> None:
    values = numbers(HEIGHT, WIDTH, 3, top=255).astype(np.uint8)
    path = tmp_path / name
    if name == "x.tif":
        path.write_bytes(tiff(values, (8, 8, 8), RGB, tags={274: [orientation]}))
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(values).save(path, exif=exif, **({"quality": 95} if name == "x.jpg" else {}))
    plain = io.BytesIO()
    if name == "x.jpg":
        Image.fromarray(values).save(plain, "jpeg", quality=95)
        values = np.asarray(Image.open(plain))
    np.testing.assert_array_equal(decode(path), TURNED[orientation](values))
