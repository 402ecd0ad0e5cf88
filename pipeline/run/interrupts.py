"""Ctrl-C and SIGTERM at any moment of a command: one sentence, no temporary file left, exit code 130 or 143.

Nothing is raised: an exception may come in the middle of a library, which swallows it, shows it or waits. What is not
whole has a temporary name, so it is enough to remove that and to leave. A command that lacks a package ends in one
sentence too, from its first import on.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

SENTENCE = "interrupted; nothing half-written was kept"

MAKING = threading.RLock()
"""To be held while something `unfinished` is made, so that no thread makes it just before the process ends."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_unfinished: set[Path] = set()


def command(package: str) -> None:
    """Take Ctrl-C, SIGTERM and missing packages if Python was started as ``python -m package.module``; else nothing.

    To be called on import of the package, which comes before the imports of its module: they take a second. All that
    they need is in the extra of the package's name.
    """
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    if sys.argv[:1] != ["-m"] or not module.startswith(f"{package}."):
        return
    sys.excepthook = functools.partial(_show, module, package)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as a shell's background jobs ignore Ctrl-C
            signal.signal(number, functools.partial(_leave, os.getpid()))
    atexit.register(_end, os.getpid())


@contextmanager
def held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end of this, whoever takes them; for what must not be left half done.

    The mask of a thread would not do: the system gives a signal to any thread that has no such mask, such as torch's,
    and Python then runs the handler in the middle of the main thread all the same.
    """
    with MAKING:
        if threading.current_thread() is not threading.main_thread():  # the handler waits for MAKING
            yield
            return
        came: list[int] = []
        before = {n: handler for n in _SIGNALS if (handler := signal.getsignal(n)) not in (signal.SIG_IGN, None)}
        for number in before:
            signal.signal(number, lambda number, _: came.append(number))
        try:
            yield
        finally:
            for number, handler in reversed(before.items()):
                signal.signal(number, handler)
            for first in came[:1]:
                signal.raise_signal(first)


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Remove `path`, a file or folder made within this, unless it has another name by the end, however that comes."""
    _unfinished.add(path)
    try:
        yield
    finally:
        remove(path)
        _unfinished.discard(path)


def remove(path: Path) -> None:
    """Remove a temporary file or folder, if it is there and can be."""
    with suppress(OSError):  # such as a disk that can no longer be written: a later run removes it
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _show(
    module: str, extra: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show an error that nobody took: a package that is not installed in one sentence, anything else as Python does."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None and "." not in error.name:
        needs = f"{module} needs {error.name}, which is not installed: pip install 'medimeta-c[{extra}]'"
        print(f"error: {needs}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _end(process: int) -> None:
    if os.getpid() == process:  # and in no fork of it, which ends as it likes
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the work is done
        _remove_all()


def _remove_all() -> None:
    MAKING.acquire()  # and never released: threads may be writing until the process has gone
    for path in list(_unfinished):
        remove(path)


def _leave(process: int, number: int, _: object) -> None:
    if os.getpid() == process:  # and in no fork of it
        _remove_all()
        with suppress(OSError, ValueError, RuntimeError):  # no reader, closed, or the signal came within a flush
            sys.stdout.flush()
        with suppress(OSError):  # nobody may be left to read it
            os.write(2, f"{chr(10) if os.isatty(2) else ''}{SENTENCE}\n".encode())  # below a progress bar
    os._exit(128 + number)
