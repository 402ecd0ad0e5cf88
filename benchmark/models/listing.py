"""The tables of docs/models.md, from the records: `python -m benchmark.models.listing` prints them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.models.record import ModelFile, ModelRecord
from benchmark.models.registry import records

MODELS = ("model", "in tables", "kind", "size", "pixels", "prompt", "LoRA", "licence", "gated", "paper")
FILES = ("model", "file", "from", "SHA-256")


def tables() -> str:
    """Return the models, their notes and their files as Markdown."""
    models = records().values()
    files = [_file(record, file) for record in models if record.base is None for file in record.files]
    notes = [f"- `{record.name}`: {record.notes}" for record in models if record.notes]
    return "\n".join([*_table(MODELS, [_model(record) for record in models]), "", *notes, "", *_table(FILES, files)])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _model(record: ModelRecord) -> tuple[str, ...]:
    return (
        f"`{record.name}`",
        record.title,
        record.kind,
        f"{record.parameters:g} M" if record.parameters else "",
        record.preprocessing.in_words(),
        f"{record.context_length} tokens" if record.context_length else "",
        "yes" if record.lora_targets else "no",
        record.licence,
        record.gated or "no",
        record.citation,
    )


def _file(record: ModelRecord, file: ModelFile) -> tuple[str, ...]:
    if file.repo is not None:
        origin = f"`{file.repo}` at `{file.revision}`"
    else:
        is_address = (file.origin or "").startswith("https://")
        origin = f"[not pinned on the Hub]({file.origin})" if is_address else str(file.origin)
    return f"`{record.name}`", f"`{file.name}`", origin, f"`{file.sha256}`" if file.sha256 else "not published"


if __name__ == "__main__":
    print(tables())
