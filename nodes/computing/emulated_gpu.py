"""An edge server's accelerator: how long its work takes beside other clients', and its load.

Emulated, as everything is that a device profile times: `testbed.gpu.accelerator` says when work is
done, and `stats` are its own (`modelled`). A server whose work runs on a GPU of this machine has
another `testbed.gpu.stats.StatsSource` in its place, and reads that.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

import msgspec

from testbed.clock import RunClock
from testbed.errors import ProtocolError
from testbed.gpu.accelerator import Accelerator, Work
from testbed.gpu.stats import ServerStats

T = TypeVar("T")


class EmulatedGpu:
    """A modelled accelerator on the run's clock.

    Work is done when the model says so: later than it seemed if other clients' comes, earlier if
    theirs goes. Its numbers are computed meanwhile, on whatever this machine has. Where it is
    `exclusive`, pieces of work wait for each other instead of sharing it. `watch` is told of tasks
    whose failing must not go unnoticed.
    """

    def __init__(self, *, exclusive: bool, watch: Callable[[asyncio.Task[None]], None]) -> None:
        self._watch = watch
        self._clock = RunClock(math.inf)
        self._accelerator = Accelerator()
        self._turn: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if exclusive else nullcontext()
        )
        self._waiting: dict[str, int] = {}  # client -> its pieces of work that are not done
        self._done: dict[int, asyncio.Future[float]] = {}
        self._completing: asyncio.Task[None] | None = None
        self._latest_s = -math.inf

    def start(self, clock: RunClock) -> None:
        """The run begins; before that there can be no work."""
        self._clock = clock

    async def execute(
        self, client: str, seconds: float, compute: Callable[[], Awaitable[T]]
    ) -> tuple[T, float]:
        """Do work that takes `seconds` alone; return the result of `compute`, and how late it is.

        The lateness is the machine's, in seconds after the model's completion: that the work was
        slowed down by others' is not counted. Raises ProtocolError before the run has begun.
        """
        if self._clock.origin_s == math.inf:
            raise ProtocolError("there is no work before the run begins")
        self._waiting[client] = self._waiting.get(client, 0) + 1
        try:
            async with self._turn:
                return await self._execute(client, Work.of(seconds), compute)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def hold(self, client: str, held_bytes: int) -> None:
        """Say how much memory a client's layers take from now on."""
        self._accelerator.hold(client, held_bytes)

    def stats(self) -> ServerStats:
        """Return the present load."""
        stats = self._accelerator.read(self._now_s())
        return msgspec.structs.replace(stats, clients=max(stats.clients, len(self._waiting)))

    async def _execute(
        self, client: str, work: Work, compute: Callable[[], Awaitable[T]]
    ) -> tuple[T, float]:
        ticket = self._accelerator.submit(self._now_s(), client, work)
        done = self._done[ticket] = asyncio.get_running_loop().create_future()
        self._await_completion()
        try:
            result = await compute()
            done_s = await done
        finally:
            if self._done.pop(ticket, None) is not None:  # given up
                self._accelerator.cancel(self._now_s(), ticket)
                self._await_completion()
        return result, max(0.0, self._clock.now_s() - done_s)

    def _await_completion(self) -> None:
        """Wait for the next completion, which has just changed."""
        if self._completing is not None:
            self._completing.cancel()
        self._completing = asyncio.create_task(self._complete(), name="completing work")
        self._watch(self._completing)

    async def _complete(self) -> None:
        while (due_s := self._accelerator.next_completion_s()) < math.inf:
            await self._clock.sleep_until(due_s)
            for ticket, done_s in self._accelerator.advance(self._now_s(at_least_s=due_s)):
                if not (done := self._done.pop(ticket)).done():  # else it is being given up
                    done.set_result(done_s)

    def _now_s(self, at_least_s: float = -math.inf) -> float:
        """The emulated time; `at_least_s` is that of a timer, which may be a rounding early."""
        self._latest_s = max(self._latest_s, at_least_s, self._clock.now_s())
        return self._latest_s
