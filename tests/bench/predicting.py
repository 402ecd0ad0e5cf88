"""How much of a model's own speed is left when it predicts a data set's cells.

Forward only: the image tower on one prepared batch, again and again. Predicting: all cells of one data set from their
files to their logits on the disk, reading, preparing and writing included. Both at the same batch, in images a second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmark import loading, pool
from benchmark.places import Places, cell_names
from benchmark.plan import plan
from benchmark.predict import Predicting
from pipeline.layout import Layout


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--model", default="phantom-clip")
    parser.add_argument("--dataset", default="pbc")
    given = parser.parse_args()
    chosen, device = plan(given.root), loading.device(plan(given.root).device)
    run = Predicting(given.root, given.model, device=device, on_the_fly=False, split="test")
    images = pool.part(Layout(given.root), given.dataset, "test").images
    forward = _forward(run, chosen.batch, device)
    with tempfile.TemporaryDirectory() as folder:
        run.places = Places(folder)
        started = time.perf_counter()
        cells = run.data_set(given.dataset)
        predicting = cells * len(images) / (time.perf_counter() - started)
    assert cells == len(cell_names())
    forward = (forward + _forward(run, chosen.batch, device)) / 2
    print(f"{given.model} on {device.type}, {torch.get_num_threads()} threads, batch {chosen.batch}, {cells} cells:")
    print(f"forward only {forward:.0f} images/s, predicting {predicting:.0f} images/s: {predicting / forward:.0%}")


def _forward(run: Predicting, batch: int, device: torch.device) -> float:
    size = run.model.record.view.size
    prepared = torch.randn(batch, 3, size, size, device=device)
    times = []
    with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
        for _ in range(12):
            started = time.perf_counter()
            run.model.encode_images(prepared)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    return batch / sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
