"""The edge servers as the master sees them: orders go to them, and they tell their load."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from nodes.transport.connection import Connection
from testbed.errors import ProtocolError
from testbed.gpu.stats import ServerStats
from testbed.protocol.messages import Load, LoadRequest, Migrate

_log = logging.getLogger(__name__)


class EdgeServers:
    """The connections of all edge servers to the master, and the load that each told last.

    `source` is that of the statistics that the master can make something of.
    """

    def __init__(self, source: str = "modelled") -> None:
        self._source = source
        self._connections: dict[str, Connection] = {}
        self._asked: dict[str, asyncio.Future[None]] = {}  # one request a server at a time
        self._loads: dict[str, ServerStats] = {}

    async def hear(self, server: str, connection: Connection) -> None:
        """Take what a server says until it ends the connection.

        Raises ProtocolError for anything but a load of the right source that was asked for, over
        the server's newest connection.
        """
        self._drop_request(server)  # it went over an earlier connection
        self._connections[server] = connection
        try:
            async for message in connection.incoming():
                if self._connections.get(server) is not connection:
                    raise ProtocolError(f"{server} has opened another connection since")
                if not isinstance(message, Load) or server not in self._asked:
                    raise ProtocolError(f"{server} said {message!r}, unasked")
                if message.stats.source != self._source:
                    raise ProtocolError(f"{server} tells statistics of {message.stats.source!r}")
                self._loads[server] = message.stats
                self._asked.pop(server).set_result(None)
        finally:
            if self._connections.get(server) is connection:
                del self._connections[server]
                self._drop_request(server)

    def reachable(self, servers: Iterable[str]) -> list[str]:
        """Return those of the servers that are connected, in their order."""
        return [server for server in servers if server in self._connections]

    async def loads(self, servers: Iterable[str], wait_s: float) -> dict[str, ServerStats]:
        """Ask servers for their load, all at once; return what is known after `wait_s` wall time.

        That is the present load, or the one that a server told last, or none. A request that is not
        answered yet stands for the next ones as well, so no server has more than one to answer,
        however many clients make the master ask.
        """
        asked = {server: self._ask(server) for server in self.reachable(servers)}
        if asked:
            await asyncio.wait(asked.values(), timeout=wait_s)
        if late := [server for server, answer in asked.items() if not answer.done()]:
            _log.warning("no load within %g s from %s", wait_s, ", ".join(late))
        return {server: self._loads[server] for server in asked if server in self._loads}

    async def order(self, server: str, order: Migrate) -> None:
        """Have a server send layers on; where that cannot be, the client goes on without it."""
        try:
            await self._connections[server].send(order)
        except (KeyError, OSError) as error:
            _log.warning("%s takes no order to migrate: %r", server, error)

    def _drop_request(self, server: str) -> None:
        if asked := self._asked.pop(server, None):
            asked.cancel()

    def _ask(self, server: str) -> asyncio.Future[None]:
        if server not in self._asked:
            self._asked[server] = asyncio.get_running_loop().create_future()
            self._connections[server].post(LoadRequest())
        return self._asked[server]
