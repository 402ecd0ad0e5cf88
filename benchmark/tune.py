"""Tune a model's image tower with LoRA on a few clean shots of all data sets together: RMedCLIP (Imam et al. 2025).

The text side stays frozen: cross entropy, with the model's own logit scale, against the text features of the classes.
The epoch that is kept is the best on images that are neither tuned on nor scored: the rest of the split that the shots
came from, and the val split unless that is scored. Where no such image is left the last epoch is kept. Writes
data/models/<name>/adapter (PEFT), tune.json and DVCLive's curves in live/, of a grid for every point.
Interrupted, it goes on from the last epoch, to the same weights on a CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.run import command_line

if TYPE_CHECKING:
    from benchmark.tuning.records import TuneRecord


def tune(root: Path | str, name: str) -> TuneRecord:
    """Tune the model `name` of params.yaml and write its adapter, record and curves; return the record."""
    from benchmark.tuning.adapters import copy_adapter, save_adapter, saved_record
    from benchmark.tuning.records import TuneRecord
    from benchmark.tuning.trainer import Tuning
    from pipeline.config.benchmark import ROBUSTMEDCLIP
    from pipeline.config.params import read_config
    from pipeline.workspace.paths import Workspace

    workspace = Workspace(root)
    config = read_config(workspace)
    tuning = Tuning(workspace, config, name)
    if saved := saved_record(workspace, name, tuning.key):
        print(f"tune {name}: trained before with the same settings, images and base; nothing to do")
        return saved
    base, synthetic = tuning.model.record, bool(config.datasets_of("phantom"))
    if other := copy_adapter(base, workspace, name, tuning.key, synthetic=synthetic):
        print(f"tune {name}: {other} was trained with the same settings, images and base; copied")
        return TuneRecord.read(workspace, name)
    epochs, held = tuning.settings.epochs, tuning.held
    choice = "no image left to choose the epoch on: the last is kept"
    if held:
        choice = f"the epoch is chosen on {len(held)} images ({tuning.images.chosen_on})"
    print(f"tune {name}: {len(tuning.shots)} shots, {epochs} epochs, {choice}")
    if tuning.protocol == "robustmedclip":
        settings = tuning.settings.model_dump(mode="json")
        words = [f"{k} {settings[k]}" + f" (not {v})" * (settings[k] != v) for k, v in ROBUSTMEDCLIP.items()]
        print(f"tune {name}: protocol robustmedclip in place of benchmark.tune: {', '.join(words)}")
    record = tuning.keep_best(tuning.run())
    save_adapter(tuning.tower, base, workspace, name, record, synthetic=synthetic)
    tuning.checkpoint_path.unlink(missing_ok=True)
    return record


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name under benchmark.tuned in params.yaml, or a grid's point")
    args = parser.parse_args(argv)

    def work() -> None:
        from pipeline.config.params import read_config
        from pipeline.workspace.paths import Workspace

        for name in read_config(Workspace(args.root)).benchmark.points(args.model):
            tune(args.root, name)

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
