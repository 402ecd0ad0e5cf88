"""Prepare the clean images of one data set: its source's splits, as npz files and manifests.

Writes the released splits to data/MediMeta-C/<dataset>/<val|test>/clean.npz, the splits for tuning to
data/prepared/<dataset>/, with rows.csv (where each image came from) and dropped.csv (what was left out, and why).
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions import BYTES_VERSION
from pipeline import UserError, manifest, npz, sources, stage
from pipeline.layout import PREPARED, RELEASED, SIZE, Layout
from pipeline.parallel import ordered
from pipeline.settings import Settings, settings
from pipeline.sources import Clean
from pipeline.whole import whole

_BATCH = 32


def prepare(layout: Layout, dataset: str, chosen: Settings, *, workers: int) -> None:
    """Write all splits of `dataset` and its two manifests; the manifests come last."""
    if dataset not in chosen.datasets:
        raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(chosen.datasets)}")
    parts = {split: _load(layout, dataset, split, chosen) for split in _splits(chosen)}
    _check_agreement(dataset, parts)
    entries = {split: _write(layout, dataset, split, clean, chosen, workers) for split, clean in parts.items()}
    _write_csv(layout.rows(dataset), ("split", "index", "label", "image_id"), _rows(parts))
    _write_csv(
        layout.dropped(dataset),
        ("split", "image_id", "reason"),
        ((split, *dropped) for split, clean in parts.items() for dropped in clean.dropped),
    )
    first = parts[RELEASED[0]]
    facts = {
        "bytes_version": BYTES_VERSION,
        "dataset": dataset,
        "source": chosen.source,
        "seed": chosen.seed,
        "native_channels": first.channels,
        "class_names": list(first.class_names),
    }
    released = {split: entries[split] for split in RELEASED}
    tuning = {split: entry for split, entry in entries.items() if split not in RELEASED}
    channels = 3 if chosen.channels == "rgb" else first.channels
    manifest.write(layout, dataset, manifest.PREPARED, {**facts, "channels": first.channels, "splits": tuning})
    manifest.write(layout, dataset, manifest.CLEAN, {**facts, "channels": channels, "splits": released})


def _splits(chosen: Settings) -> list[str]:
    wanted = [*RELEASED, *PREPARED] if chosen.source == "phantom" else [*RELEASED, "train"]
    return [split for split in wanted if split in RELEASED or chosen.count(split) != 0]


def _load(layout: Layout, dataset: str, split: str, chosen: Settings) -> Clean:
    of_source = chosen.splits.get(split, split)
    clean = sources.load(
        chosen.source,
        dataset,
        of_source,
        root=layout.raw(chosen.source),
        count=chosen.count(split),
        seed=chosen.seed,
    )
    if not len(clean.labels):
        raise UserError(f"{chosen.source} has no image in split {of_source!r} of {dataset}")
    if clean.labels.min() < 0 or clean.labels.max() >= len(clean.class_names):
        raise UserError(
            f"{chosen.source}, {dataset}, {of_source}: labels {clean.labels.min()}..{clean.labels.max()}"
            f" for {len(clean.class_names)} class names"
        )
    if len(set(clean.ids)) < len(clean.ids):
        twice = next(image_id for image_id, n in Counter(clean.ids).items() if n > 1)
        raise UserError(f"{chosen.source}, {dataset}, {of_source}: image {twice!r} is there twice")
    return clean


def _check_agreement(dataset: str, parts: dict[str, Clean]) -> None:
    first = parts[RELEASED[0]]
    for split, clean in parts.items():
        if (clean.class_names, clean.channels) != (first.class_names, first.channels):
            raise UserError(f"{dataset}: split {split} has other classes or channels than {RELEASED[0]}")


def _write(layout: Layout, dataset: str, split: str, clean: Clean, chosen: Settings, workers: int) -> dict[str, object]:
    replicate = split in RELEASED and chosen.channels == "rgb"
    channels = 3 if replicate else clean.channels
    starts = range(0, len(clean.labels), _BATCH)

    def read(start: int) -> NDArray[np.uint8]:
        images = clean.read(range(start, min(start + _BATCH, len(clean.labels))))
        return np.repeat(images, 3, axis=-1) if images.shape[-1] < channels else images

    with (
        npz.write(
            layout.clean(dataset, split), clean.labels, (SIZE, SIZE, channels), compression=chosen.compression_of()
        ) as writer,
        stage.progress(total=len(clean.labels), unit="img", desc=f"prepare {dataset} {split}") as bar,
    ):
        for images in ordered(read, starts, workers=workers):
            writer.append(images)
            bar.update(len(images))
    return manifest.entry(clean.labels, clean.class_names, writer.sha256)


def _rows(parts: dict[str, Clean]) -> Iterable[Sequence[object]]:
    for split, clean in parts.items():
        for index, (label, image_id) in enumerate(zip(clean.labels.tolist(), clean.ids, strict=True)):
            yield split, index, label, image_id


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with whole(path) as handle:
        text = io.TextIOWrapper(handle, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = stage.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="one of params.yaml's data sets")
    stage.add_workers(parser)
    given = parser.parse_args(argv)
    return stage.run(lambda: prepare(Layout(given.root), given.dataset, settings(given.root), workers=given.workers))


if __name__ == "__main__":
    sys.exit(main())
