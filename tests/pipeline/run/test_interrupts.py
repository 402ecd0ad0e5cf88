"""Ctrl-C and SIGTERM at any moment of a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.io.atomic import atomic_write
from pipeline.run import interrupts
from pipeline.run.interrupts import Interrupted
from tests.faults import workspace
from tests.faults.workspace import REPOSITORY, corrupt_command, leftovers, run

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
SAID = "interrupted; nothing half-written was kept\n"


@pytest.fixture(autouse=True)
def control_c() -> Iterator[None]:
    """Let processes that a test starts take Ctrl-C: a shell's background jobs ignore it, and so do their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def command(work: str) -> list[str]:
    """Return a command that does `work`, Python statements, as the stages do theirs."""
    body = "\n".join(f"    {line}" for line in work.strip().splitlines())
    return [sys.executable, "-c", f"{HEAD}\ndef work():\n{body}\nsys.exit(run(work))"]


HEAD = """
import os, pathlib, signal, sys, threading, time
from pipeline.io.atomic import atomic_write
from pipeline.run.command_line import run
from pipeline.run.interrupts import held
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_while_it_writes(tmp_path: Path, workers: str, number: int, code: int) -> None:
    root = workspace.make(tmp_path, test=120)
    stage = corrupt_command(root, "--workers", workers, "--batch", "1", corruption="zoom_blur")
    with subprocess.Popen(stage, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any("test" in path.parts for path in leftovers(root)):
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (code, SAID)
    assert not leftovers(root)
    assert not list(root.glob("data/**/test/zoom_blur*"))


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("package", ["numba", "torch", "datasets"])
def test_while_it_imports(package: str, number: int, code: int) -> None:
    """At several moments: some are in code that swallows exceptions."""
    for seconds in (0.1, 0.4, 0.7):
        kill = f"threading.Timer({seconds}, os.kill, (os.getpid(), {number})).start()"
        ended = run(command(f"{kill}\nimport {package}\ntime.sleep(60)"))
        assert (ended.returncode, ended.stderr) == (code, SAID)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(
    "swallow",
    [
        "class Loud:\n    def __del__(self): os.kill(os.getpid(), {number}); time.sleep(0.01)\nLoud()",
        "try:\n    os.kill(os.getpid(), {number}); time.sleep(0.01)\nexcept:\n    pass",
        "try:\n    os.kill(os.getpid(), {number}); time.sleep(0.01)\nexcept BaseException as error:\n"
        "    raise ValueError('a library has another word for it')",
    ],
    ids=["destructor", "bare except", "another exception"],
)
def test_an_exception_that_is_swallowed_comes_again(swallow: str, number: int, code: int) -> None:
    ended = run(command(f"{swallow.format(number=number)}\nwhile True: time.sleep(0.1)"))
    assert (ended.returncode, ended.stderr) == (code, SAID)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_another_signal_cuts_no_clean_up_short(tmp_path: Path, number: int, code: int) -> None:
    """Not in a function's `finally`, and not in that of a generator, which Python closes on the way."""
    ended = run(
        command(f"""
def generator():
    try:
        yield 1
    finally:
        clean("generator")
def clean(name):
    for _ in range(8):
        os.kill(os.getpid(), {number})
        time.sleep(0.1)
    print(name)
try:
    for _ in generator():
        os.kill(os.getpid(), {number})
        time.sleep(60)
finally:
    clean("finally")
""")
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "generator\nfinally\n", SAID)


def test_a_clean_up_that_never_ends_is_ended() -> None:
    work = "try:\n    os.kill(os.getpid(), 15)\n    time.sleep(60)\nfinally:\n    time.sleep(60)"
    shorter = "from pipeline.run import interrupts\ninterrupts.PATIENCE = 1.0\n"
    assert run(command(shorter + work)).returncode == -signal.SIGTERM


def test_threads_that_write_stop_at_their_next_write(tmp_path: Path) -> None:
    """A cell of export takes many seconds, and an executor waits for its threads."""
    ended = run(
        command(f"""
from concurrent.futures import ThreadPoolExecutor
def write(name):
    with atomic_write(pathlib.Path({str(tmp_path)!r}, name)) as handle:
        while True:
            handle.write(bytes(100_000))
            time.sleep(0.01)
with ThreadPoolExecutor(2) as pool:
    futures = [pool.submit(write, name) for name in "ab"]
    time.sleep(0.5)
    os.kill(os.getpid(), 15)
    time.sleep(60)
""")
    )
    assert (ended.returncode, ended.stderr) == (143, SAID)
    assert not list(tmp_path.iterdir())


def test_what_was_said_before_is_still_heard() -> None:
    """What is printed to a pipe waits until there is more of it."""
    ended = run(command("print('half')\nos.kill(os.getpid(), 2)\ntime.sleep(60)"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "half\n", SAID)


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    ended = run(["nohup", *command("os.kill(os.getpid(), 2)\ntime.sleep(0.1)\nprint('done')")], preexec_fn=_ignore)
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("module", ["pipeline", "benchmark", "pipeline.run.command_line", "pipeline.io.atomic"])
def test_importing_takes_no_signal(module: str) -> None:
    untouched = "signal.getsignal(2) is signal.default_int_handler and signal.getsignal(15) is signal.SIG_DFL"
    ended = run([sys.executable, "-c", f"import signal, {module}; print({untouched})"])
    assert ended.stdout == "True\n"


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with pytest.raises(Interrupted) as caught, interrupts.raising():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert not interrupts.has_come()
    with pytest.raises(KeyError), interrupts.raising():
        raise KeyError


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_what_is_held_is_done_before_the_end(number: int, code: int) -> None:
    """Though another thread takes the signal from the system, and Python would run the handler at once."""
    ended = run(
        command(f"""
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
with held():
    with held():
        os.kill(os.getpid(), {number})
        time.sleep(1)
    print("held")
print("after")
""")
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "held\n", SAID)


def test_what_is_held_is_done_before_the_caller_hears_of_it() -> None:
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


def test_an_interrupt_while_a_file_is_written_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path):
        signal.raise_signal(signal.SIGINT)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
