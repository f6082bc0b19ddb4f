"""What tests of nodes share."""

from __future__ import annotations

import socket

import pytest

from nodes.transport.connection import Connection
from testbed.protocol.messages import PORTS

_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h


@pytest.fixture
def slow_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients upload at 0.5 MB/s: two seconds for the model."""
    fast = Connection.open

    async def slow(address: str, port: int) -> Connection:
        connection = await fast(address, port)
        if port == PORTS["upload"]:
            tcp: socket.socket = connection._stream.socket
            tcp.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, 500_000)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        return connection

    monkeypatch.setattr(Connection, "open", slow)
