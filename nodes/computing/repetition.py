"""Executions that are repeated, to check the results that were handed out.

One at a time on a machine, and only while nothing else wants the processor. Few may wait: what is
repeated is a sample.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nodes.computing.apart import Apart

_MAX_WAITING = 4  # of a node; each holds a segment's inputs and outputs


class Repetitions:
    """The repetitions of one node; of all that name the same file `turn`, one repeats at a time.

    `computing` is the thread in which the node computes, and which must be idle to fork.
    """

    def __init__(self, turn: Path, computing: Executor) -> None:
        self._turn = turn
        self._computing = computing
        self._waiting = 0
        self._begun = False
        self._given_up = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "repeat")

    async def make(self, compare: Callable[[], bool]) -> bool | None:
        """Return what `compare` says, in a process of its own, when it is its turn.

        Returns None where too many wait already, or `give_up` came first.
        """
        if self._waiting >= _MAX_WAITING:
            return None
        self._waiting += 1
        given_up = asyncio.ensure_future(self._given_up.wait())
        try:
            loop = asyncio.get_running_loop()
            making = loop.run_in_executor(self._thread, self._make, compare)
            either: set[asyncio.Future[Any]] = {making, given_up}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return await making if making.done() or self._begun else None
        finally:
            given_up.cancel()
            self._waiting -= 1

    def give_up(self) -> None:
        """Begin no further repetition."""
        self._given_up.set()

    def _make(self, compare: Callable[[], bool]) -> bool | None:
        with _turn(self._turn):
            if self._given_up.is_set():
                return None
            self._begun = True
            try:
                begun = self._computing.submit(Apart, lambda: bytes([compare()]), when_idle=True)
                return bool(begun.result().returned()[0])
            finally:
                self._begun = False


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """Wait for the lock of this file, and hold it; blocks the thread."""
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(opened, fcntl.LOCK_UN)  # a fork may have the file still
