"""How much of a model's own speed is left when it predicts a data set's cells.

Forward only: the image tower, again and again, on one batch as it is prepared for it. Predicting: cells from their
files to their logits on the disk, reading, preparing and writing included. Both take the same number of images, at the
same batch, in turns, so that whatever else the machine does meets both; the shares are medians over the rounds. The
wall clock is what a user waits. CPU time, which other processes disturb less, counts all threads, also while they wait
for each other: read it with OMP_NUM_THREADS=1. Prints both and writes JSON with machine, versions, spread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.models.devices import parse_device
from benchmark.models.families.phantom_clip import EMBEDDING
from benchmark.prediction.batches import Cells
from benchmark.prediction.predictor import Predictor
from corruptions.spec import CORRUPTIONS
from pipeline.config.params import read_config
from pipeline.io.records import write_json
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.bench.timing import Row, Timing, machine


class Vit(nn.Module):
    """An image tower of the size of CLIP's ViT-B/16 with random weights, for the published models' share."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, 16, 16)
        layer = nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.project = nn.Linear(768, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """float32 (N, 3, 224, 224) -> features float32 (N, EMBEDDING)."""
        tokens = self.layers(self.patches(images).flatten(2).transpose(1, 2))
        features: Tensor = self.project(tokens.mean(dim=1))
        return features


class Seconds(NamedTuple):
    """What something took."""

    wall: float
    cpu: float


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--model", default="phantom-clip")
    parser.add_argument("--vit", action="store_true", help="put a random tower of ViT-B/16's size in its place")
    parser.add_argument("--dataset", default="pbc")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one-cell-in", type=int, default=1, help="of how many cells one is predicted (default: all)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/predicting.json"))
    args = parser.parse_args(argv)
    workspace = Workspace(args.root)
    config = read_config(workspace)
    device, split, size = parse_device(config.benchmark.device), config.benchmark.split, config.benchmark.batch
    predictor = Predictor(workspace, config, args.model, device=device, on_the_fly=False, split=split)
    if args.vit:
        torch.manual_seed(0)
        predictor.model.image_tower = Vit().eval().to(device)
    cells = Cells(workspace, args.dataset, split, CORRUPTIONS)
    batch = next(cells.batches([Cell(args.dataset, split)], size)).images
    images = len(list(cells.checksums)[:: args.one_cell_in]) * len(cells.labels)
    prepared = predictor.model.preprocess(batch)
    rounds = []
    for _ in range(args.rounds + 1):
        forward = _time(lambda: _forward(predictor, prepared, images))
        with tempfile.TemporaryDirectory() as folder:
            predictor.output = Workspace(folder)
            predicting = _time(lambda: predictor.predict(predictor.pending(args.dataset, shard=(0, args.one_cell_in))))
        rounds.append((forward, predicting))
    del rounds[0]  # what is done once: compiling, first touches of memory, files into the cache
    rows: dict[str, Row] = {}
    for clock in Seconds._fields:
        seconds = [(getattr(forward, clock), getattr(predicting, clock)) for forward, predicting in rounds]
        rows[clock] = {
            "forward only": _timing([images / forward for forward, _ in seconds]),
            "predicting": _timing([images / predicting for _, predicting in seconds]),
            "share": _timing([forward / predicting for forward, predicting in seconds]),
        }
    result = {
        "machine": machine(),
        "unit": "images per second, and the share of forward only: median, slowest and fastest of the rounds",
        "model": "a ViT-B/16 with random weights" if args.vit else args.model,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "batch": len(batch),
        "images": images,
        "rounds": args.rounds,
        "rows": {clock: {what: timing._asdict() for what, timing in row.items()} for clock, row in rows.items()},
    }
    print("{model} on {device}, {threads} threads, batch {batch}, {images} images, {rounds} rounds".format_map(result))
    for clock, row in rows.items():
        forward_only, predicting_too, share = row.values()
        print(
            f"{clock:4}: forward only {forward_only.median:.0f} images/s,"
            f" predicting {predicting_too.median:.0f} images/s,"
            f" share {share.median:.0%} ({share.slowest:.0%} to {share.fastest:.0%})"
        )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(args.output, result)
    print(f"wrote {args.output}")
    return 0


def _timing(rates: list[float]) -> Timing:
    return Timing(statistics.median(rates), min(rates), max(rates))


def _time(work: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _forward(predictor: Predictor, prepared: Tensor, images: int) -> None:
    kind = predictor.model.device.type
    with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
        for start in range(0, images, len(prepared)):
            predictor.model.encode_images(prepared[: images - start])
    if kind == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
