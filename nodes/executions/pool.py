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
from contextlib import ExitStack
from itertools import count

import msgspec
import psutil

from nodes.computing.memo import Memo
from nodes.control import Compared, Finish, MemoryFull, NodeSide, Ready, Start, Stop, Stopped
from nodes.executions.backlog import SHARE_BYTES, Backlog, write_share
from nodes.executions.gpu_load import GpuLoad
from nodes.executions.handing_in import GPU, SHARE, SOCKET
from nodes.executions.process import Item, Process
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
        compute = setup.experiment.compute
        on_gpu = compute.device == "cuda"

        def backlog(processors: int) -> Backlog:
            most_bytes = free_bytes * _WAITING_SHARE / (1 + on_gpu)
            return Backlog(processors, compute.finish_s, most_bytes, compute.execute_share)

        on_processors, of_gpu = backlog(processors), backlog(1)
        self._processes = [Process(worker, "cpu", on_processors) for _ in range(processors)]
        self._gpu = Process(worker, "cuda", of_gpu) if on_gpu else None
        self._numbers = count()
        self._finishing = False
        self._emptied = asyncio.Event()
        self._clock = RunClock(math.inf)
        self._records = setup.record_writer(name)
        self._gpu_load = GpuLoad(self._folder / GPU, self._records)
        self._share = self._shared_number()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve nodes; see the class."""
        with ExitStack() as stack:
            if self._gpu is not None:
                stack.enter_context(self._gpu_load)
                await self._gpu.ready()
                self._spawn(self._gpu_load.publish())
            await self._serve()

    async def _serve(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self._folder / SOCKET))
        listener.listen(1024)
        listener.setblocking(False)
        for process in self._all():
            process.schedule(os.SCHED_IDLE)
            self._spawn(self._feed(process))
        self._spawn(self._accept(listener))
        self._publish()
        self._control.tell(Ready())
        while not isinstance(message := await self._control.receive(), Stop):
            if isinstance(message, Start):
                self._clock = self._gpu_load.clock = RunClock(message.origin_s, message.tdf)
            elif isinstance(message, Finish):
                await self._finish(message.limit_s)
                self._control.tell(Ready())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._all():
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
        heapq.heappush(process.waiting, Item(*_rank(work), number, work, node, connection))
        process.wanted.set()
        if process is self._gpu:
            self._gpu_load.began(work.client)
        process.backlog.add(self._cost(work), self._size(work))
        self._publish()
        if work.urgent and not self._finishing:
            process.schedule(os.SCHED_OTHER)

    def _process_for(self, work: Work) -> Process:
        """A client's own, which has its weights; for urgent work any that is free; or the GPU's."""
        if self._gpu is not None and work.target.device == self._gpu.device:
            return self._gpu
        own = self._setup.clients.index(work.client) % len(self._processes)
        if work.urgent and self._processes[own].busy:
            free = (process for process in self._processes if not process.busy)
            return next(free, self._processes[own])
        return self._processes[own]

    async def _feed(self, process: Process) -> None:
        """Give a process one piece of work after the other."""
        while True:
            if not process.waiting:
                process.wanted.clear()
                self._emptied.set()
                await process.wanted.wait()
            item = heapq.heappop(process.waiting)
            done = await process.execute(item.work)
            process.backlog.remove(self._cost(item.work), self._size(item.work))
            process.backlog.took(self._cost(item.work), done.processor_s)
            self._publish()
            if process is self._gpu:
                self._gpu_load.ended(item.work.client)
            self._record(item, done)
            if done.file is not None or done.failure is not None:
                self._reply(item, done)
            if item.work.urgent and not self._finishing:
                process.schedule(os.SCHED_IDLE)

    def _reply(self, item: Item, done: Done) -> None:
        try:
            item.connection.send(msgspec.json.encode(done))
        except OSError:  # the node has left
            if done.file is not None:
                discard(self._folder / done.file)

    def _record(self, item: Item, done: Done) -> None:
        work = item.work
        in_time = work.urgent or (work.due_s is not None and time.monotonic() <= work.due_s)
        if work.compared:
            self._control.tell(Compared(done.equal))
        if done.device != work.target.device:
            self._control.tell(MemoryFull())
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
            device=done.device,
        )

    async def _finish(self, limit_s: float) -> None:
        """Execute what waits, now that nothing is to be disturbed; give up the rest in time."""
        self._finishing = True
        for process in self._all():
            process.backlog.close()
        self._publish()
        for process in self._all():
            process.schedule(os.SCHED_OTHER)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_done(), limit_s)
        for process in self._all():
            for item in process.waiting:
                discard(self._folder / item.work.file)
            process.waiting.clear()

    async def _all_done(self) -> None:
        while any(process.waiting or process.busy for process in self._all()):
            self._emptied.clear()
            await self._emptied.wait()

    def _all(self) -> list[Process]:
        return [*self._processes, *([self._gpu] if self._gpu is not None else [])]

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
        write_share(self._share, min(each.backlog.share for each in self._all()))

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
