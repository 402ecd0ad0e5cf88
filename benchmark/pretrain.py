"""Pre-train phantom-clip and phantom-clip-vit on the phantom's first acquisition domain, all data sets together.

Each only if it is scored or tuned. Where no data set of params.yaml is of the phantom, its images are drawn for this
alone: any source has a baseline. Writes data/models/<name>/: the checkpoint and pretrain.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.run import command_line

if TYPE_CHECKING:
    from benchmark.models.record import ModelRecord
    from benchmark.tuning.records import PretrainRecord


def pretrain(root: Path | str, model: ModelRecord) -> PretrainRecord | None:
    """Train both towers, write the checkpoint and its record, and return the record; None if nothing needs them."""
    from benchmark.models.families import phantom_clip
    from benchmark.tuning import pretraining
    from benchmark.tuning.records import PRETRAIN_RECORD, PretrainRecord, PretrainSkipped
    from pipeline.config.benchmark import Pretrain
    from pipeline.config.params import read_config
    from pipeline.io.checksums import file_checksum
    from pipeline.io.records import write_record
    from pipeline.workspace.paths import Workspace

    workspace = Workspace(root)
    config = read_config(workspace)
    name, settings = model.name, config.benchmark.pretrain
    folder = workspace.model(name)
    if name not in config.pretrained:
        write_record(folder / PRETRAIN_RECORD, PretrainSkipped(skipped="not among the models"))
        return None
    of_datasets = pretraining.prompts_of_phantom(workspace, config)
    key, weights = pretraining.training_key(workspace, config, of_datasets), folder / phantom_clip.WEIGHTS
    if saved := PretrainRecord.saved(folder / PRETRAIN_RECORD, weights, key):
        print(f"pretrain: {name} was trained before with the same settings and images; nothing to do")
        return saved
    if not config.datasets_of("phantom"):
        print(f"pretrain: no data set is of the phantom, so its images are drawn now for {name}")
    pool, held = (pretraining.pool_of_phantom(workspace, config, split) for split in ("pretrain", "pretest"))
    print(f"pretrain: {name}, {len(pool)} images of {len(of_datasets)} data sets, {settings.epochs} epochs")
    started = time.monotonic()
    towers = pretraining.train(model, pool, of_datasets, settings)
    seconds = time.monotonic() - started
    towers.save(folder)
    record = PretrainRecord(
        images=len(pool),
        parameters=towers.parameters,
        pretest_accuracy=pretraining.accuracies(towers, held, of_datasets),
        settings=Pretrain(**settings.model_dump()),  # so that defaults are written too
        key=key,
        weights_sha256=file_checksum(weights),
    )
    write_record(folder / PRETRAIN_RECORD, record)
    mean = sum(record.pretest_accuracy.values()) / len(of_datasets)
    print(f"{name}: {mean:.1%} mean zero-shot accuracy on the first domain, {seconds:.0f} s of training")
    return record


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    args = command_line.parser(__doc__).parse_args(argv)

    def work() -> None:
        from benchmark.models.families.phantom_clip import RECORDS

        trained = [pretrain(args.root, model) for model in RECORDS]
        if not any(trained):
            names = " or ".join(model.name for model in RECORDS)
            print(f"pretrain: no model of params.yaml is {names} or tuned from one; nothing to do")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
