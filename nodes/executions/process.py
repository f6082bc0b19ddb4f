"""A process of the execution pool as the pool sees it, and the work that waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from functools import partial
from typing import NamedTuple

import msgspec

from nodes.computing.apart import close_sockets, end_with
from nodes.executions.backlog import Backlog
from nodes.executions.work import MAX_MESSAGE_BYTES, Done, Work
from nodes.executions.worker import Worker
from testbed.dnn.target import Device
from testbed.errors import EmulationError

_decoder = msgspec.json.Decoder(Done)


class Item(NamedTuple):
    """Work that waits; the first in this order goes first."""

    rank: int
    due_s: float
    number: int  # over all nodes
    work: Work
    node: str
    connection: socket.socket


class Process:
    """One of the pool's processes, the work that is meant for it, and the backlog that counts it.

    Forked as it is made; it executes on `device`.
    """

    def __init__(self, worker: Worker, device: Device, backlog: Backlog) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            channel = theirs.detach()
            close_sockets(but={channel})
            end_with(partial(worker.serve, channel, device), "executing")
        theirs.close()
        ours.setblocking(False)
        self.channel = ours
        self.device = device
        self.backlog = backlog
        self.waiting: list[Item] = []
        self.wanted = asyncio.Event()
        self.busy = False

    async def ready(self) -> None:
        """Wait until it can execute; EmulationError if its device cannot be used."""
        answer = await asyncio.get_running_loop().sock_recv(self.channel, MAX_MESSAGE_BYTES)
        if not answer:
            raise EmulationError(f"compute.device: {self.device} cannot be used; see log.txt")

    async def execute(self, work: Work) -> Done:
        """Have work executed, after all that was before; EmulationError if the process ended."""
        loop = asyncio.get_running_loop()
        self.busy = True
        await loop.sock_sendall(self.channel, msgspec.json.encode(work))
        answer = await loop.sock_recv(self.channel, MAX_MESSAGE_BYTES)
        self.busy = False
        if not answer:
            raise EmulationError("a process of the execution pool has ended; see log.txt")
        return _decoder.decode(answer)

    def schedule(self, policy: int) -> None:
        """Have the kernel run it as any other process, or only when no other wants to."""
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(self.pid, policy, os.sched_param(0))
