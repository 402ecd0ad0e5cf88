"""The table of docs/models.md, from the records: `python -m benchmark.models.listing` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.models.record import File, Record, View
from benchmark.models.zoo import RECORDS

HEAD = ("model", "in tables", "preprocessing", "prompt", "licence", "paper")
FILES = ("model", "file", "from", "SHA-256")


def tables() -> str:
    """Return the models and their files as two tables of Markdown."""
    models = [_model(record) for record in RECORDS.values()]
    files = [_file(record, file) for record in RECORDS.values() if record.base is None for file in record.files]
    notes = [f"- `{record.name}`: {record.notes}" for record in RECORDS.values() if record.notes]
    return "\n".join([*_rows(HEAD, models), "", *notes, "", *_rows(FILES, files)])


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _model(record: Record) -> tuple[str, ...]:
    return (
        f"`{record.name}`",
        record.title,
        seen(record.view),
        f"{record.context_length} tokens",
        record.licence,
        record.citation,
    )


def seen(view: View) -> str:
    """Return a view in words."""
    fit = {"shortest": "shorter side, centre crop", "squash": "both sides", "pad": "on a black square"}[view.resize]
    colour = "grey, " if view.grey else ""
    if view.mean == (0, 0, 0) and view.std == (1, 1, 1):
        numbers = "values 0 to 1"
    else:
        numbers = f"mean {_numbers(view.mean)}, sd {_numbers(view.std)}"
    return f"{colour}{view.size} px {view.interpolation}, {fit}; {numbers}"


def _numbers(values: tuple[float, ...]) -> str:
    distinct = values[:1] if len(set(values)) == 1 else values
    return " ".join(f"{value:.4f}" for value in distinct)


def _file(record: Record, file: File) -> tuple[str, ...]:
    where = f"`{file.repo}` at `{file.revision}`" if file.repo else f"[not on the Hub]({file.url})"
    return f"`{record.name}`", f"`{file.name}`", where, f"`{file.sha256}`" if file.sha256 else "not published"


if __name__ == "__main__":
    print(tables())
