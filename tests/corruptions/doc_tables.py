"""The severity tables of docs/corruptions.md, made from the table: `python -m tests.corruptions.doc_tables --write`."""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

from corruptions import PROFILES, SEVERITIES
from corruptions.table import COLUMNS, EXTENDED_STRENGTHS, STRENGTHS

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "corruptions.md"


def grade(row: dict[str, Any], severity: int) -> str:
    """Return the strength of a row at a severity in words."""
    values = [values[severity - 1] for name, values in row.items() if name not in ("kernel", "source")]
    if row["kernel"] == "zoom_blur":
        (percents,) = values
        return f"{percents[0]}..{percents[-1]} ({percents[1] - percents[0]})"
    return f"({', '.join(map(str, values))})" if len(values) > 1 else str(values[0])


def imagenet_c(rows: Any = STRENGTHS) -> Iterator[str]:
    """Yield the lines of the first profile's table."""
    yield "| corruption | kernel | " + " | ".join(map(str, SEVERITIES)) + " |"
    yield "|---|---|" + "---|" * len(SEVERITIES)
    for name, row in rows["imagenet-c"].items():
        yield f"| {name} | {_kernel(row)} | " + " | ".join(grade(row, severity) for severity in SEVERITIES) + " |"


def modality(rows: Any = STRENGTHS) -> Iterator[str]:
    """Yield the lines of the second profile's table: strengths 1 to 5 and their source."""
    yield "| corruption | kernel | column | strengths of severities 1 to 5 | source |"
    yield "|---|---|---|---|---|"
    for name, columns in rows["modality"].items():
        if columns == "imagenet-c":
            row = rows["imagenet-c"][name]
            yield f"| {name} | {_kernel(row)} | all | as in imagenet-c | {row['source']} |"
            continue
        for column, own in columns.items():
            row = rows["imagenet-c"][name] if own == "imagenet-c" else own
            strengths = " ".join(grade(row, severity) for severity in SEVERITIES)
            yield f"| {name} | {_kernel(row)} | {column} | {strengths} | {row['source']} |"


def columns() -> Iterator[str]:
    """Yield the lines that say which column each data set takes."""
    yield "| data set | column |"
    yield "|---|---|"
    for dataset, column in COLUMNS.items():
        yield f"| {dataset} | {column} |"


def thumbnails() -> Iterator[str]:
    """Yield the lines of the table of pictures, which `tests.corruptions.extended.thumbnails` draws."""
    yield "| corruption | source | tissue at severities 1, 3 and 5, radiograph at 5 |"
    yield "|---|---|---|"
    yield "| none | | ![The two pictures without a corruption](thumbnails/clean.jpg) |"
    for name, row in cast(dict[str, dict[str, Any]], EXTENDED_STRENGTHS["imagenet-c"]).items():
        yield f"| {name} | {row['source']} | ![{name} at severities 1, 3 and 5](thumbnails/{name}.jpg) |"


def _kernel(row: dict[str, Any]) -> str:
    named = [name for name in row if name not in ("kernel", "source")]
    return f"`{row['kernel']}({', '.join(named)})`"


TABLES = {
    PROFILES[0]: imagenet_c,
    PROFILES[1]: modality,
    "columns": columns,
    "thumbnails": thumbnails,
    f"extended {PROFILES[0]}": partial(imagenet_c, EXTENDED_STRENGTHS),
    f"extended {PROFILES[1]}": partial(modality, EXTENDED_STRENGTHS),
}


def filled(page: str) -> str:
    """Return the page with every table between its two markers made anew."""
    for name, lines in TABLES.items():
        begin, end = f"<!-- table: {name} -->", "<!-- end -->"
        body = "\n".join([begin, *lines(), end])
        page, found = re.subn(re.escape(begin) + r".*?" + re.escape(end), lambda _, body=body: body, page, flags=re.S)
        if found != 1:
            raise ValueError(f"{PAGE.name} needs the marker {begin} once, and has it {found} times")
    return page


def main() -> int:
    """Rewrite the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="yes, rewrite the tables of the page")
    parser.parse_args()
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
