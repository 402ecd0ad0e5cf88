"""The bench runs, and its table and means are what was measured."""

from __future__ import annotations

import importlib
import itertools
import json
import pathlib

import numpy as np
import pytest

from corruptions import EXTENDED
from corruptions.table import EXTENDED_KERNELS
from tests.bench import __main__ as bench
from tests.bench import extended, kernels, models, peers, pipeline, timing
from tests.bench.timing import Timing


@pytest.mark.parametrize("name", sorted(path.stem for path in pathlib.Path(timing.__file__).parent.glob("[!_]*.py")))
def test_every_bench_finds_what_it_imports(name: str) -> None:
    importlib.import_module(f"tests.bench.{name}")


def test_the_bench_writes_every_rate_and_the_machine(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_SHORTEST", 1e-6)
    output = tmp_path / "new" / "bench.json"
    options = ["--images", "2", "--rounds", "1", "--rows", "scale", "gamma_corr_up", "read", "--output", str(output)]
    assert bench.main([*options, "--folder", str(tmp_path)]) == 0
    report = json.loads(output.read_text())
    assert set(report["rows"]) == {"scale", "read"}
    assert set(report["extended"]) == {"gamma_corr_up"}
    assert report["rows"]["scale"]["ours"]["median"] > 0
    assert report["machine"]["versions"]["numpy"]
    assert "gamma_corr_up" in capsys.readouterr().out


def test_every_kind_of_model_has_a_rate_and_a_peak(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_SHORTEST", 1e-6)
    output = tmp_path / "models.json"
    kinds = ["hub: SigLIP", "vlm: LLaVA"]
    options = ["--images", "3", "--batch", "2", "--rounds", "1", "--output", str(output)]
    assert models.main([*options, "--kinds", *kinds]) == 0
    report = json.loads(output.read_text())
    assert list(report["rows"]) == list(report["peak MB"]) == kinds
    assert all(row[who]["median"] > 0 for row in report["rows"].values() for who in ("ours", "forward"))
    assert all(megabytes > 100 for megabytes in report["peak MB"].values())
    assert "of forward" in capsys.readouterr().out


def test_an_unknown_row_measures_nothing(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--rows", "mist", "--output", str(tmp_path / "bench.json")])
    assert ended.value.code == 2
    assert "the rows are: gaussian_noise" in capsys.readouterr().err
    assert not (tmp_path / "bench.json").exists()


def test_every_extended_corruption_and_kernel_has_a_row() -> None:
    cells = extended.cells()
    assert set(EXTENDED) <= set(cells)
    measured = {peers.strengths(*cell)[0].kernel for cell in cells.values()}
    assert set(EXTENDED_KERNELS) <= measured


def test_works_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_SHORTEST", 1e-3)
    turns: list[str] = []
    works = {"ours": lambda: turns.append("ours") or 1, "copy": lambda: turns.append("copy") or 1}
    timing.measured(works, 2)
    assert sum(a != b for a, b in itertools.pairwise(turns)) == 5  # of three rounds, the first of which does not count


def _rows(names: tuple[str, ...], **rates: float) -> dict[str, timing.Row]:
    return {name: {who: Timing(rate, rate / 2, rate * 2) for who, rate in rates.items()} for name in names}


def test_the_mean_is_of_the_time_that_seven_take() -> None:
    rows = _rows(peers.MEDMNISTC, ours=100.0, copy=1000.0)
    rows |= _rows(peers.KERNELS, ours=100.0, copy=1000.0, imagecorruptions=10.0)
    for name in peers.MEDMNISTC:
        rows[name]["medmnistc"] = Timing(5.0, 5.0, 5.0)
    rows["zoom_blur"]["ours"] = Timing(25.0, 25.0, 25.0)
    mean = kernels.mean(rows)["kernels, mean of seven"]
    assert mean["ours"].median == pytest.approx(7 / (6 / 100 + 1 / 25))
    assert mean["imagecorruptions"].median == pytest.approx(10)
    assert mean["medmnistc"].median == pytest.approx(5)
    assert "formulas" not in mean
    # medmnistc has the other form of brightness, which is the faster one here.
    rows["add_value"]["ours"] = Timing(10.0, 10.0, 10.0)
    mean = kernels.mean(rows)["kernels, mean of seven"]
    assert mean["ours"].median / mean["medmnistc"].median == pytest.approx((7 / 5) / (6 / 100 + 1 / 25))
    assert kernels.mean(_rows(("scale",), ours=1.0)) == {}


def test_costs_are_images_over_rates() -> None:
    names = (*(f"write {kind}" for kind in pipeline.COMPRESSIONS), "verify", "export")
    costs = pipeline.cost(_rows(names, ours=1000.0), 1e6)
    assert costs["core-hours to write, stored"] == pytest.approx(32_163 * 35 / 1000 / 3600)
    assert costs["core-hours to verify"] == pytest.approx(32_163 * 36 / 1000 / 3600)
    assert costs["GPU-hours of kernels"] == pytest.approx(32_163 * 35 / 1e6 / 3600)
    assert costs["GB of pixels"] == pytest.approx(174.3, abs=0.1)


def test_photographs_are_real_and_differ() -> None:
    pictures = timing.photographs(4)
    assert pictures.shape == (4, 224, 224, 3)
    assert len(np.unique(pictures.reshape(4, -1), axis=0)) == 4
