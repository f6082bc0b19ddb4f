"""An edge server's outgoing half: sending clients' layers on, as the master orders.

An order stands for one interval. What the server has of the layers goes at once, best first; what
it still gets from the client, or from another server, follows as it arrives, until the order ends
and the next one takes over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from nodes.connection import Connection
from nodes.control import NodeSide, Transferred
from nodes.layers import LayerSender
from testbed.clock import RunClock
from testbed.layerstore import LayerStore
from testbed.presence import Presence
from testbed.protocol import PORTS, LayerRef, Migrate, MigrationOffer
from testbed.records import RecordWriter


class Migrations:
    """The migrations that one server sends.

    Args:
        server: its name.
        presence: what it holds; layers being sent on are kept until that has ended.
        store: returns where a client's layers lie.
        control: hears of each transfer.
        records: where each transfer goes.
    """

    def __init__(
        self,
        server: str,
        presence: Presence[str],
        store: Callable[[str], LayerStore],
        control: NodeSide,
        records: RecordWriter,
    ) -> None:
        self._server = server
        self._presence = presence
        self._store = store
        self._control = control
        self._records = records
        self._routes: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._senders: dict[str, set[LayerSender]] = defaultdict(set)

    def layer_arrived(self, client: str) -> None:
        """Wake the migrations that wait for a layer of this client."""
        for sender in self._senders[client]:
            sender.changed.set()

    async def carry_out(self, order: Migrate, clock: RunClock) -> None:
        """Send a client's layers on, as many as are here or arrive before the order ends."""
        self._presence.start_sending(order.client)
        try:
            async with self._routes[order.client, order.destination]:  # after the last order's end
                sending = asyncio.create_task(self._send(order, clock))
                try:
                    await asyncio.wait({sending}, timeout=clock.wall_s(order.ends_s))
                finally:
                    if not sending.done():  # the next order goes on where this one ends
                        sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
                if not sending.cancelled():
                    sending.result()
        finally:
            self._presence.stop_sending(order.client)

    async def _send(self, order: Migrate, clock: RunClock) -> None:
        started_s = clock.now_s()
        connection = await Connection.open(order.address, PORTS["migration"])
        sender = LayerSender(connection, self._store(order.client), lambda ref: None)
        self._senders[order.client].add(sender)
        try:
            await sender.announce(
                MigrationOffer(order.client, self._server, order.layers, order.until_s)
            )
            await sender.send_all(lambda ref: self._is_here(order.client, ref))
        finally:
            self._senders[order.client].discard(sender)
            self._record(order, sender, started_s, clock.now_s())
            connection.abort()

    def _is_here(self, client: str, ref: LayerRef) -> bool:
        return self._presence.present_bytes(client, ref.digest) == ref.size_bytes

    def _record(
        self, order: Migrate, sender: LayerSender, started_s: float, ended_s: float
    ) -> None:
        self._records.append(
            "transfers",
            client=order.client,
            source=self._server,
            destination=order.destination,
            cause="migration",
            started_s=started_s,
            ended_s=ended_s,
            **sender.record(),
        )
        self._control.tell(Transferred("migration", sender.sent_bytes))
