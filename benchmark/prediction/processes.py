"""Several processes that predict together: which cells each has, and how they end together."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pipeline.errors import UserError

Shard = tuple[int, int]
"""(k, n): every n-th of the cells of each data set, from the k-th on."""

UNTIL_STDIN_ENDS = "--until-stdin-ends"


def shard(text: str) -> Shard:
    """Parse K/N for argparse."""
    first, _, step = text.partition("/")
    if not (first.isdecimal() and step.isdecimal() and int(first) < int(step)):
        raise argparse.ArgumentTypeError(f"is K/N with K below N, not {text!r}")
    return int(first), int(step)


def divide(shard: Shard, count: int) -> list[Shard]:
    """Divide a shard into `count` of about the same size."""
    first, step = shard
    return [(first + k * step, count * step) for k in range(count)]


@contextmanager
def beside(commands: Sequence[tuple[str, list[str]]]) -> Iterator[None]:
    """Run commands of `benchmark.predict` beside the block, then wait for them.

    They end with this process, however it ends: each gets ``--until-stdin-ends`` and a stdin that this process holds.

    Args:
        commands: each with the name of the device that it is for.

    Raises:
        UserError: one of them failed, which has said why.
    """
    with ExitStack() as started:  # which closes each one's stdin before it waits
        running = [
            (device, started.enter_context(subprocess.Popen([*command, UNTIL_STDIN_ENDS], stdin=subprocess.PIPE)))
            for device, command in commands
        ]
        yield
        failed = [device for device, process in running if process.wait()]
    if failed:
        raise UserError(f"predicting on {', '.join(failed)} failed; its message is above, and whatever is done is kept")


def end_with_stdin() -> None:
    """Let this process get SIGTERM when its stdin ends: whoever started it and held that open has gone."""

    def wait() -> None:
        while os.read(0, 1):  # sys.stdin would be locked when Python ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
