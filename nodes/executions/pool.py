"""A machine's execution pool: it hands nodes' work to processes that execute it.

Nodes answer on the devices' time with outputs that were computed before the run. The pool executes
the same segments from the tensors that came over the sockets and the weights that the nodes hold,
and compares. Its processes run only while nothing else wants the processor (SCHED_IDLE), and what
is left at the run's end is executed then. It tells nodes for which share of the queries it has
time, so what is left out is spread evenly over clients and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import mmap
import os
import socket
import time
from collections.abc import Coroutine
from functools import partial
from itertools import count
from typing import NamedTuple

import msgspec
import psutil

from nodes.computing.apart import close_sockets, end_with
from nodes.computing.memo import Memo
from nodes.control import Compared, Finish, NodeSide, Ready, Start, Stop, Stopped
from nodes.executions.backlog import SHARE_BYTES, Backlog
from nodes.executions.handing_in import SHARE, SOCKET
from nodes.executions.work import MAX_MESSAGE_BYTES, Done, Work, discard
from nodes.executions.worker import Worker
from nodes.setup import NodeSetup
from testbed.clock import RunClock
from testbed.dnn.captured_model import CapturedModel

#: Shares of the memory that is free at first: tensors that wait, and prepared weights.
_WAITING_SHARE, _PREPARED_SHARE = 0.15, 0.25
_CHECKED_WITHIN_S = 5.0  # a whole query, once more

_log = logging.getLogger(__name__)
_work_decoder = msgspec.json.Decoder(Work)
_done_decoder = msgspec.json.Decoder(Done)


class _Item(NamedTuple):
    """Work that waits; the first in this order goes first."""

    rank: int
    due_s: float
    number: int  # over all nodes
    work: Work
    node: str
    connection: socket.socket


class _Process:
    """One of the pool's processes, and the work that is meant for it."""

    def __init__(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            channel = theirs.detach()
            close_sockets(but={channel})
            end_with(partial(worker.serve, channel), "executing")
        theirs.close()
        ours.setblocking(False)
        self.channel = ours
        self.waiting: list[_Item] = []
        self.wanted = asyncio.Event()
        self.busy = False

    def schedule(self, policy: int) -> None:
        """Have the kernel run it as any other process, or only when no other wants to."""
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(self.pid, policy, os.sched_param(0))


class ExecutionPool:
    """The pool of this machine, a node of the run: `run` serves until the experiment says stop.

    `name` is the node's; `captured` the model's structure; `memo` has what was computed before.
    """

    def __init__(
        self, setup: NodeSetup, name: str, control: NodeSide, captured: CapturedModel, memo: Memo
    ) -> None:
        self._setup = setup
        self._control = control
        self._graph = captured.graph
        self._folder = setup.executions_folder
        self._folder.mkdir(parents=True, exist_ok=True)
        free_bytes = psutil.virtual_memory().available
        processors = len(os.sched_getaffinity(0))
        prepared_bytes = free_bytes * _PREPARED_SHARE / processors
        worker = Worker(captured, memo, self._folder, setup.pool_folder, prepared_bytes)
        self._processes = [_Process(worker) for _ in range(processors)]
        compute = setup.experiment.compute
        self._backlog = Backlog(
            processors=processors,
            most_s=compute.finish_s,
            most_bytes=free_bytes * _WAITING_SHARE,
            most_share=compute.execute_share,
        )
        self._numbers = count()
        self._finishing = False
        self._emptied = asyncio.Event()
        self._clock = RunClock(math.inf)
        self._records = setup.record_writer(name)
        self._share = self._shared_number()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve nodes; see the class."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self._folder / SOCKET))
        listener.listen(1024)
        listener.setblocking(False)
        for process in self._processes:
            process.schedule(os.SCHED_IDLE)
            self._spawn(self._feed(process))
        self._spawn(self._accept(listener))
        self._publish()
        self._control.tell(Ready())
        while not isinstance(message := await self._control.receive(), Stop):
            if isinstance(message, Start):
                self._clock = RunClock(message.origin_s, message.tdf)
            elif isinstance(message, Finish):
                await self._finish(message.limit_s)
                self._control.tell(Ready())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            process.channel.close()  # which ends it
        listener.close()
        self._records.close()
        self._control.tell(Stopped())

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            self._spawn(self._hear(connection))

    async def _hear(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while message := await loop.sock_recv(connection, MAX_MESSAGE_BYTES):
                self._take(_work_decoder.decode(message), connection)

    def _take(self, work: Work, connection: socket.socket) -> None:
        node = work.file.rpartition("-")[0]
        number = next(self._numbers)
        process = self._process_for(work)
        heapq.heappush(process.waiting, _Item(*_rank(work), number, work, node, connection))
        process.wanted.set()
        self._backlog.add(self._cost(work), self._size(work))
        self._publish()
        if work.urgent and not self._finishing:
            process.schedule(os.SCHED_OTHER)

    def _process_for(self, work: Work) -> _Process:
        """A client's own, which has its weights; for urgent work any that is free."""
        own = self._setup.clients.index(work.client) % len(self._processes)
        if work.urgent and self._processes[own].busy:
            free = (process for process in self._processes if not process.busy)
            return next(free, self._processes[own])
        return self._processes[own]

    async def _feed(self, process: _Process) -> None:
        """Give a process one piece of work after the other."""
        loop = asyncio.get_running_loop()
        while True:
            if not process.waiting:
                process.wanted.clear()
                self._emptied.set()
                await process.wanted.wait()
            item = heapq.heappop(process.waiting)
            process.busy = True
            await loop.sock_sendall(process.channel, msgspec.json.encode(item.work))
            answer = await loop.sock_recv(process.channel, MAX_MESSAGE_BYTES)
            process.busy = False
            if not answer:
                raise RuntimeError("a process of the execution pool has ended; see log.txt")
            done = _done_decoder.decode(answer)
            self._backlog.remove(self._cost(item.work), self._size(item.work))
            self._backlog.took(self._cost(item.work), done.processor_s)
            self._publish()
            self._record(item, done)
            if done.file is not None or done.failure is not None:
                self._reply(item, done)
            if item.work.urgent and not self._finishing:
                process.schedule(os.SCHED_IDLE)

    def _reply(self, item: _Item, done: Done) -> None:
        try:
            item.connection.send(msgspec.json.encode(done))
        except OSError:  # the node has left
            if done.file is not None:
                discard(self._folder / done.file)

    def _record(self, item: _Item, done: Done) -> None:
        work = item.work
        in_time = work.urgent or (work.due_s is not None and time.monotonic() <= work.due_s)
        self._control.tell(Compared(done.equal))
        if not done.equal:
            what = f"query {work.query}, layers {work.first} to {work.last}"
            _log.error("%s: %s of %s differ when executed", item.node, what, work.client)
        self._records.append(
            "executions",
            client=work.client,
            query=work.query,
            node=item.node,
            first_layer=work.first,
            last_layer=work.last,
            whole=work.whole,
            done_s=self._clock.now_s(),
            processor_s=done.processor_s,
            in_time=in_time,
            equal=done.equal,
        )

    async def _finish(self, limit_s: float) -> None:
        """Execute what waits, now that nothing is to be disturbed; give up the rest in time."""
        self._finishing = True
        self._backlog.close()
        self._publish()
        for process in self._processes:
            process.schedule(os.SCHED_OTHER)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_done(), limit_s)
        for process in self._processes:
            for item in process.waiting:
                discard(self._folder / item.work.file)
            process.waiting.clear()

    async def _all_done(self) -> None:
        while any(process.waiting or process.busy for process in self._processes):
            self._emptied.clear()
            await self._emptied.wait()

    def _cost(self, work: Work) -> float:
        """Multiply-adds of some work; each layer counts at least one."""
        layers = self._graph.layers[work.first : work.last + 1]
        return float(sum(max(1, layer.multiply_adds) for layer in layers))

    def _size(self, work: Work) -> int:
        return sum(map(self._graph.bytes_of, self._graph.reads(work.first, work.last)))

    def _shared_number(self) -> mmap.mmap:
        path = self._folder / SHARE
        path.write_bytes(bytes(SHARE_BYTES))
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), SHARE_BYTES)

    def _publish(self) -> None:
        self._backlog.write_share(self._share)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._control.watch(task)


def _rank(work: Work) -> tuple[int, float]:
    """Return how urgent work is, and when it is due among its like; the least goes first."""
    if work.urgent:
        return 0, 0.0
    if work.whole:
        return 1, time.monotonic() + _CHECKED_WITHIN_S
    return (2, 0.0) if work.due_s is None else (1, work.due_s)
