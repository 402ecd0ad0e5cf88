"""Fit linear heads on a model's frozen features, from a few clean shots of each data set: reference rows.

Logistic regression (``linear``) or the nearest class mean (``means``). Shots are those that tuning draws with the same
seed, and the strength of the regularisation is chosen on the same held images. Writes probe.safetensors and probe.json
in data/models/<name>.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.run import command_line


def probe(root: Path | str, name: str) -> None:
    """Fit the probe `name` of params.yaml and write its heads and record."""
    import torch

    from benchmark.models import loading
    from benchmark.models.components.packages import package
    from benchmark.models.devices import parse_device
    from benchmark.tuning import probing
    from benchmark.tuning.records import HEADS, PROBE_RECORD, ProbeRecord
    from benchmark.tuning.shots import choose_images, count_overlap
    from pipeline.config.benchmark import TuningSettings
    from pipeline.config.params import read_config
    from pipeline.io.atomic import atomic_write
    from pipeline.io.checksums import file_checksum
    from pipeline.io.records import write_record
    from pipeline.workspace import manifest
    from pipeline.workspace.paths import Workspace

    workspace = Workspace(root)
    config = read_config(workspace)
    benchmark = config.benchmark
    if name not in benchmark.probes:
        raise UserError(f"params.yaml has no probe {name!r}; have {', '.join(benchmark.probes) or 'none'}")
    loading.check_probe_name(name)
    settings = benchmark.probes[name]
    drawn = TuningSettings(**benchmark.tune.model_dump(), seed=settings.seed)
    images = choose_images(workspace, config, drawn)
    overlap = count_overlap(workspace, config, images, allowed=drawn.allow_overlap)
    device = parse_device(benchmark.device)
    model = loading.load_towers(workspace, benchmark, settings.base, device=device)
    key, path = probing.key(workspace, settings, model, images), workspace.model(name) / HEADS
    if ProbeRecord.saved(path.parent / PROBE_RECORD, path, key):
        print(f"probe {name}: fitted before with the same settings, images and base; nothing to do")
        return
    choice = "no image is left to choose the strength on"
    if images.held:
        choice = f"the strength is chosen on {len(images.held)} images ({images.chosen_on})"
    print(f"probe {name}: {settings.head}, {len(images.shots)} shots, {choice}")
    shots = probing.encode(model, images.shots, batch=benchmark.batch)
    held = None if images.held is None else probing.encode(model, images.held, batch=benchmark.batch)
    tensors, fitted = {}, {}
    for dataset in config.datasets:
        of_held = None if images.held is None or held is None else probing.select(images.held, held, dataset)
        classes = len(manifest.read_clean(workspace, dataset).class_names)
        of_shots = probing.select(images.shots, shots, dataset)
        fitted[dataset] = probing.fit(settings.head, of_shots, of_held, classes=classes)
        tensors[f"weight.{dataset}"] = torch.from_numpy(fitted[dataset].head.weight)
        tensors[f"bias.{dataset}"] = torch.from_numpy(fitted[dataset].head.bias)
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / PROBE_RECORD).unlink(missing_ok=True)
    with atomic_write(path) as handle:
        handle.write(package("safetensors.torch").save(tensors))
    record = ProbeRecord(
        probe=settings,
        split=drawn.split,
        shots={subset.dataset: tuple(subset.indices.tolist()) for subset in images.shots.subsets},
        strengths={dataset: one.strength for dataset, one in fitted.items()},
        accuracy={dataset: one.accuracy for dataset, one in fitted.items() if one.accuracy is not None},
        chosen_on=images.chosen_on,
        held_images=len(images.held) if images.held else 0,
        overlap=overlap,
        device=device.type,
        key=key,
        weights_sha256=file_checksum(path),
    )
    write_record(path.parent / PROBE_RECORD, record)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name under benchmark.probes in params.yaml")
    args = parser.parse_args(argv)
    return command_line.run(lambda: probe(args.root, args.model))


if __name__ == "__main__":
    sys.exit(main())
