"""The benches that the documents' numbers come from."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import kernels, peers
from tests.bench.timing import Timing, measured


def test_a_row_is_measured_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--rows", "scale", "--images", "2", "--rounds", "1", "--output", str(tmp_path / "bench.json")]
    assert bench.main(given) == 0
    made = json.loads((tmp_path / "bench.json").read_text())
    assert list(made["rows"]) == ["scale"]
    rate = made["rows"]["scale"]["ours"]["median"]
    assert f"{rate:10.0f}" in capsys.readouterr().out
    assert made["machine"]["versions"]["numpy"]


def test_an_unknown_row_measures_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--rows", "fog", "--output", str(tmp_path / "bench.json")])
    assert ended.value.code == 2
    assert "the rows are: gaussian_noise" in capsys.readouterr().err
    assert not (tmp_path / "bench.json").exists()


def test_works_take_turns_and_the_first_does_not_count() -> None:
    turns = []
    works = {"ours": lambda: turns.append("ours") or 10**9, "copy": lambda: turns.append("copy") or 10**9}
    row = measured(works, 2)
    assert [turns[0], turns[-1]] == ["ours", "copy"]
    assert sum(a != b for a, b in itertools.pairwise(turns)) == 5
    assert row["ours"].slowest <= row["ours"].median <= row["ours"].fastest


def test_the_mean_is_of_times_and_takes_ours_in_a_peers_form() -> None:
    def rows(seconds: float, **others: float) -> dict[str, Timing]:
        return {who: Timing(*(1 / s for s in (t,) * 3)) for who, t in {"ours": seconds, **others}.items()}

    found = {name: rows(1, copy=0.5, medmnistc=20) for name in {*peers.KERNELS, *peers.MEDMNISTC}}
    found["add_value"] = rows(8, copy=0.5)  # medmnistc has the other form of brightness, which takes us 1
    mean = kernels.mean(found)["kernels, mean of seven"]
    assert mean["ours"].median == pytest.approx(7 / 14)
    assert mean["ours"].median / mean["medmnistc"].median == pytest.approx(140 / 7)
    assert "imagecorruptions" not in mean
    assert kernels.mean({"scale": found["scale"]}) == {}
