"""Processes in virtual time that wait, and have work done by accelerators that they share."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Iterator, Mapping
from itertools import count
from math import inf
from typing import NamedTuple

from testbed.gpu.accelerator import Accelerator, Work
from testbed.gpu.stats import ServerStats


class Execution(NamedTuple):
    """Work that a client has a server do."""

    server: str
    client: str
    work: Work


#: It yields seconds to wait, or work to be done, and is resumed with the time, s.
Process = Generator[float | Execution, float, None]


class VirtualServers:
    """Edge servers' accelerators, by name, and the processes that use them.

    Events are the ends of waiting and of work; at the same instant work ends first, then processes
    go on in the order in which they began to wait.
    """

    def __init__(self, servers: Collection[str]) -> None:
        self._accelerators: Mapping[str, Accelerator] = {name: Accelerator() for name in servers}
        self._now_s = 0.0
        self._waiting: list[tuple[float, int, Process]] = []  # a heap
        self._numbers: Iterator[int] = count()
        self._executing: dict[tuple[str, int], tuple[str, Process]] = {}  # by server and ticket

    def start(self, process: Process) -> None:
        """Let a process begin now."""
        self._go_on(process, next(process))

    def run(self, until_s: float) -> None:
        """Let everything happen that happens until then."""
        while True:
            server = min(self._accelerators, key=self._completes_s)
            completes_s = self._completes_s(server)
            wakes_s = self._waiting[0][0] if self._waiting else inf
            if min(completes_s, wakes_s) > until_s:
                return
            if completes_s <= wakes_s:
                self._now_s = completes_s
                for ticket, done_s in self._accelerators[server].advance(completes_s):
                    self._resume(self._executing.pop((server, ticket))[1], done_s)
            else:
                self._now_s, _, process = heapq.heappop(self._waiting)
                self._resume(process, self._now_s)

    def load(self, server: str) -> ServerStats:
        """Return what a server tells of its load now."""
        return self._accelerators[server].read(self._now_s)

    def working(self, server: str) -> set[str]:
        """Return the clients whose work a server does now."""
        return {client for (name, _), (client, _) in self._executing.items() if name == server}

    def _completes_s(self, server: str) -> float:
        return self._accelerators[server].next_completion_s()

    def _resume(self, process: Process, now_s: float) -> None:
        try:
            asked = process.send(now_s)
        except StopIteration:
            return
        self._go_on(process, asked)

    def _go_on(self, process: Process, asked: float | Execution) -> None:
        if isinstance(asked, Execution):
            accelerator = self._accelerators[asked.server]
            ticket = accelerator.submit(self._now_s, asked.client, asked.work)
            self._executing[asked.server, ticket] = asked.client, process
        else:
            heapq.heappush(self._waiting, (self._now_s + asked, next(self._numbers), process))
