"""How fast files are written, checked, exported and read, beside other people's way: `python -m tests.bench.pipeline`.

Every work takes the same 224 x 224 colour photographs, one worker, in turns; a number is the median of the rounds, in
images per CPU second (system time counts, waiting for a disk does not). "x copy" is the rate over that of copying the
same pixels in memory. The peers are optional: `make bench` brings medmnistc, torch for the DataLoader.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from corruptions import CORRUPTIONS, SEVERITIES, strength
from pipeline import cells, corrupt, npz, settings, verify
from pipeline.layout import SIZE, Layout
from tests.bench.kernels import limit_opencv, machine, photographs
from tests.faults import workspace

BYTES = SIZE * SIZE * 3  # of one image
CELLS = len(CORRUPTIONS) * len(SEVERITIES)
FULL_CLEAN, FULL_WRITTEN = 32_163, 32_163 * (1 + CELLS)  # images of the seven data sets
PEER_IMAGES = 4

Work = Callable[[], int]  # returns the number of images that it took or made


def works(folder: Path, images: int) -> dict[str, Work]:
    """Return everything that is measured, by name; a peer that is not installed is left out."""
    stored, deflated = (_workspace(folder / kind, images, kind) for kind in npz.COMPRESSIONS)
    out = np.empty((images, SIZE, SIZE, 3), np.uint8)
    pixels = photographs(images)
    cell = Layout(stored).cell(workspace.DATASET, "test", "zoom_blur", 3)
    found: dict[str, Work] = {
        "copy": lambda: len(np.copyto(out, pixels) or pixels),
        "write stored": lambda: _write(stored, images),
        "write deflated": lambda: _write(deflated, images),
        "verify": lambda: verify.findings(Layout(stored), settings.settings(stored), workers=1).images,
        "export": lambda: _export(folder / "export", cell),
        "read": lambda: _read(cell),
    }
    return found | _medmnistc(folder / "medmnistc") | _data_loader(cell)


def _workspace(root: Path, images: int, compression: str) -> Path:
    root.mkdir()
    return workspace.make(root, val=0, test=images, pictures=photographs(images), compression=compression)


def _write(root: Path, images: int) -> int:
    for name in CORRUPTIONS:
        corrupt.corrupt(Layout(root), workspace.DATASET, name, settings.settings(root), workers=1)
    return images * CELLS


def _export(folder: Path, path: Path) -> int:
    source = npz.Npz(path)
    ids = [str(index) for index in range(len(source.labels))]
    cell = cells.Cell(workspace.DATASET, "test", "zoom_blur", 3)
    cells.write(folder, cell, source, ids, cells.features(["one", "other"]).arrow_schema)
    return len(ids)


def _read(path: Path) -> int:
    """Batches of 64 as float32 (N, C, H, W) from 0 to 1, as the DataLoader's; a view, channels last in memory."""
    read = 0
    for images in npz.Npz(path).chunks(64):
        batch = np.multiply(images, np.float32(1 / 255), dtype=np.float32).transpose(0, 3, 1, 2)
        read += len(batch)
    return read


def _data_loader(path: Path) -> dict[str, Work]:
    """The usual way: numpy.load, one Pillow image an item, a tensor of it, collated by a DataLoader."""
    try:
        import torch
        from PIL import Image
        from torch.utils.data import DataLoader, Dataset
    except ImportError:  # a peer that is not installed is left out of the table
        return {}

    class Items(Dataset[Any]):
        def __init__(self) -> None:
            loaded = np.load(path)
            self.images, self.labels = loaded["images"], loaded["labels"]

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> Any:
            picture = Image.fromarray(self.images[index].astype(np.uint8)).convert("RGB")
            tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
            return tensor, int(self.labels[index])

    torch.set_num_threads(1)
    return {"read by DataLoader": lambda: sum(len(batch) for batch, _ in DataLoader(Items(), batch_size=64))}


def _medmnistc(folder: Path) -> dict[str, Work]:
    """medmnistc's own create_dataset, its classes given our seven corruptions and strengths."""
    try:
        from medmnistc import dataset_manager
        from medmnistc.corruptions.compression import Pixelate
        from medmnistc.corruptions.enhance import Brightness, Contrast
        from medmnistc.corruptions.filter import MotionBlur, ZoomBlur
        from medmnistc.corruptions.noise import GaussianNoise, ImpulseNoise
    except ImportError:  # a peer that is not installed is left out of the table
        return {}
    np.fromstring = np.frombuffer  # NumPy 2.3 took the form away that medmnistc 0.1.0 calls; this is what it did

    def levels(name: str, profile: str, reading: Callable[..., Any]) -> list[Any]:
        return [reading(**strength(name, k, profile=profile, column="pbc").parameters) for k in SEVERITIES]

    def of_one(**parameters: float) -> float:
        return next(iter(parameters.values()))

    def percent(percent: float) -> float:
        return percent / 100

    dataset_manager.CORRUPTIONS_DS["bloodmnist"] = {
        "gaussian_noise": GaussianNoise(levels("gaussian_noise", "imagenet-c", of_one)),
        "impulse_noise": ImpulseNoise(levels("impulse_noise", "imagenet-c", of_one)),
        "motion_blur": MotionBlur(levels("motion_blur", "imagenet-c", lambda radius, sigma: (radius, sigma))),
        "zoom_blur": ZoomBlur(levels("zoom_blur", "imagenet-c", lambda percents: np.array(percents) / 100)),
        "brightness": Brightness(levels("brightness", "modality", percent)),
        "contrast": Contrast(levels("contrast", "modality", percent)),
        "pixelate": Pixelate(levels("pixelate", "imagenet-c", percent)),
    }
    folder.mkdir()
    pictures, labels = photographs(PEER_IMAGES), np.zeros((PEER_IMAGES, 1), np.int64)
    arrays = {f"{split}_images": pictures for split in ("train", "val", "test")}
    np.savez(
        folder / "bloodmnist_224.npz", **arrays, **{f"{split}_labels": labels for split in ("train", "val", "test")}
    )

    def work() -> int:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # its progress bars
            dataset_manager.DatasetManager(str(folder), str(folder / "made")).create_dataset("bloodmnist")
        return PEER_IMAGES * CELLS

    return {"write by medmnistc": work}


def measured(chosen: dict[str, Work], rounds: int) -> dict[str, dict[str, float]]:
    """Run each work `rounds` times, in turns, after one that does not count; images/s by CPU time and by the clock."""
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    for turn in range(rounds + 1):
        for name, work in chosen.items():
            clock, cpu, count = time.perf_counter(), time.process_time(), 0
            while time.process_time() - cpu < 0.2:
                count += work()
            spent = time.process_time() - cpu, time.perf_counter() - clock
            if turn:
                rates[name].append((count / spent[0], count / spent[1]))
    return {
        name: {
            "median": statistics.median(cpu for cpu, _ in r),
            "slowest": min(cpu for cpu, _ in r),
            "fastest": max(cpu for cpu, _ in r),
            "by the clock": statistics.median(clock for _, clock in r),
        }
        for name, r in rates.items()
    }


def table(rates: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield the lines of the printed table."""
    peers = {"write stored": "write by medmnistc", "write deflated": "write by medmnistc", "read": "read by DataLoader"}
    yield f"{'work':20}{'images/s':>10}{'MB/s':>8}{'x copy':>8}{'x peer':>8}  (per CPU second)"
    for name, rate in rates.items():
        own, peer = rate["median"], rates.get(peers.get(name, ""))
        ratio = f"{own / peer['median']:8.3g}" if peer else f"{'-':>8}"
        yield f"{name:20}{own:10.0f}{own * BYTES / 1e6:8.0f}{own / rates['copy']['median']:8.3f}{ratio}"


def cost(rates: dict[str, dict[str, float]], gpu_rate: float | None) -> dict[str, float]:
    """Return what the whole of MediMeta-C costs at these rates, as three channels."""
    hours = {name: FULL_WRITTEN / rates[name]["median"] / 3600 for name in ("verify", "export")}
    made = FULL_CLEAN * CELLS
    return {
        "images written": FULL_WRITTEN,
        "GB of pixels": FULL_WRITTEN * BYTES / 1e9,
        "core-hours to write, stored": made / rates["write stored"]["median"] / 3600,
        "core-hours to write, deflated": made / rates["write deflated"]["median"] / 3600,
        "core-hours to verify": hours["verify"],
        "core-hours to export": hours["export"],
        **({"GPU-hours of kernels": made / gpu_rate / 3600} if gpu_rate else {}),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table and the costs, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="clean images (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count (default %(default)s)")
    parser.add_argument(
        "--gpu-rate", type=float, help="images/s of a GPU, for the costs; tests/bench/gpu.py measures it"
    )
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/pipeline.json"))
    arguments = parser.parse_args(argv)
    warnings.filterwarnings("ignore", module="medmnistc|skimage|torch")
    limit_opencv()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rates = measured(works(Path(folder), arguments.images), arguments.rounds)
    costs = cost(rates, arguments.gpu_rate)
    print("\n".join(table(rates)))
    print("the whole of MediMeta-C: " + ", ".join(f"{name} {value:.3g}" for name, value in costs.items()))
    report = {
        "machine": machine(),
        "unit": "224 x 224 x 3 images per CPU second, one worker",
        "images": arguments.images,
        "rounds": arguments.rounds,
        "rates": rates,
        "costs": costs,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
