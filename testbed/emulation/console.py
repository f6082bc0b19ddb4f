"""Mininet's command line on the network of a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from types import FrameType

from mininet.cli import CLI
from mininet.log import setLogLevel

from testbed.emulation.network.network import EmulatedNetwork

_ENDING = (signal.SIGTERM, signal.SIGHUP)
#: Turns in which the loop handles the signals that came meanwhile; it has no handler for SIGINT.
_LOOP_TURNS = 2


class _Ended(SystemExit):
    """The run is to end: nothing in Mininet's command line catches this.

    Its log catches all but SystemExit and KeyboardInterrupt, and a command's output goes there.
    """


async def open_console(network: EmulatedNetwork) -> None:
    """Let the user look at the network with Mininet's commands, until `exit` or the input's end.

    Nothing else happens meanwhile: the run's clock has not started.
    """
    setLogLevel("output")
    # What is typed while a command runs goes to the command; a script's next lines must not
    script = None if sys.stdin.isatty() else "/dev/stdin"
    with _terminal():
        async with _interrupts():
            with contextlib.suppress(_Ended):
                CLI(network.mininet, script=script)
    setLogLevel("error")


@contextlib.contextmanager
def _terminal() -> Iterator[None]:
    """Take the terminal, if the input is one, from the launcher, whose process group has it.

    It is kept: the launcher's group has no number in this PID namespace, by which it could be given
    back. Ctrl-C then reaches this process directly, not through the launcher.
    """
    if sys.stdin.isatty():
        handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # or to take it would stop us
        try:
            os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
        finally:
            signal.signal(signal.SIGTTOU, handler)
    yield


@contextlib.asynccontextmanager
async def _interrupts() -> AsyncIterator[None]:
    """Let Ctrl-C interrupt a command, not the run; what ends the run ends the command line."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.remove_signal_handler(signal.SIGINT)
    handlers = {number: signal.signal(number, _end) for number in _ENDING}
    handlers[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        try:
            for _ in range(_LOOP_TURNS):
                await asyncio.sleep(0)
        finally:
            loop.add_signal_handler(signal.SIGINT, task.cancel)


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended
