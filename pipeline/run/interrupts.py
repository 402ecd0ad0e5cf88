"""Ctrl-C and SIGTERM as one exception, so that what is half-written is removed by its own `finally`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.5
"""Seconds after which the exception is raised again if a library has swallowed it."""

PATIENCE = 10.0
"""Seconds that the clean-up may take before the signal ends the process as it ends any other."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The user pressed Ctrl-C, or the process was told to end; `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _State:
    """What the handler knows of this process: the first signal, when it came, and how many `held` are open."""

    number: int | None = None
    since = 0.0
    held = 0


def has_come() -> bool:
    """Say whether a signal has come, so that threads stop writing: only the main thread gets the exception."""
    return _State.number is not None


@contextmanager
def raising() -> Iterator[None]:
    """Raise `Interrupted` in the block when a signal comes, and whatever else the block then raises as `Interrupted`.

    Does nothing outside the main thread, which alone can take signals, or within another such block. A signal that the
    process ignores, as a shell's background jobs ignore Ctrl-C, stays ignored.
    """
    if not _is_main_thread() or signal.getsignal(signal.SIGALRM) is _handle:
        yield
        return
    before = {n: signal.getsignal(n) for n in (*_SIGNALS, signal.SIGALRM)}
    handled = [n for n in _SIGNALS if before[n] not in (signal.SIG_IGN, None)]
    show = sys.unraisablehook
    sys.unraisablehook = lambda ignored: None if isinstance(ignored.exc_value, Interrupted) else show(ignored)
    try:
        for number in (*handled, signal.SIGALRM):
            signal.signal(number, _handle)
        yield
    except BaseException as error:
        if _State.number is None or isinstance(error, Interrupted):
            raise
        raise Interrupted(_State.number) from error  # a library put its own exception in the place of ours
    finally:
        if _State.number is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _State.number = None
        for number in (*handled, signal.SIGALRM):
            signal.signal(number, before[number])
        sys.unraisablehook = show


@contextmanager
def held() -> Iterator[None]:
    """Let a signal wait until the end of the block, which must be short; for what must not be left half done.

    A signal mask would not do: the system gives the signal to another thread, such as torch's, and Python then runs
    the handler in the main thread all the same.
    """
    with raising():
        _State.held += 1
        try:
            yield
        finally:
            _State.held -= 1
        if _State.number is not None and not _State.held and _is_main_thread():
            raise Interrupted(_State.number)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _handle(number: int, _: FrameType | None) -> None:
    """Raise `Interrupted`, and be called again: an exception in a destructor or a bare ``except`` goes nowhere.

    While the exception is on its way out it is not raised anew, so a second Ctrl-C cuts no clean-up short.
    """
    if first := _State.number is None:
        _State.number, _State.since = number, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    if _State.held:
        return
    if first or not _is_unwinding():
        raise Interrupted(_State.number)
    if time.monotonic() - _State.since > PATIENCE:  # some library waits, say for an upload
        signal.signal(_State.number, signal.SIG_DFL)
        os.kill(os.getpid(), _State.number)


def _is_unwinding() -> bool:
    """Say whether Python is in a `finally` on the exception's way; a generator there sees GeneratorExit instead."""
    error = sys.exception()
    while error is not None and not isinstance(error, (Interrupted, GeneratorExit)):
        error = error.__context__
    return error is not None
