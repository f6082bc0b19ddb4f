"""A node's counterpart that a test plays."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from nodes.transport.connection import Connection, serve
from testbed.protocol.messages import PORTS, AnyMessage


class Peer:
    """A node's counterpart that a test plays: it notes what comes and answers what it is told."""

    def __init__(self, answer: Callable[[Connection, AnyMessage], Any] | None = None) -> None:
        self.heard: list[AnyMessage] = []
        self.connections: list[Connection] = []
        self._answer = answer

    @contextlib.asynccontextmanager
    async def listening(self, where: str, port: str) -> AsyncIterator[None]:
        server = await serve(where, PORTS[port], self._handle)
        try:
            yield
        finally:
            server.close()
            for connection in self.connections:
                connection.abort()

    async def _handle(self, connection: Connection) -> None:
        self.connections.append(connection)
        while (received := await connection.receive(1 << 20)) is not None:
            self.heard.append(received[0])
            if self._answer is not None:
                await self._answer(connection, received[0])
