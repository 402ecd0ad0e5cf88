"""What `make test-matrix` says of environments that come to nothing: a line each, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix import __main__ as matrix

NO_VENV = """[ "$1" = -c ]"""
NO_INSTALL = """[ "$2" != pip ] && { [ "$2" != venv ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; }; }"""
NO_REPORT = """[ "$2" != venv ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; }"""


def interpreter(folder: Path, does: str) -> str:
    """Make a program that succeeds where the shell command `does` succeeds."""
    folder.mkdir()
    made = folder / "python3"
    made.write_text(f"#!/bin/sh\n{does}\n")
    made.chmod(0o755)
    return str(made)


def test_each_interpreter_gets_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "matrix")
    pythons = [interpreter(tmp_path / str(n), does) for n, does in enumerate((NO_VENV, NO_INSTALL, NO_REPORT))]
    assert matrix.main(["--pythons", *pythons, str(tmp_path / "python3")]) == 1
    said = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert said == [
        "oldest: error: no environment could be made, see above",
        f"{pythons[0]}: error: no environment could be made, see above",
        f"{pythons[1]}: error: could not be installed, see above",
        f"{pythons[2]}: error: the tests ended with code 0 and without a report, see above",
        f"{tmp_path / 'python3'}: NOT RUN, there is no {tmp_path / 'python3'} on PATH",
    ]


def test_one_interpreter_alone_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "matrix")
    pythons = [interpreter(tmp_path / name, NO_VENV) for name in "ab"]
    assert matrix.main(["--pythons", *pythons, "--only", pythons[1]]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [f"{pythons[1]}: error: no environment could be made, see above"]
