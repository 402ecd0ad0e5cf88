"""A folder of ugly files becomes a verified, exported and scored data set: every pixel right, or the file left out."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import save_file

from benchmark import predict, report, score
from benchmark.models.families import phantom_clip
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import export, prepare, verify
from pipeline.config.params import read_config
from pipeline.generation import cells
from pipeline.io import npz
from pipeline.sources.imagefolder.resize import fitted
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.faults.workspace import write_params
from tests.pipeline.sources.imagefolder.files import DEFLATE, PACKBITS, TURNED, png, tiff

Y, X = np.mgrid[:230, :260]
COLOUR = np.stack([X * 255 // 259, Y * 255 // 229, (X + Y) * 255 // 488], axis=-1)
COLOUR[60:120, 40:90] = (250, 20, 60)
GREY = COLOUR[..., :1]
ALPHA = (X[..., np.newaxis] * 7) % 256


def ugly_files(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Write the files; return the 8-bit pixels of those that are read, by name, and the names of the others."""
    right: dict[str, Any] = {}
    wrong: list[str] = []

    def put(name: str, content: bytes, pixels: Any = None) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if pixels is None:
            wrong.append(name)
        else:
            right[name] = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint8)

    def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
        image.save(file := io.BytesIO(), kind, **options)
        return file.getvalue()

    colour, grey = Image.fromarray(COLOUR.astype(np.uint8)), Image.fromarray(GREY[..., 0].astype(np.uint8))
    palette = colour.quantize(200)
    bilevel = (GREY > 127).astype(int)

    put("grey 1.png", png(GREY, 8, 0), GREY)
    put("1-bit.png", png(bilevel, 1, 0), bilevel * 255)
    put("2-bit.png", png(GREY >> 6, 2, 0), (GREY >> 6) * 85)
    put("4-bit.png", png(GREY >> 4, 4, 0), (GREY >> 4) * 17)
    put("16-bit.png", png(GREY * 257, 16, 0), GREY)
    put("gamma.png", png(COLOUR, 8, 2, {b"gAMA": (100000).to_bytes(4, "big")}), COLOUR)
    put("significant bits.png", png(COLOUR, 8, 2, {b"sBIT": b"\5\6\5"}), COLOUR)
    put("deep colour.png", png(COLOUR * 257, 16, 2), COLOUR)
    put("transparent.PNG", png(np.concatenate([COLOUR, ALPHA], axis=2), 8, 6), COLOUR)
    put("grey transparent.png", png(np.concatenate([GREY, ALPHA], axis=2), 8, 4), GREY)
    put("palette.png", saved(palette, "png"), np.asarray(palette.convert("RGB")))
    put("palette transparent.png", saved(palette, "png", transparency=3), np.asarray(palette.convert("RGB")))
    put("interlaced jpeg.jpg", saved(colour, "jpeg", quality=95, progressive=True), decoded(colour, "RGB"))
    put("grey.jpeg", saved(grey, "jpeg", quality=95), decoded(grey, "L"))
    put("cmyk.jpg", saved(colour.convert("CMYK"), "jpeg", quality=95), decoded(colour.convert("CMYK"), "RGB"))
    for orientation, turn in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        put(f"turned {orientation}.png", saved(colour, "png", exif=exif), turn(COLOUR))
    put("a png named.jpg", png(COLOUR, 8, 2), COLOUR)
    put("8-bit.tif", tiff(GREY, (8,), 1), GREY)
    put("white is zero.tif", tiff(255 - GREY, (8,), 0), GREY)
    put("white is zero, 16-bit.tif", tiff(65535 - GREY * 257, (16,), 0), GREY)
    put("12-bit.tiff", tiff(np.full_like(GREY, 4095), (12,), 1), np.full_like(GREY, 255))
    put("16-bit big endian.tif", tiff(GREY * 257, (16,), 1, big_endian=True), GREY)
    put("planes.tif", tiff(COLOUR, (8, 8, 8), 2, layout="planes", compression=DEFLATE), COLOUR)
    put("tiles.tif", tiff(COLOUR, (8, 8, 8), 2, layout="tiles", compression=PACKBITS), COLOUR)
    put("lzw.tif", saved(colour, "tiff", compression="tiff_lzw"), COLOUR)
    put(
        "fax.tif",
        saved(colour.convert("1"), "tiff", compression="group4"),
        np.asarray(colour.convert("1"))[..., None] * 255,
    )
    put("turned.tif", tiff(COLOUR, (8, 8, 8), 2, tags={274: [6]}), np.rot90(COLOUR, -1))
    put("bits reversed.tif", tiff(GREY, (8,), 1, fill_order=2), GREY)
    put("mélanome\u0301 ☢ = 'x', \"y\"\n.png", png(GREY, 8, 0), GREY)
    put(os.fsdecode(b"latin \xe9.png"), png(GREY, 8, 0), GREY)
    put("patient/left/1.png", png(COLOUR, 8, 2), COLOUR)

    put("signed.tif", tiff(GREY - 128, (8,), 1, tags={339: [2]}))
    put("part of the range.tif", tiff(GREY * 16, (16,), 1, tags={281: [4095]}))
    put("32-bit.tif", tiff(GREY, (32,), 1))
    put("float.tif", saved(Image.fromarray(GREY[..., 0].astype(np.float32)), "tiff"))
    put("lab.tif", saved(Image.new("LAB", (230, 230)), "tiff"))
    put("pages.tif", saved(grey, "tiff", save_all=True, append_images=[grey]))
    put("moving.png", saved(grey, "png", save_all=True, append_images=[colour.convert("L").rotate(90)]))
    put("cut.png", png(COLOUR, 8, 2)[:2000])
    flipped = bytearray(png(COLOUR, 8, 2))
    flipped[5000] ^= 1
    put("one bit.png", flipped)
    put("empty.jpg", b"")
    put("thin.png", png(GREY[:1], 8, 0))
    put("web.png", saved(colour, "webp"))
    for kind in ("gif", "bmp", "jpeg2000", "avif", "ppm", "tga", "ico"):
        put(f"{kind}.tif", saved(colour, kind))
    put("two views.jpg", saved(colour, "mpo", save_all=True, append_images=[grey]))
    put("part of a class.webp", saved(colour, "webp"))
    put("microscope.bmp", saved(colour, "bmp"))
    put("slice.dcm", bytes(128) + b"DICM")
    return right, wrong


def decoded(image: Image.Image, mode: str) -> Any:
    """What a JPEG of `image` holds."""
    image.save(file := io.BytesIO(), "jpeg", quality=95, progressive=image.mode == "RGB")
    return np.asarray(Image.open(file).convert(mode)).reshape(*COLOUR.shape[:2], -1)


def test_a_folder_of_ugly_files(tmp_path: Path, capsys: Any) -> None:
    model = phantom_clip.RECORD.name
    benchmark = {"baseline": model, "models": [model], "tuned": {}, "weights": {model: "weights"}, "bootstrap": 10}
    params = {"columns": {"ugly": "oct"}, "limit": None, "allow_overlap": True, "benchmark": benchmark}
    write_params(tmp_path, source="imagefolder", datasets=["ugly"], **params)
    workspace, config = Workspace(tmp_path), read_config(Workspace(tmp_path))
    folder = workspace.raw("imagefolder") / "ugly"
    right, wrong = ugly_files(folder / "test" / "ugly")
    (folder / "test" / "plain").mkdir()
    (folder / "test" / "plain" / "1.png").write_bytes(png(255 - COLOUR, 8, 2))
    for split in ("train", "val"):
        shutil.copytree(folder / "test" / "plain", folder / split / "plain")
        shutil.copytree(folder / "test" / "plain", folder / split / "ugly")

    prepare.prepare(workspace, "ugly", config, workers=2)
    assert f"{len(wrong)} files are left out" in capsys.readouterr().err
    with workspace.dropped("ugly").open(encoding="utf-8", newline="") as file:
        assert sorted(row["image_id"] for row in csv.DictReader(file)) == sorted(f"ugly/{name}" for name in wrong)
    with workspace.rows("ugly").open(encoding="utf-8", newline="") as file:
        rows = {row["image_id"]: int(row["index"]) for row in csv.DictReader(file) if row["split"] == "test"}
    shown = {os.fsencode(name).decode("utf-8", "backslashreplace"): pixels for name, pixels in right.items()}
    assert set(rows) == {f"ugly/{name}" for name in shown} | {"plain/1.png"}
    images = npz.read(workspace.npz(Cell("ugly", "test"))).images
    for name, pixels in shown.items():
        np.testing.assert_array_equal(images[rows[f"ugly/{name}"]], fitted(pixels), name)

    for corruption in CORRUPTIONS:
        cells.corrupt(workspace, "ugly", corruption, config, cells.Execution(workers=2))
    assert verify.verify(workspace, config, workers=2).findings == []
    export.export(workspace, config, workers=2)
    assert list(workspace.export.rglob("*.parquet"))

    write_weights(tmp_path / "weights")
    assert predict.predict(tmp_path, model) == (1 + len(CORRUPTIONS) * len(SEVERITIES), 0)
    assert score.score(workspace).datasets["ugly"].per_class == (1, len(right))
    assert "ugly" in report.report(workspace).read_text(encoding="utf-8")


def write_weights(folder: Path) -> None:
    """Write a phantom-clip of random weights."""
    towers = zip(("image", "text"), phantom_clip.towers(seed=1), strict=True)
    weights = {f"{name}.{key}": value for name, tower in towers for key, value in tower.state_dict().items()}
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / phantom_clip.WEIGHTS)
