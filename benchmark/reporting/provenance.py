"""What was scored, for the report: every model's weights, settings, prompts and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.models import Preprocessing

Line = tuple[str, str]
"""What it is, and its value in words."""


def model(record: Mapping[str, Any]) -> list[Line]:
    """Return all that record.json of a model's logits says, but for the prompts."""
    known = record["model"]
    lines = [
        ("Base", record.get("base") or known.get("base") or "itself"),
        ("Architecture", known.get("architecture")),
        ("Paper", known.get("citation")),
        ("Licence", known.get("licence")),
        ("Image tower, SHA-256", record.get("weights_sha256")),
        *_files(known.get("files", ())),
        (
            "Images",
            Preprocessing.model_validate(record["view"], strict=False).in_words() if record.get("view") else None,
        ),
        ("Prompts", f"at most {known['context_length']} tokens" if known.get("context_length") else None),
        ("Logit scale", f"{record['logit_scale']:.4g}" if record.get("logit_scale") else None),
        *_tuning(record.get("settings")),
        ("Device", record.get("device")),
        ("Versions", _named(record["versions"])),
        ("Remarks", known.get("notes")),
    ]
    return [(what, str(value)) for what, value in lines if value]


def _files(files: Any) -> Iterator[tuple[str, str]]:
    for file in files:
        source = f"{file['repo']} at {file['revision']}" if file.get("repo") else file.get("origin") or "a local folder"
        checksum = f", SHA-256 {file['sha256']}" if file.get("sha256") else ""
        yield "File", f"{file['name']} of {source}{checksum}"


def _tuning(tuned: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if tuned:
        yield "Tuned", _named(tuned["settings"])
        yield "Shots", _named(tuned["shots"])
        yield "Parameters trained", f"{tuned['parameters']:,}"
        yield "Corruptions seen", ", ".join(tuned["corruptions"]) or "none"
        kept = f"epoch {tuned['best_epoch']}, {tuned['scale']} of its update"
        yield "Kept", f"{kept}, chosen on {tuned['chosen_on']}, neither tuned on nor scored"


def prompts(record: Mapping[str, Any]) -> list[Line]:
    """Return the sentences of every data set's classes: the first template's of all, and the number of templates."""
    return [
        (f"{dataset} ({found['templates']}, {len(found['sentences'][0])} a class)", _first(found["sentences"]))
        for dataset, found in record.get("prompts", {}).items()
    ]


def _first(sentences: Any) -> str:
    return "; ".join(f"“{of_class[0]}”" for of_class in sentences)


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
