"""Time the torch kernels: images a second beside kornia's augmentation of the same kind and a copy of the same bytes.

    python -m tests.bench.gpu                                  # on the current CUDA device: `make bench-gpu`
    python -m tests.bench.gpu --device cpu --batches 8 --count 16      # a smoke run

Medians of repeated runs after a warm-up, by CUDA events on a GPU. "copy" is a device-to-device copy of the batch: a
kernel reads and writes as many bytes at least. The draws are timed with their kernels and, for uniforms, alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import torch
from torch import Tensor

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, BackendUnavailable, gpu, strength
from corruptions.gpu.draws import draw, uniforms
from corruptions.spec import DrawKey
from pipeline.io import npz
from pipeline.io.records import write_json

BATCHES = (64, 256, 1024)
SIZE, SEVERITY, DATASET = 224, 3, "pbc"
DRAW_KEY = DrawKey(dataset=DATASET, split="test", seed=1)
KEY = DRAW_KEY.philox("bench")


def median_seconds(work: Callable[[], object], device: torch.device, *, repeats: int) -> float:
    """Return the median time of one call, after a warm-up; by events on a GPU, so that launching is not in it."""
    for _ in range(2):
        work()
    if device.type != "cuda":
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)
    torch.cuda.synchronize(device)
    marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for before, after in marks:
        before.record()
        work()
        after.record()
    torch.cuda.synchronize(device)
    return statistics.median(before.elapsed_time(after) / 1000 for before, after in marks)


def peer(name: str) -> torch.nn.Module | None:
    """Return kornia's own augmentation of the same kind, at a like strength; None if it has none."""
    augmentation = kornia.augmentation
    radius = strength("motion_blur", SEVERITY).parameters["radius"]
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "gaussian_noise": lambda: augmentation.RandomGaussianNoise(std=0.18, p=1.0),
        "impulse_noise": lambda: augmentation.RandomSaltAndPepperNoise(amount=0.09, p=1.0),
        "motion_blur": lambda: augmentation.RandomMotionBlur((2 * radius + 1,) * 2, 45.0, 1.0, p=1.0),
        "brightness": lambda: augmentation.RandomBrightness((1.3, 1.3), p=1.0),
        "contrast": lambda: augmentation.RandomContrast((0.4, 0.4), p=1.0),
    }
    return makers[name]() if name in makers else None


def rows(device: torch.device, batches: Sequence[int], *, fuse: bool, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield one measurement of each kernel and batch size."""
    for count in batches:
        images = torch.randint(0, 256, (count, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
        target = torch.empty_like(images)

        def timed(work: Callable[[], object], count: int = count) -> float:
            return count / median_seconds(work, device, repeats=repeats)

        copied = timed(lambda target=target, images=images: target.copy_(images))  # type: ignore[misc]
        numbers = torch.arange(count, device=device)

        def draw_uniforms(numbers: Tensor = numbers) -> Tensor:
            return uniforms(KEY, numbers, SIZE * SIZE * 3, device, fuse=fuse)

        rate = timed(draw_uniforms)
        yield {"kernel": "uniforms alone", "batch": count, "images_per_s": rate, "copy_images_per_s": copied}
        floats = images.permute(0, 3, 1, 2).float() / 255
        for name in CORRUPTIONS:
            for profile in PROFILES:
                cell = strength(name, SEVERITY, profile=profile, column=DATASET)
                if profile != PROFILES[0] and cell.kernel == strength(name, SEVERITY).kernel:
                    continue
                drawn = draw(cell, KEY, numbers, images.shape, device)

                def apply(cell: Any = cell, images: Tensor = images, drawn: Any = drawn) -> Tensor:
                    return gpu.apply(images, cell, drawn, fuse=fuse)

                def draw_and_apply(cell: Any = cell, images: Tensor = images, numbers: Tensor = numbers) -> Tensor:
                    return gpu.apply(images, cell, draw(cell, KEY, numbers, images.shape, device, fuse=fuse), fuse=fuse)

                row = {"kernel": cell.kernel, "batch": count, "images_per_s": timed(apply)}
                row |= {"with_draws": timed(draw_and_apply) if cell.draws else None, "copy_images_per_s": copied}
                other = peer(name)
                row["kornia"] = None if other is None else timed(lambda other=other, x=floats: other(x))  # type: ignore[misc]
                yield row


def all_cells(device: torch.device, count: int, *, fuse: bool, repeats: int) -> float:
    """Return the seconds of device time of all 35 cells of `count` RGB images that lie on the device."""
    images = torch.randint(0, 256, (count, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
    cells = [[strength(name, severity) for severity in SEVERITIES] for name in CORRUPTIONS]

    def work() -> None:
        for severities in cells:
            drawn = draw(severities[0], KEY, range(count), images.shape, device, fuse=fuse)
            for cell in severities:
                gpu.apply(images, cell, drawn, fuse=fuse)

    return median_seconds(work, device, repeats=repeats)


def end_to_end(device: torch.device, count: int, batch: int, *, fuse: bool) -> dict[str, float]:
    """Return the seconds from images in memory to five npz on disk, of each corruption."""
    images = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    labels = np.zeros(count, np.int64)
    seconds = {}
    for name in CORRUPTIONS:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            start = time.perf_counter()
            writers = [
                stack.enter_context(npz.write(Path(folder) / f"{severity}.npz", labels, (SIZE, SIZE, 3)))
                for severity in SEVERITIES
            ]
            chunks = (images[first : first + batch] for first in range(0, count, batch))
            for results in gpu.stream(chunks, name, DRAW_KEY, device=device, fuse=fuse):
                for writer, result in zip(writers, results, strict=True):
                    writer.append(result)
            stack.close()
            seconds[name] = time.perf_counter() - start
    return seconds


def table(measured: Sequence[dict[str, Any]]) -> str:
    """Return the measurements as Markdown."""
    head = ["kernel", "batch", "images/s", "with its draws", "of the copy", "kornia's own"]
    lines = ["| " + " | ".join(head) + " |", "|---|---:|---:|---:|---:|---:|"]
    for row in measured:
        drawn, other = (f"{row[k]:,.0f}" if row.get(k) else "-" for k in ("with_draws", "kornia"))
        share = f"{100 * row['images_per_s'] / row['copy_images_per_s']:.0f} %"
        cells = [row["kernel"], str(row["batch"]), f"{row['images_per_s']:,.0f}", drawn, share, other]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="in torch's words (default: the current CUDA device)")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--count", type=int, default=1000, help="images of the runs over all cells (default: 1000)")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--fuse", action="store_true", help="with kernels compiled by torch.compile")
    parser.add_argument("--output", type=Path, help="a JSON file for the numbers")
    args = parser.parse_args(argv)
    try:
        device = gpu.select_device(args.device)
    except BackendUnavailable as missing:
        print(f"error: nothing measured: {missing}", file=sys.stderr)
        return 1
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    measured = list(rows(device, args.batches, fuse=args.fuse, repeats=args.repeats))
    result = {
        "device": title,
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda, "kornia": kornia.__version__},
        "fused": args.fuse,
        "kernels": measured,
        "all_cells": {
            "images": args.count,
            "seconds": all_cells(device, args.count, fuse=args.fuse, repeats=min(args.repeats, 3)),
        },
        "end_to_end": {
            "images": args.count,
            "seconds": end_to_end(device, args.count, min(args.batches), fuse=args.fuse),
        },
    }
    print(f"{title}, {json.dumps(result['versions'])}, {SIZE} x {SIZE} RGB, severity {SEVERITY}\n")
    print(table(measured))
    print(f"\nAll 35 cells of {args.count} images, on the device: {result['all_cells']['seconds']:.3f} s")
    seconds = sum(result["end_to_end"]["seconds"].values())
    print(f"The same from memory to 35 npz on disk: {seconds:.2f} s")
    if args.output:
        write_json(args.output, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
