"""The kernel bench runs, and its table and totals are what was measured."""

from __future__ import annotations

import json
import pathlib

import pytest

from corruptions import SEVERITIES
from tests.bench import kernels
from tests.bench.kernels import Timing


def test_the_bench_writes_every_rate_and_the_machine(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "kernels.json"
    options = ["--images", "2", "--rounds", "1", "--kernels", "scale", "--output", str(output)]
    assert kernels.main(options) == 0
    report = json.loads(output.read_text())
    assert set(report["rates"]) == {"scale"}
    assert set(report["rates"]["scale"]) == {str(severity) for severity in SEVERITIES}
    assert report["rates"]["scale"]["1"]["ours"]["median"] > 0
    assert report["machine"]["versions"]["numpy"]
    assert "scale" in capsys.readouterr().out


def test_totals_compare_the_time_of_all_severities() -> None:
    own, other = Timing(100.0, 90.0, 110.0), Timing(10.0, 9.0, 11.0)
    slow = Timing(1.0, 1.0, 1.0)
    rates = {"pixelate": {1: {"ours": own, "medmnistc": other}, 2: {"ours": own, "medmnistc": slow}}}
    assert kernels.totals(rates)["medmnistc"]["all"] == pytest.approx((1 / 10 + 1) / (2 / 100))
    assert "imagecorruptions" not in kernels.totals(rates)
