"""Compare the torch kernels with the CPU's under every size, memory order and setting: EQUAL or DIFF, line by line.

    python -m tests.bench.parity                    # on the current CUDA device
    python -m tests.bench.parity --device cpu --quick

Exit code 0 if every line says EQUAL. For comparison the last lines run kornia's filter2d in float32, as one would
naively, and are not counted: on a GPU with TF32 they are where exactness is lost.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import kornia
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions import CORRUPTIONS, SEVERITIES, BackendUnavailable, Strength, gpu, lookup, strength, sweep
from corruptions.gpu.draws import draw
from corruptions.gpu.motion import motion_blur
from corruptions.spec import DrawKey, find_kernel
from corruptions.table import COLUMNS, KERNELS
from tests.corruptions.gpu.settings import SETTINGS

SIZES = ((224, 224), (97, 131), (37, 53), (8, 8), (2, 3))
BATCHES = (1, 5, 64)
DATASETS = tuple({column: dataset for dataset, column in COLUMNS.items()}.values())
CELLS = [(name, "imagenet-c", "pbc") for name in CORRUPTIONS]
CELLS += [(name, "modality", dataset) for name in CORRUPTIONS for dataset in DATASETS]
SEED, SPLIT = 7, "test"


def noise(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return noise with a black and a white corner, uint8 (count, height, width, channels)."""
    images = np.random.default_rng(count).integers(0, 256, (count, height, width, channels), np.uint8)
    images[:, : height // 2, : width // 3] = 0
    images[:, height // 2 :, : width // 3] = 255
    return images


def routes(strength: Strength, fuse: bool) -> list[dict[str, object]]:
    """Return the options of every way to run a kernel."""
    ways: list[dict[str, object]] = [{}] + ([{"fuse": True}] if fuse else [])
    return [*ways, {"route": "kornia"}] if strength.kernel == "motion_blur" else ways


def differing(
    batch: Tensor, cell: tuple[str, str, str], expected: dict[int, NDArray[np.uint8]], *, fuse: bool, quick: bool
) -> int:
    """Return how many pixels differ from the CPU's over the severities and routes; `batch` is (N, H, W, C)."""
    name, profile, dataset = cell
    key, wrong = DrawKey(dataset=dataset, split=SPLIT, seed=SEED, profile=profile), 0
    for severity in (3,) if quick else SEVERITIES:
        cell = key.strength(name, severity)
        drawn = draw(cell, key.philox(name), range(len(batch)), batch.shape, batch.device, fuse=fuse)
        for options in routes(cell, fuse):
            result = find_kernel("gpu", cell.kernel)(batch, *drawn, **cell.parameters, **options)
            wrong += int((result.cpu().numpy() != expected[severity]).sum())
    return wrong


def lines(device: torch.device, *, fuse: bool, quick: bool) -> Iterator[tuple[str, int]]:
    """Yield what was compared and how many pixels differ."""
    for height, width in SIZES[2:] if quick else SIZES:
        for count in BATCHES[:2] if quick else BATCHES:
            for channels in (1, 3):
                yield from _batch(noise(count, height, width, channels), device, fuse=fuse, quick=quick)


def _batch(images: NDArray[np.uint8], device: torch.device, *, fuse: bool, quick: bool) -> Iterator[tuple[str, int]]:
    last = torch.from_numpy(images).to(device)
    orders = {"NHWC": last, "NCHW": last.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)}
    shape = "x".join(map(str, images.shape))
    for cell in CELLS:
        name, profile, dataset = cell
        expected = dict(sweep(images, name, dataset=dataset, split=SPLIT, seed=SEED, profile=profile))
        for order, batch in orders.items():
            for setting in ("as it is", *SETTINGS):
                if quick and setting != "as it is" and images.shape[1] != 37:
                    continue
                # One batch size meets every setting; compiled kernels meet none but the plain one.
                if setting != "as it is" and len(images) != 5:
                    continue
                fused = fuse and setting == "as it is"
                with nullcontext() if setting == "as it is" else SETTINGS[setting](device.type):
                    wrong = differing(batch, cell, expected, fuse=fused, quick=quick)
                yield f"{name:15} {profile:10} {dataset:11} {shape:13} {order} {setting}", wrong


def naive(device: torch.device) -> Iterator[str]:
    """Yield how many pixels a float32 filter2d gets wrong, under each setting."""
    images = torch.from_numpy(noise(8, 224, 224, 3)).to(device)
    angles = torch.arange(0, 256, 32, device=device)
    parameters = strength("motion_blur", 4).parameters
    exact = motion_blur(images, angles, **parameters)
    weights = lookup.motion_weights(**parameters)
    reach = weights.size - 1
    filters = np.zeros((len(angles), 2 * reach + 1, 2 * reach + 1), np.float32)
    for dense, (dx, dy) in zip(filters, lookup.motion_offsets(weights.size)[angles.cpu().numpy()], strict=True):
        np.add.at(dense, (dy + reach, dx + reach), weights)
    padded = torch.nn.functional.pad(images.permute(0, 3, 1, 2).float(), (reach,) * 4, mode="replicate")
    for setting in ("as it is", "low precision", "cudnn.benchmark", "autocast"):
        with nullcontext() if setting == "as it is" else SETTINGS[setting](device.type):
            total = kornia.filters.filter2d(padded, torch.from_numpy(filters).to(device), padding="valid")
        result = ((total.double().round().long() + 32768) >> 16).clamp(0, 255).permute(0, 2, 3, 1)
        fraction = (result != exact).double().mean().item()
        yield f"filter2d in float32, {setting}: {100 * fraction:.4f} % of the pixels differ"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="in torch's words (default: the current CUDA device)")
    parser.add_argument("--fuse", action="store_true", help="compare the kernels that torch.compile makes, too")
    parser.add_argument("--quick", action="store_true", help="small images and severity 3 alone")
    args = parser.parse_args(argv)
    try:
        device = gpu.select_device(args.device)
    except BackendUnavailable as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    device = torch.empty(0, device=device).device
    drawing = [kernel for kernel, row in KERNELS.items() if row["draws"]]
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{title}, torch {torch.__version__}, kornia {kornia.__version__}; draws of {', '.join(drawing)} included")
    equal = compared = 0
    for what, wrong in lines(device, fuse=args.fuse, quick=args.quick):
        compared += 1
        equal += wrong == 0
        print(f"{'EQUAL' if wrong == 0 else 'DIFF '} {what}" + (f": {wrong} pixels" if wrong else ""), flush=True)
    print(f"{equal} of {compared} EQUAL")
    print(*naive(device), sep="\n")
    return int(equal != compared)


if __name__ == "__main__":
    sys.exit(main())
