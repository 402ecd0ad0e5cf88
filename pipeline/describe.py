"""Write what each stage reads of the cards of the data sets that are built, so that DVC reruns what a change concerns.

Makes data/cards/<stage>/<dataset>.json. The stages read the cards themselves; dvc.yaml has these files as their deps,
since it cannot name the cards of data sets that params.yaml names, of which some have none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from pipeline.config.params import Config, read_config
from pipeline.io.atomic import atomic_folder
from pipeline.io.records import write_json
from pipeline.run import command_line
from pipeline.workspace import datasets
from pipeline.workspace.paths import Workspace

_PROMPTS = {"modality", "medmnist", "robustmedclip_order"}

READ = {
    "prepare": {"task", "classes", "grey"},
    "export": set(datasets.Card.model_fields),
    "pretrain": {"modality", "mirror", "classes", "grey"},
    "tune": _PROMPTS | {"mirror"},
    "predict": _PROMPTS,
    "score": _PROMPTS,
    "report": {"title", "modality", "medmnist", "robustmedclip_source"},
}
"""The stages that read cards, and what each reads of them."""


def describe(workspace: Workspace, config: Config) -> None:
    """Write the folder data/cards, whole or absent, for the data sets that are built or scored.

    A file holds the fields by card: of the data set's name, and of the one whose images MedMNIST has under that name.
    That of `export` also holds the data set's entry in ``cards/own.yaml``. If no data set is of the phantom, `pretrain`
    draws all that have a card.

    Raises:
        UserError: a card is not YAML, or has a key or value that it must not have.
    """
    cards = {name: datasets.card(name) for name in datasets.DATASETS}
    built = tuple(dict.fromkeys((*config.datasets, *config.scored_datasets)))
    with atomic_folder(workspace.cards) as folder:
        for stage, fields in READ.items():
            drawn = config.datasets_of("phantom") or datasets.DATASETS
            for dataset in drawn if stage == "pretrain" else built:
                facts: dict[str, Any] = {
                    name: card.model_dump(mode="json", include=fields)
                    for name, card in cards.items()
                    if dataset in (name, card.medmnist)
                }
                if stage == "export" and config.source_of(dataset) == "imagefolder":
                    facts["own"] = datasets.own_card(workspace, dataset).model_dump(mode="json")
                write_json(folder / stage / f"{dataset}.json", facts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    args = parser.parse_args(argv)
    return command_line.run(lambda: describe(Workspace(args.root), read_config(Workspace(args.root))))


if __name__ == "__main__":
    sys.exit(main())
