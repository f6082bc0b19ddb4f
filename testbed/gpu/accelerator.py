"""A modelled accelerator that clients share, in virtual time: an emulated GPU.

It has no clock and does nothing by itself: whoever holds it tells the time with each call. Between
events all rates are constant and the next event's instant is known in closed form, so results are
exact, the same each time, and independent of how often it is asked; an idle one costs nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from testbed.gpu.sharing import DEFAULTS, AcceleratorParameters, Phase, Running, Work
from testbed.gpu.stats import ServerStats

__all__ = ["Accelerator", "AcceleratorParameters", "Work"]


class Accelerator:
    """Processor sharing among the clients that have work (see `AcceleratorParameters`).

    A client's own works run one after the other, as in a CUDA stream; so the clients share, not the
    works. Times are seconds on any one axis and must not go back. A read before anything was
    submitted may come at minus infinity, which is what a run's clock says before the run.
    """

    def __init__(self, parameters: AcceleratorParameters = DEFAULTS) -> None:
        self.parameters = parameters
        self._now_s = -math.inf
        self._phase = Phase(parameters, -math.inf, parameters.idle_c, False, ())
        self._waiting: dict[str, deque[Running]] = {}  # by client, behind the one in progress
        self._tickets = 0
        self._completed: list[tuple[int, float]] = []
        self._held_bytes: dict[str, int] = {}
        self._busy: deque[tuple[float, float, float]] = deque()  # start, end, memory utilisation
        self._last_work_s: dict[str, float] = {}  # client -> end of its last work, ascending

    def submit(self, now_s: float, client: str, work: Work) -> int:
        """Add work of a client; return its ticket.

        Raises ValueError if time goes back or is not finite, or the work's is not or is negative.
        """
        if not (math.isfinite(now_s) and 0.0 <= work.compute_s < math.inf > work.memory_s >= 0.0):
            raise ValueError(f"cannot submit {work} at {now_s} s")
        self._move_to(now_s)
        ticket, self._tickets = self._tickets, self._tickets + 1
        memory_share = work.memory_s / work.alone_s if work.alone_s else 0.0
        new = Running(client, ticket, work.alone_s, memory_share)
        running = self._phase.running
        if any(other.client == client for other in running):
            self._waiting.setdefault(client, deque()).append(new)
        else:
            self._begin_phase(now_s, (*self._phase.running_at(now_s), new))
        return ticket

    def next_completion_s(self) -> float:
        """Return when the next work completes if none is added: infinity when idle.

        It lies in the past where completed work was not yet fetched by `advance`.
        """
        if self._completed:
            return self._completed[0][1]
        phase = self._phase
        while phase.running and phase.clock_change_s < phase.completion[0]:
            phase = phase.with_changed_clock()
        return phase.completion[0]

    def advance(self, now_s: float) -> list[tuple[int, float]]:
        """Return (ticket, completed_s) of all work completed by now and not yet told, in order.

        Raises ValueError if time goes back.
        """
        self._move_to(now_s)
        completed, self._completed = self._completed, []
        return completed

    def cancel(self, now_s: float, ticket: int) -> None:
        """Drop work that is waiting, in progress, or completed and not yet told; else do nothing.

        Raises ValueError if time goes back, or no such ticket was given out.
        """
        if not 0 <= ticket < self._tickets:
            raise ValueError(f"no ticket {ticket}: {self._tickets} were given out")
        self._move_to(now_s)
        self._completed = [each for each in self._completed if each[0] != ticket]
        for index, running in enumerate(self._phase.running):
            if running.ticket == ticket:
                self._end_work(now_s, index)
                return
        for client, queue in self._waiting.items():
            left = deque(work for work in queue if work.ticket != ticket)
            if len(left) < len(queue):
                self._queue(client, left)
                return

    def hold(self, client: str, held_bytes: int) -> None:
        """Say how much memory a client's layers and tensors take from now on (0: none).

        Raises ValueError for a negative number.
        """
        if held_bytes < 0:
            raise ValueError(f"{client} cannot hold {held_bytes} bytes")
        self._held_bytes.pop(client, None)
        if held_bytes:
            self._held_bytes[client] = held_bytes

    def read(self, now_s: float) -> ServerStats:
        """Return the statistics of the sample period that ends now.

        Raises ValueError if time goes back.
        """
        self._move_to(now_s)
        phase, period_s = self._phase, self.parameters.period_s
        self._forget(now_s - period_s)
        busy = list(self._busy)
        if phase.running:
            busy.append((phase.start_s, now_s, phase.memory_utilisation))
        within = [(end_s - max(start_s, now_s - period_s), use) for start_s, end_s, use in busy]
        clients = self._last_work_s.keys() | {work.client for work in phase.running}
        return ServerStats(
            source="modelled",
            clients=len(clients),
            kernel_utilisation=min(1.0, sum(span_s for span_s, _ in within) / period_s),
            memory_utilisation=min(1.0, sum(span_s * use for span_s, use in within) / period_s),
            memory_used_bytes=self.parameters.base_memory_bytes + sum(self._held_bytes.values()),
            temperature_c=phase.temperature_c(now_s),
        )

    def _move_to(self, now_s: float) -> None:
        """Let everything happen that happens until now."""
        if not self._now_s <= now_s < math.inf:
            raise ValueError(f"the accelerator is at {self._now_s} s and cannot go to {now_s} s")
        self._now_s = now_s
        while (end_s := self._phase.end_s) <= now_s:
            completed_s, index = self._phase.completion
            if completed_s > end_s:
                self._note(end_s)
                self._phase = self._phase.with_changed_clock()
            else:
                self._completed.append((self._phase.running[index].ticket, end_s))
                self._end_work(end_s, index)

    def _begin_phase(self, now_s: float, running: tuple[Running, ...]) -> None:
        old = self._phase
        self._note(now_s)
        self._phase = replace(old, start_s=now_s, start_c=old.temperature_c(now_s), running=running)

    def _end_work(self, now_s: float, index: int) -> None:
        """Put the client's next work in the place of the one in progress, if there is one."""
        running = self._phase.running_at(now_s)
        client = running[index].client
        following: tuple[Running, ...] = ()
        if queue := self._waiting.get(client):
            following = (queue.popleft(),)
            self._queue(client, queue)
        else:
            self._last_work_s.pop(client, None)  # keeps the ends ascending
            self._last_work_s[client] = now_s
        self._begin_phase(now_s, (*running[:index], *following, *running[index + 1 :]))

    def _queue(self, client: str, queue: deque[Running]) -> None:
        if queue:
            self._waiting[client] = queue
        else:
            del self._waiting[client]

    def _note(self, end_s: float) -> None:
        """Keep what the statistics need of the phase that ends now."""
        phase = self._phase
        if phase.running:
            self._busy.append((phase.start_s, end_s, phase.memory_utilisation))
            self._forget(end_s - self.parameters.period_s)

    def _forget(self, before_s: float) -> None:
        while self._busy and self._busy[0][1] <= before_s:
            self._busy.popleft()
        while self._last_work_s:
            client, end_s = next(iter(self._last_work_s.items()))
            if end_s > before_s:
                break
            del self._last_work_s[client]
