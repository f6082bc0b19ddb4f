"""Many nodes' control channels over one connection: both ends of it do this alike."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable

_CHUNK_BYTES = 1 << 16

#: Called with a node's name and what came on its channel; no bytes when it has been closed.
Say = Callable[[str, bytes], None]


class Relay:
    """Sockets of nodes, by name; what they say is passed on by the thread that calls `run`."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._sockets: dict[str, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def add(self, node: str, channel: socket.socket) -> None:
        """Take in a node's channel, at any time and from any thread."""
        self._sockets[node] = channel
        self._selector.register(channel, selectors.EVENT_READ, node)

    def deliver(self, node: str, data: bytes) -> None:
        """Say something on a node's channel; no bytes close that direction."""
        channel = self._sockets.get(node)
        with contextlib.suppress(OSError):  # the node has ended; `run` notices that
            if channel is not None and data:
                channel.sendall(data)
            elif channel is not None:
                channel.shutdown(socket.SHUT_WR)

    def run(self, every_s: float, pulse: Callable[[], None]) -> None:
        """Pass on what the channels say, and call `pulse` every `every_s` seconds.

        Ends when one of the two raises OSError or ValueError: the other end has gone.
        """
        due_s = time.monotonic() + every_s
        with contextlib.suppress(OSError, ValueError):
            while True:
                for key, _ in self._selector.select(max(0.0, due_s - time.monotonic())):
                    self._pass_on(key)
                if time.monotonic() >= due_s:
                    due_s += every_s
                    pulse()

    def close(self) -> None:
        """End all channels, in both directions."""
        for channel in self._sockets.values():
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        try:
            data = key.fileobj.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(key.fileobj)
        self._say(key.data, data)
