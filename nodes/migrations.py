"""An edge server's outgoing half: sending clients' layers on, as the master orders.

An order stands for one interval. What the server has of the layers goes at once, best first; what
it still gets from the client, or from another server, follows as it arrives, until the order ends
and the next one takes over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial

from nodes.client_layers import ClientLayers
from nodes.control import NodeSide, Transferred
from nodes.transport.connection import Connection
from nodes.transport.layer_transfer import LayerSender, is_whole
from testbed.clock import RunClock
from testbed.protocol.messages import PORTS, Migrate, MigrationOffer
from testbed.runs.records import RecordWriter


class Migrations:
    """The migrations that one server sends; `control` and `records` are told of each.

    Layers being sent on are kept until that has ended.
    """

    def __init__(
        self, server: str, layers: ClientLayers, control: NodeSide, records: RecordWriter
    ) -> None:
        self._server = server
        self._held = layers.held
        self._store = layers.store
        self._control = control
        self._records = records
        self._routes: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._senders: dict[str, set[LayerSender]] = defaultdict(set)

    def layer_arrived(self, client: str) -> None:
        """Wake the migrations that wait for a layer of this client."""
        for sender in self._senders[client]:
            sender.changed.set()

    async def carry_out(self, order: Migrate, clock: RunClock) -> bool:
        """Send a client's layers on, as many as are here or arrive before the order ends.

        Returns whether the destination has all of them.
        """
        self._held.start_sending(order.client)
        try:
            async with self._routes[order.client, order.destination]:  # after the last order's end
                sending = asyncio.create_task(self._send(order, clock))
                try:
                    await asyncio.wait({sending}, timeout=clock.wall_s(order.ends_s))
                finally:
                    sending.cancel()  # unless done; the next order goes on where this one ends
                    await asyncio.gather(sending, return_exceptions=True)
                return not sending.cancelled() and sending.result()
        finally:
            self._held.stop_sending(order.client)

    async def _send(self, order: Migrate, clock: RunClock) -> bool:
        started_s = clock.now_s()
        connection = await Connection.open(order.address, PORTS["migration"])
        if order.most_bps is not None:
            connection.pace(order.most_bps / clock.tdf)
        sender = LayerSender(connection, self._store(order.client), lambda ref: None)
        self._senders[order.client].add(sender)
        try:
            offer = MigrationOffer(order.client, self._server, order.layers, order.until_s)
            await sender.announce(offer)
            await sender.send_all(partial(is_whole, self._held, order.client))
            return sender.complete
        finally:
            self._senders[order.client].discard(sender)
            self._records.append(
                "transfers",
                client=order.client,
                source=self._server,
                destination=order.destination,
                cause="migration",
                started_s=started_s,
                ended_s=clock.now_s(),
                **sender.record(),
            )
            self._control.tell(Transferred("migration", sender.sent_bytes))
            connection.abort()
