from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.run import command_line
from pipeline.text import printable, spreadsheet_text

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.binary(max_size=20).map(os.fsdecode),
    st.sampled_from(["\x1b[2J\x1b[31m", "\u202egnp.exe", "a\nerror: all is lost", "\x9b31m", "\x7f\b\b", "\u2028"]),
)


@given(NAMES)
def test_a_terminal_gets_one_line_without_control_characters(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    shown.encode()
    assert shown == name or not name.isprintable()


@given(name=NAMES)
def test_whatever_a_stage_says_is_one_printable_line(name: str) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr.write", said.append)
        for failure in (UserError(f"no {name}"), OSError(2, "No such file", name)):

            def work(failure: Exception = failure) -> None:
                raise failure

            said.clear()
            assert command_line.run(work) == 1
            assert "".join(said).removesuffix("\n").isprintable()


@given(name=NAMES.filter(lambda name: "\0" not in name))
def test_a_spreadsheet_computes_nothing(name: str) -> None:
    assert spreadsheet_text(name).removeprefix("'") == name.removeprefix("'")
    assert not spreadsheet_text(name).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("name", ["=1+1.png", "+1", "-1", "@x", '=HYPERLINK("http://x")', "\t=1"])
def test_the_tables_of_prepare_compute_nothing(tmp_path: Path, name: str) -> None:
    from pipeline.io.records import write_csv

    write_csv(tmp_path / "rows.csv", ("split", "index", "image_id"), [("val", 0, name)])
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == ["val", "0", f"'{name}"]
