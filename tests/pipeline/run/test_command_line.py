"""Exit codes, last words and the number of workers."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pipeline
from corruptions import BackendUnavailable
from pipeline.errors import UserError, missing_package
from pipeline.run import command_line
from tests.faults.workspace import run
from tests.matrix.requirements import canonical, requirements


def failing(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UserError("no such thing; have one"), "error: no such thing; have one\n"),
        (BackendUnavailable("no GPU"), "error: no GPU\n"),
        (
            OSError(28, "No space left on device", "x/y"),
            "error: x/y: No space left on device; nothing half",
        ),
        (MemoryError(), "error: out of memory; use fewer --workers or a smaller --batch\n"),
        (KeyboardInterrupt(), "interrupted; nothing half-written was kept\n"),
    ],
)
def test_last_words(capsys: pytest.CaptureFixture[str], error: BaseException, says: str) -> None:
    code = command_line.run(failing(error))
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    said = capsys.readouterr().err
    assert said.startswith(says)
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), ModuleNotFoundError("x", name="pipeline.nothing")])
def test_our_own_slips_are_shown_as_python_does(error: Exception) -> None:
    with pytest.raises(type(error)):
        command_line.run(failing(error))


def test_an_exit_code_of_ones_own() -> None:
    assert command_line.run(lambda: 3) == 3
    assert command_line.run(lambda: None) == 0


@pytest.mark.parametrize(("package", "extra"), [("pipeline", "pipeline"), ("benchmark", "benchmark")])
def test_a_package_that_is_not_installed_is_one_sentence_with_its_extra(package: str, extra: str) -> None:
    code = f"import sys, {package}; from pipeline.run.command_line import run; sys.exit(run(lambda: __import__('nix')))"
    ended = run([sys.executable, "-c", code])
    says = f"error: nix is not installed; in a checkout of this project: pip install -e '.[{extra}]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", says)
    assert extra in importlib.metadata.metadata("medimeta-c").get_all("Provides-Extra", [])


def test_the_default_of_workers_is_what_the_process_may_use(tmp_path: Path) -> None:
    one = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
    show = "from pipeline.run.command_line import available_cores; print(available_cores())"
    assert run([sys.executable, "-c", one + show]).stdout == "1\n"
    cores = len(os.sched_getaffinity(0))
    assert command_line.available_cores(tmp_path) == cores
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert command_line.available_cores(tmp_path) == cores
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert command_line.available_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("99900000 100000\n")
    assert command_line.available_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "limits"), [("-1", False), ("60000", True)])
def test_the_older_kind_of_container_limit(tmp_path: Path, quota: str, limits: bool) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert command_line.available_cores(tmp_path) == (1 if limits else len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("module", ["command_line", "parallel", "progress", "cluster", "interrupts"])
def test_the_room_imports_nothing_heavy(module: str) -> None:
    """Each --help would pay for it."""
    heavy = "{'numpy', 'joblib', 'dask', 'distributed', 'tqdm', 'corruptions', 'torch', 'pydantic'}"
    ended = run([sys.executable, "-c", f"import sys, pipeline.run.{module}; print({heavy} & sys.modules.keys())"])
    assert ended.stdout == "set()\n"


@pytest.mark.parametrize("stage", ["prepare", "corrupt", "verify", "export"])
def test_a_stage_without_its_extra_ends_in_a_sentence(stage: str, tmp_path: Path) -> None:
    """`-S` leaves the site-packages out, as after an install without extras."""
    ended = run([sys.executable, "-S", "-E", "-m", f"pipeline.{stage}", "--root", str(tmp_path)])
    assert ended.returncode == 1
    assert ended.stderr == f"error: {missing_package('pydantic', 'pipeline')}\n"


@pytest.mark.parametrize("stage", sorted(path.stem for path in Path(pipeline.__file__).parent.glob("*.py")))
def test_what_a_stage_imports_on_loading_is_looked_for_before(stage: str) -> None:
    loaded = run([sys.executable, "-c", f"import sys, pipeline.{stage}; print(*sys.modules)"]).stdout.split()
    extra = {canonical(Requirement(line).name) for line in requirements()["pipeline"]}
    distributions = importlib.metadata.packages_distributions()
    of_the_extra = {name for name in loaded if extra & {canonical(one) for one in distributions.get(name, [])}}
    assert of_the_extra <= set(pipeline.IMPORTED_FIRST)
