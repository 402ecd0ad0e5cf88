"""Where the benchmark keeps what it makes, beside the released tree that `pipeline.layout` knows.

data/models/<model>/                     phantom_clip.safetensors, or adapter/ with tune.json, checkpoint, curves
data/predictions/<model>/record.json     the model, its prompts, the versions
data/predictions/<model>/<dataset>/<split>/<clean|corruption_severity_k>.npz
                                         logits float32 (N, K), labels int64 (N,), indices int64 (N,), key, weights
reports/                                 scores.json, scores.csv, metrics.json, plots/, and the report in three forms
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corruptions import CORRUPTIONS, SEVERITIES

CLEAN = "clean"


class Places:
    """Paths of one workspace, the folder that holds params.yaml."""

    def __init__(self, root: Path | str = ".") -> None:
        self.root = Path(root)
        self.reports = self.root / "reports"
        self.scores = self.reports / "scores.json"

    def model(self, name: str) -> Path:
        """Return the folder of a model's own weights or adapter."""
        return self.root / "data" / "models" / name

    def adapter(self, name: str) -> Path:
        """Return the folder of a tuned model's PEFT adapter."""
        return self.model(name) / "adapter"

    def predictions(self, model: str) -> Path:
        """Return the folder of a model's logits."""
        return self.root / "data" / "predictions" / model

    def record(self, model: str) -> Path:
        """Return the record of what a model's logits were made with."""
        return self.predictions(model) / "record.json"

    def logits(self, model: str, dataset: str, split: str, cell: str) -> Path:
        """Return the npz of one cell's logits."""
        return self.predictions(model) / dataset / split / f"{cell}.npz"


def cell_name(corruption: str, severity: int) -> str:
    """Return the name of a corrupted cell, as its file has it."""
    return f"{corruption}_severity_{severity}"


def cell_names(corruptions: Sequence[str] = CORRUPTIONS) -> list[str]:
    """Return the names of all cells of a data set: clean, then by corruption and severity."""
    return [CLEAN, *(cell_name(corruption, severity) for corruption in corruptions for severity in SEVERITIES)]


def corruptions_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the corruptions of a data set from its clean manifest: its own if it was adopted, else this project's."""
    return tuple(facts.get("corruptions", CORRUPTIONS))
