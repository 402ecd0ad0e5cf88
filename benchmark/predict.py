"""Write the logits of one model on data sets' cells, from the released files or on cells made in memory.

One npz a cell (logits, labels, indices, key, weights). A cell that is there with the same key (weights, prompts,
pixels) is left alone, so an interrupted run goes on where it stopped. Several devices share the cells out between them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.prediction import processes
from benchmark.prediction.processes import Shard
from pipeline.errors import UserError
from pipeline.run import command_line

if TYPE_CHECKING:
    from torch import device as Device

    from benchmark.prediction.predictor import Pending, Predictor
    from pipeline.workspace.manifest import CleanManifest


class Predicted(NamedTuple):
    """How many cells were predicted now, and how many were there with the same key."""

    new: int
    kept: int

    def __str__(self) -> str:
        if not self.new:
            return f"all {self.kept} cells were there"
        return f"{self.new} cells predicted" + (f", {self.kept} were there" if self.kept else "")


def predict(
    root: Path | str,
    name: str,
    *,
    datasets: Sequence[str] = (),
    split: str | None = None,
    on_the_fly: bool | None = None,
    devices: Sequence[str] = (),
    shard: Shard = (0, 1),
) -> Predicted:
    """Predict one model on `datasets`, all that are scored if none is named.

    Several `devices` (all GPUs if none is named and params.yaml lets them be used) take a part each of the cells, or of
    those of `shard`.
    """
    from benchmark.models.devices import list_devices, parse_device
    from benchmark.prediction.predictor import Predictor
    from pipeline.config.params import home, read_config
    from pipeline.workspace import manifest
    from pipeline.workspace.paths import Workspace

    workspace = Workspace(root)
    config = read_config(workspace)
    known = list(dict.fromkeys([*config.datasets, *config.scored_datasets]))
    for dataset in datasets:
        if dataset not in known:
            raise UserError(f"params.yaml has no data set {dataset!r}; have {', '.join(known)}")
    names = list(datasets or config.scored_datasets)
    split = split or config.benchmark.split
    if shard[0] == 0:  # once, however many share the work
        for dataset in names:
            _warn_of_metrics(manifest.read_clean(home(config, workspace, dataset), dataset), split)
    used = [parse_device(device) for device in devices] or list_devices(config.benchmark.device)
    predictor = Predictor(
        workspace,
        config,
        name,
        device=used[0],
        on_the_fly=config.benchmark.on_the_fly if on_the_fly is None else on_the_fly,
        split=split,
    )
    pending = {dataset: predictor.pending(dataset, shard=shard) for dataset in names}
    new = sum(len(of_dataset.keys) for of_dataset in pending.values())
    if len(used) == 1 or not new:
        for of_dataset in pending.values():
            predictor.predict(of_dataset)
    else:
        share_out(predictor, pending, used, shard)
    predictor.write_record(names, is_new=new > 0)
    return Predicted(new, sum(of_dataset.total for of_dataset in pending.values()) - new)


def _warn_of_metrics(clean: CleanManifest, split: str) -> None:
    """Say before any work which metrics the split will not have, and why."""
    from benchmark.scoring.metrics import undefined

    per_class = clean.split(split).per_class
    for metric, reason in undefined(clean.class_names, per_class).items() if per_class else ():
        command_line.warn(f"warning: {clean.dataset} will have no {metric}: {reason}")


def share_out(predictor: Predictor, pending: Mapping[str, Pending], devices: Sequence[Device], shard: Shard) -> None:
    """Part a share of the cells between `devices`: `predictor` has the first one, processes have the others."""
    names = [dataset for dataset, of_dataset in pending.items() if of_dataset.keys]
    command = [sys.executable, "-m", "benchmark.predict", "--root", str(predictor.workspace.root)]
    command += ["--model", predictor.name, "--split", predictor.split]
    command += ["--on-the-fly"] * (predictor.backend != "files")
    command += [word for dataset in names for word in ("--dataset", dataset)]
    own, *others = processes.divide(shard, len(devices))
    commands = [
        (str(device), [*command, "--device", str(device), "--shard", f"{k}/{n}"])
        for device, (k, n) in zip(devices[1:], others, strict=True)
    ]
    with processes.beside(commands):
        for dataset in names:
            predictor.predict(predictor.pending(dataset, shard=own))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name of the zoo, or one under benchmark.tuned of params.yaml")
    parser.add_argument("--dataset", action="append", default=[], help="may be repeated (default: all that are scored)")
    parser.add_argument("--split", choices=("val", "test"), help="default: benchmark.split of params.yaml")
    parser.add_argument(
        "--on-the-fly", action="store_const", const=True, help="make the cells instead of reading files"
    )
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        help="cpu, cuda or cuda:K; several share the cells out (default: benchmark.device of params.yaml, all GPUs)",
    )
    parser.add_argument(
        "--shard", type=processes.shard, default=(0, 1), help="K/N: only this share of the cells of a data set"
    )
    parser.add_argument(
        processes.UNTIL_STDIN_ENDS, action="store_true", help="end when stdin does, as the shares of one run do"
    )
    args = parser.parse_args(argv)
    if args.until_stdin_ends:
        processes.end_with_stdin()

    def work() -> None:
        from pipeline.config.params import read_config
        from pipeline.workspace.paths import Workspace

        share = "" if args.shard == (0, 1) else f", share {args.shard[0] + 1} of {args.shard[1]}"
        for name in read_config(Workspace(args.root)).benchmark.points(args.model):
            predicted = predict(
                args.root,
                name,
                datasets=args.dataset,
                split=args.split,
                on_the_fly=args.on_the_fly,
                devices=args.device,
                shard=args.shard,
            )
            print(f"{name}{share}: {predicted}")

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())
