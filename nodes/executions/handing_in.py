"""A node's end of the execution pool: it hands work in, and waits for outputs if it wants any."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodes.executions.backlog import SHARE_BYTES, read_share
from nodes.executions.gpu_load import read_gpu_load
from nodes.executions.work import (
    MAX_MESSAGE_BYTES,
    Done,
    Work,
    discard,
    take_outputs,
    write_content,
)
from testbed.errors import ProtocolError
from testbed.gpu.stats import ServerStats

SOCKET = "socket"
SHARE = "share"  # `backlog.read_share`: the share of queries that the pool has time for
GPU = "gpu"  # `gpu_load.read_gpu_load`: the load of the machine's GPU, where that is used

_decoder = msgspec.json.Decoder(Done)


class Executions:
    """The connection of the node `name` to its machine's pool, whose files lie in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self._socket: socket.socket | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._share: mmap.mmap | None = None

    async def open(self) -> None:
        """Connect; raises OSError if there is no pool."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(self._folder / SOCKET))
            connection.setblocking(False)
            with (self._folder / SHARE).open("rb") as file:
                self._share = mmap.mmap(file.fileno(), SHARE_BYTES, prot=mmap.PROT_READ)
        except OSError:
            connection.close()
            raise
        self._socket = connection
        self._hearing = asyncio.create_task(self._hear(connection), name="hearing the pool")

    @property
    def share(self) -> float:
        """The share of queries, 0 to 1, that the pool has time for at present."""
        return 0.0 if self._share is None else read_share(self._share)

    def gpu_load(self) -> ServerStats | None:
        """Return the latest load of the machine's GPU; None if it has none, or cannot be asked."""
        return read_gpu_load(self._folder / GPU)

    def hand_in(
        self,
        work: Work,
        weights: Mapping[int, str],
        reads: Mapping[int, memoryview],
        answer: Mapping[int, memoryview] | None = None,
    ) -> int | None:
        """Hand work in, under a number of its own; return it, None if the pool takes no more."""
        if self._socket is None:
            return None
        self._number += 1
        file = f"{self._name}-{self._number}"
        numbered = msgspec.structs.replace(work, number=self._number, file=file)
        write_content(self._folder / file, weights, reads, answer)
        try:
            self._socket.send(msgspec.json.encode(numbered))
        except OSError:  # the pool has gone, or is behind
            discard(self._folder / file)
            return None
        return self._number

    async def outputs(
        self, work: Work, weights: Mapping[int, str], reads: Mapping[int, memoryview]
    ) -> bytes | None:
        """Hand work in and return its outputs, joined; None if they did not come by `due_s`.

        Raises ProtocolError if the work cannot be executed.
        """
        number = self.hand_in(work, weights, reads)
        if number is None:
            return None
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        wait_s = None if work.due_s is None else max(0.0, work.due_s - time.monotonic())
        try:
            await asyncio.wait({waiting}, timeout=wait_s)
        finally:
            self._waiting.pop(number)
        if not waiting.done():
            return None
        done = waiting.result()
        if done.failure is not None:
            raise ProtocolError(done.failure)
        return None if done.file is None else take_outputs(self._folder / done.file)

    async def close(self) -> None:
        """Leave; what was handed in is still executed."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _hear(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while message := await loop.sock_recv(connection, MAX_MESSAGE_BYTES):
                self._take(_decoder.decode(message))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProtocolError("the execution pool has ended; see log.txt"))

    def _take(self, done: Done) -> None:
        waiting = self._waiting.get(done.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(done)
        elif done.file is not None:  # it came too late
            discard(self._folder / done.file)
