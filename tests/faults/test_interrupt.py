"""Ctrl-C and SIGTERM at any moment of a command, and two runs in one workspace."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.run import interrupts
from tests.faults import workspace
from tests.faults.workspace import REPOSITORY, contents, corrupt_command, leftovers, run

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
SAID = "interrupted; nothing half-written was kept\n"


@pytest.fixture
def control_c() -> Iterator[None]:
    """Let processes that a test starts take Ctrl-C: a shell's background jobs ignore it, and so do their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_while_it_writes(tmp_path: Path, control_c: None, workers: str, number: int, code: int) -> None:
    root = workspace.make(tmp_path, test=120)
    command = corrupt_command(root, "--workers", workers, "--batch", "1", corruption="zoom_blur")
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any("test" in path.parts for path in leftovers(root)):
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert said == SAID
    assert not leftovers(root)
    assert not list(root.glob("data/**/test/zoom_blur*"))


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("module", ["pipeline.export", "benchmark.score"])
def test_while_it_is_still_importing(control_c: None, module: str, number: int, code: int) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().endswith(f"| {module.partition('.')[0]}\n"):
            assert process.poll() is None
        process.send_signal(number)
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == code, rest
    assert rest.endswith(SAID)
    assert [line for line in rest.splitlines() if not line.startswith("import time:")] == [SAID.strip()]


@pytest.mark.parametrize(
    ("module", "lacks", "extra"),
    [
        ("pipeline.corrupt", "joblib", "pipeline"),
        ("pipeline.prepare", "yaml", "pipeline"),
        ("benchmark.tune", "torch", "benchmark"),
        ("benchmark.report", "jinja2", "benchmark"),
    ],
)
def test_a_package_that_is_not_installed_is_one_sentence_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, lacks: str, extra: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{lacks!r}] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = run([sys.executable, "-m", module])
    says = f"error: {module} needs {lacks}, which is not installed: pip install 'medimeta-c[{extra}]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", says)
    assert extra in importlib.metadata.metadata("medimeta-c").get_all("Provides-Extra", [])


@pytest.mark.parametrize("slip", ["1 / 0", "import pipeline.nothing"])
def test_our_own_slips_are_shown_as_python_does(slip: str) -> None:
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + slip])
    assert (ended.returncode, ended.stderr.partition("\n")[0]) == (1, "Traceback (most recent call last):")


STARTED = "import sys; sys.argv, sys.orig_argv = ['-m'], ['python', '-m', '{module}.x']; import signal, {module};"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_its_work_is_done(control_c: None, number: int) -> None:
    """Python still takes a moment to end; what was done stays done."""
    late = f"import os; late = type('', (), {{'__del__': lambda _, kill=os.kill: kill(os.getpid(), {number})}})()"
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + late])
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_thread_that_still_writes_at_the_end_leaves_nothing(tmp_path: Path) -> None:
    """As when a task fails, say of a full disk, while others run."""
    code = f"""
import pathlib, threading, time
from pipeline.io.atomic import whole
def write():
    with whole(pathlib.Path({str(tmp_path / "x")!r})):
        time.sleep(60)
threading.Thread(target=write, daemon=True).start()
while not list(pathlib.Path({str(tmp_path)!r}).iterdir()):
    time.sleep(0.001)
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + code])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["pipeline", "benchmark"])
def test_importing_takes_no_signal_from_others(control_c: None, module: str) -> None:
    asked = "print(*(signal.getsignal(s) in (signal.SIG_DFL, signal.default_int_handler) for s in (2, 15)))"
    as_command = STARTED.format(module=module)
    for start, untouched in (
        (f"import signal, {module};", True),
        (as_command.replace(".x", "_x.x"), True),
        (as_command, False),
    ):
        assert run([sys.executable, "-c", start + asked]).stdout.split() == [str(untouched)] * 2


def test_a_fork_leaves_its_parents_files_alone(tmp_path: Path, control_c: None) -> None:
    code = f"""
import os, pathlib
from pipeline.io.atomic import whole
with whole(pathlib.Path({str(tmp_path / "x")!r})) as handle:
    if not (child := os.fork()):
        os.kill(os.getpid(), signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    handle.write(b"whole")
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + code])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_what_was_said_before_is_still_heard(control_c: None) -> None:
    """What is printed to a pipe waits until there is more of it."""
    code = "import os; sys.stdout = open(1, 'w'); print('half'); os.kill(os.getpid(), signal.SIGINT)"
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + code])
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "half\n", SAID)


def test_a_fork_that_ends_leaves_its_parents_files_alone(tmp_path: Path) -> None:
    """As it may by sys.exit, which runs what is to be run at the end."""
    code = f"""
import os, pathlib, sys
from pipeline import interrupt
beside = pathlib.Path({str(tmp_path / "x")!r})
beside.touch()
interrupt._unfinished.add(beside)
if not (child := os.fork()):
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert beside.exists()
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + code])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_what_is_held_is_done_before_the_end(control_c: None, number: int, code: int) -> None:
    """Though another thread takes the signal from the system, and Python would run the handler at once."""
    work = f"""
import os, threading, time
from pipeline.run.interrupts import held
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
with held():
    with held():
        os.kill(os.getpid(), {number})
        time.sleep(0.01)
    print("held")
print("after")
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + work])
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "held\n", SAID)


def test_what_is_held_is_done_before_the_caller_hears_of_it(control_c: None) -> None:
    done = []

    def work() -> None:
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_waits_for_what_another_thread_holds(control_c: None) -> None:
    work = """
import os, threading, time
from pipeline.run.interrupts import held
def hold():
    with held():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        print("held")
threading.Thread(target=hold).start()
time.sleep(60)
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + work])
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "held\n", SAID)


def test_no_thread_makes_a_file_behind_its_back(tmp_path: Path, control_c: None) -> None:
    code = f"""
import contextlib, itertools, os, pathlib, threading, time
from pipeline.io.atomic import whole
def write(thread):
    for number in itertools.count():
        with contextlib.suppress(FileNotFoundError), whole(pathlib.Path({str(tmp_path)!r}, f"{{thread}}-{{number}}")):
            pass
for thread in range(8):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
while not pathlib.Path({str(tmp_path)!r}, "7-0").exists():
    time.sleep(0.001)
os.kill(os.getpid(), signal.SIGINT)
"""
    ended = run([sys.executable, "-c", STARTED.format(module="pipeline") + code])
    assert (ended.returncode, ended.stderr) == (130, SAID)
    assert not leftovers(tmp_path)


def test_two_runs_at_once_make_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "together").mkdir()
    alone, together = workspace.make(tmp_path / "alone", test=40), workspace.make(tmp_path / "together", test=40)
    assert run(corrupt_command(alone)).returncode == 0
    command = corrupt_command(together, "--batch", "2")
    both = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    assert contents(together) == contents(alone)
    assert not leftovers(together)


@pytest.mark.slow
def test_dvc_twice_at_once(tmp_path: Path) -> None:
    """DVC lets one in, or makes the other wait; a further run has nothing left to do."""
    root = workspace.make(tmp_path)
    dvc = Path(sys.executable).with_name("dvc")
    environment = os.environ | {"PATH": f"{dvc.parent}{os.pathsep}{os.environ['PATH']}"}
    for folder in ("corruptions", "pipeline"):
        (root / folder).symlink_to(REPOSITORY / folder)
    (root / "dvc.yaml").write_text(
        "stages:\n  corrupt:\n    cmd: "
        + " ".join(["python", *corrupt_command(root)[1:]])
        + "\n    deps: [data/MediMeta-C/pbc/val/clean.npz]\n"
        + "    outs: [data/MediMeta-C/pbc/val/gaussian_noise_severity_1.npz]\n"
    )
    for command in (["git", "init", "-q"], [str(dvc), "init", "-q"]):
        subprocess.run(command, cwd=root, env=environment, check=True)
    repro = [str(dvc), "repro"]
    both = [
        subprocess.Popen(repro, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert 0 in [process.returncode for process in both], said
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "lock" in text, text
        assert "Traceback" not in text
    third = subprocess.run(repro, cwd=root, env=environment, capture_output=True, text=True)
    assert "up to date" in third.stdout
    assert not leftovers(root)
