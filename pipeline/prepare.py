"""Prepare the clean images of one data set: its source's splits, as npz files and manifests.

Writes the released splits to data/MediMeta-C/<dataset>/<val|test>/clean.npz, the splits for tuning to
data/prepared/<dataset>/, with rows.csv (where each image came from) and dropped.csv (what was left out, and why).
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from corruptions.table import BYTES_VERSION
from pipeline import sources
from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.records import write_csv
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.sources import Clean
from pipeline.workspace import manifest
from pipeline.workspace.cell import PREPARED, RELEASED, SIZE, Cell
from pipeline.workspace.manifest import ArraysEntry, CleanManifest
from pipeline.workspace.paths import Workspace

_BATCH = 32


def prepare(workspace: Workspace, dataset: str, config: Config, *, workers: int) -> None:
    """Write all splits of `dataset` and its two manifests; the manifests come last."""
    config.check_dataset(dataset)
    splits = {split: _load(workspace, dataset, split, config) for split in _splits(config, dataset)}
    _check_agreement(dataset, splits)
    entries: dict[str, ArraysEntry] = {}
    digests: dict[str, list[bytes]] = {}
    for split, clean in splits.items():
        entries[split], digests[split] = _write(workspace, dataset, split, clean, config, workers)
    write_csv(workspace.rows(dataset), ("split", "index", "label", "image_id"), _rows(splits))
    write_csv(
        workspace.dropped(dataset),
        ("split", "image_id", "reason"),
        ((split, *dropped) for split, clean in splits.items() for dropped in clean.dropped),
    )
    _report_dropped(workspace, dataset, splits)
    overlap = _count_overlap(config, dataset, splits, digests)
    first = splits[RELEASED[0]]
    prepared = CleanManifest(
        bytes_version=BYTES_VERSION,
        dataset=dataset,
        source=config.source_of(dataset),
        seed=config.seed,
        native_channels=first.channels,
        channels=first.channels,
        class_names=first.class_names,
        splits={split: entry for split, entry in entries.items() if split not in RELEASED},
    )
    if overlap:
        prepared = prepared.changed(overlap=overlap)
    channels = 3 if config.channels == "rgb" else first.channels
    released = prepared.changed(channels=channels, splits={split: entries[split] for split in RELEASED})
    manifest.write(workspace, prepared, name=manifest.PREPARED)
    manifest.write(workspace, released)


def _splits(config: Config, dataset: str) -> list[str]:
    candidates = [*RELEASED, *PREPARED] if config.source_of(dataset) == "phantom" else [*RELEASED, "train"]
    return [split for split in candidates if split in RELEASED or config.count(dataset, split) != 0]


def _load(workspace: Workspace, dataset: str, split: str, config: Config) -> Clean:
    source, source_split = config.source_of(dataset), config.source_split(split)
    root, count = workspace.raw(source), config.count(dataset, split)
    clean = sources.load(source, dataset, source_split, root=root, count=count, seed=config.seed)
    if not len(clean.labels):
        raise UserError(f"{source} has no image in split {source_split!r} of {dataset}")
    if clean.labels.min() < 0 or clean.labels.max() >= len(clean.class_names):
        raise UserError(
            f"{source}, {dataset}, {source_split}: labels {clean.labels.min()}..{clean.labels.max()}"
            f" for {len(clean.class_names)} class names"
        )
    if len(set(clean.image_ids)) < len(clean.image_ids):
        twice = next(image_id for image_id, count in Counter(clean.image_ids).items() if count > 1)
        raise UserError(f"{source}, {dataset}, {source_split}: image {twice!r} is there twice")
    return clean


def _check_agreement(dataset: str, splits: dict[str, Clean]) -> None:
    first = splits[RELEASED[0]]
    for split, clean in splits.items():
        if (clean.class_names, clean.channels) != (first.class_names, first.channels):
            raise UserError(f"{dataset}: split {split} has other classes or channels than {RELEASED[0]}")


def _write(
    workspace: Workspace, dataset: str, split: str, clean: Clean, config: Config, workers: int
) -> tuple[ArraysEntry, list[bytes]]:
    """Write the file of a split; return its entry, and the SHA-256 of each image's pixels."""
    digests: list[bytes] = []
    channels = 3 if split in RELEASED and config.channels == "rgb" else clean.channels

    def read(positions: range) -> NDArray[np.uint8]:
        images = clean.read(positions)
        return np.repeat(images, 3, axis=-1) if images.shape[-1] < channels else images

    path, shape = workspace.npz(Cell(dataset, split)), (SIZE, SIZE, channels)
    with (
        npz.write(path, clean.labels, shape, compression=config.compression_of()) as writer,
        progress(total=len(clean.labels), unit="img", desc=f"prepare {dataset} {split}") as bar,
    ):
        for images in ordered(read, clean.batches(_BATCH), workers=workers):
            writer.append(images)
            digests += [hashlib.sha256(image[..., : clean.channels].tobytes()).digest() for image in images]
            bar.update(len(images))
    return manifest.clean_entry(clean.labels, clean.class_names, writer.checksums), digests


def _report_dropped(workspace: Workspace, dataset: str, splits: dict[str, Clean]) -> None:
    """Say how many files were left out, and the most frequent reasons."""
    reasons = Counter(reason for clean in splits.values() for _, reason in clean.dropped)
    if reasons:
        top = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common(3))
        path = workspace.dropped(dataset)
        command_line.warn(f"warning: {dataset}: {reasons.total()} files are left out ({top}); {path} names each")


def _count_overlap(
    config: Config, dataset: str, splits: dict[str, Clean], digests: dict[str, list[bytes]]
) -> dict[str, int]:
    """Return the number of different images that two splits have in common, by the splits, such as ``val and test``.

    Splits that params.yaml takes from the same split of the source are not compared.

    Raises:
        UserError: there are some, and params.yaml does not allow it.
    """
    counts, words = {}, []
    first = {split: {digest: k for k, digest in reversed([*enumerate(digests[split])])} for split in splits}
    for split, other in itertools.combinations(splits, 2):
        common = first[split].keys() & first[other].keys()
        if not common or config.source_split(split) == config.source_split(other):
            continue
        pairs = sorted((first[split][digest], first[other][digest]) for digest in common)
        named = ", ".join(
            f"{split} {k} {splits[split].image_ids[k]!a} = {other} {j} {splits[other].image_ids[j]!a}"
            for k, j in pairs[:3]
        )
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        words.append(f"{len(pairs)} in {split} and {other} ({named}{more})")
        counts[f"{split} and {other}"] = len(pairs)
    said = f"{dataset}: the same image stands in two splits: {'; '.join(words)}"
    if counts and not config.allow_overlap:
        raise UserError(
            f"{said}. Take one of each out of the source, or set allow_overlap: true in params.yaml, which counts them"
            " in the manifests and in the card"
        )
    if counts:
        command_line.warn(f"warning: {said}; if one is tuned on, scores on the other are not of unseen images")
    return counts


def _rows(splits: dict[str, Clean]) -> Iterable[Sequence[object]]:
    for split, clean in splits.items():
        for index, (label, image_id) in enumerate(zip(clean.labels.tolist(), clean.image_ids, strict=True)):
            yield split, index, label, image_id


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="one of params.yaml's data sets")
    command_line.add_workers(parser)
    args = parser.parse_args(argv)

    def run() -> None:
        workspace = Workspace(args.root)
        prepare(workspace, args.dataset, read_config(workspace), workers=args.workers)

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())
