"""An edge server: holds clients' layers, executes them, and sends them on to other servers.

It listens on three ports of its access point's address, one for each kind of traffic: queries,
layers uploaded by clients, layers migrated by other servers. The master's orders to migrate come
over a connection that the server opens itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Coroutine

from nodes.answering import Answering
from nodes.compute import Computer
from nodes.connection import Connection, serve
from nodes.control import NodeSide, Preload, Ready, Start, Stop, Stopped
from nodes.gpu import EmulatedGpu
from nodes.layers import LayerReceiver
from nodes.migrations import Migrations
from nodes.setup import NodeSetup
from testbed.clock import RunClock
from testbed.errors import ProtocolError
from testbed.layerstore import LayerStore
from testbed.policy import CLOUD
from testbed.presence import Presence
from testbed.protocol import (
    PORTS,
    EdgeHello,
    LayerRef,
    Load,
    LoadRequest,
    Migrate,
    MigrationOffer,
    Query,
    Stored,
    Wanted,
)

_log = logging.getLogger(__name__)


class EdgeServer:
    """One edge server's state: who is here, which layers are here, and what is being sent."""

    def __init__(self, setup: NodeSetup, name: str, control: NodeSide, computer: Computer) -> None:
        self._setup = setup
        self._name = name
        self._control = control
        self._computer = computer
        self._clock = RunClock(math.inf)  # before the run, emulated time is minus infinity
        self._presence: Presence[str] = Presence(
            retain_uploads=setup.experiment.migration.retain_uploads
        )
        self._expiry_changed = asyncio.Event()
        self._receiver = LayerReceiver(self._presence, self._is_named, self._layer_stored)
        self._stores: dict[str, LayerStore] = {}
        self._layers: dict[str, dict[int, LayerRef]] = defaultdict(dict)
        cloud_round_trip_s = setup.experiment.server.cloud_round_trip_s
        self._round_trip_s = cloud_round_trip_s if name == CLOUD else 0.0
        self._listeners: dict[str, set[Connection]] = defaultdict(set)
        self._attached: dict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._gpu = EmulatedGpu(
            exclusive=setup.experiment.server.accelerator == "exclusive", watch=control.watch
        )
        self._records = setup.record_writer(name)
        self._migrations = Migrations(name, self._presence, self._store, control, self._records)
        self._answering = Answering(
            name,
            computer,
            self._gpu,
            control,
            setup.experiment.model.distinct_inputs,
            self._has_layer,
            self._spawn,
        )

    async def run(self) -> None:
        """Serve until the experiment says stop."""
        address = self._setup.addresses[self._name]
        handlers = {
            "query": self._serve_queries,
            "upload": self._serve_upload,
            "migration": self._serve_migration,
        }
        servers = [await serve(address, PORTS[kind], handle) for kind, handle in handlers.items()]
        master = await Connection.open(self._setup.addresses["master"], PORTS["control"])
        await master.send(EdgeHello(self._name))
        for work in (self._obey(master), self._discard_expired()):
            self._control.watch(self._spawn(work))
        self._control.tell(Ready())
        while not isinstance(message := await self._control.receive(), Stop):
            if isinstance(message, Start):
                self._clock = RunClock(message.origin_s, message.tdf)
                self._gpu.start(self._clock)
                self._expiry_changed.set()
            elif isinstance(message, Preload):
                self._preload()
                self._control.tell(Ready())
        self._computer.repetitions.give_up()
        for server in servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._records.close()
        self._control.tell(Stopped())

    # Queries

    async def _serve_queries(self, connection: Connection) -> None:
        clients: set[str] = set()
        try:
            while (head := await connection.receive_head()) is not None:
                query, body_bytes = head
                if not isinstance(query, Query) or query.client not in self._setup.clients:
                    raise ProtocolError(f"expected a client's query, got {query!r}")
                if query.client not in clients:  # from the head on: its layers must stay
                    clients.add(query.client)
                    self._attach(query.client)
                body = await connection.whole_body(body_bytes, self._answering.most_bytes)
                if self._round_trip_s:
                    await self._clock.sleep_until(self._clock.now_s() + self._round_trip_s)
                await self._answering.answer(connection, query, body)
        finally:
            for client in clients:
                self._leave(client)

    def _has_layer(self, client: str, layer: int) -> bool:
        """Whether a layer can be executed for a client: its weights, if any, are here."""
        if not self._computer.graph.layers[layer].weight_bytes:
            return True
        ref = self._layers[client].get(layer)
        return ref is not None and self._is_here(client, ref)

    # Layers in

    async def _serve_upload(self, connection: Connection) -> None:
        client, layers = await self._opening(connection, Wanted)
        self._attach(client)
        try:
            await self._take_layers(connection, client, layers)
        finally:
            self._leave(client)

    def _attach(self, client: str) -> None:
        """A client is here as long as it has a connection, for layers or for a query in flight."""
        self._attached[client] += 1
        self._presence.attach(client)

    def _leave(self, client: str) -> None:
        self._attached[client] -= 1
        if not self._attached[client]:
            self._presence.leave(client)
            self._answering.forget(client)
            self._expiry_changed.set()

    async def _serve_migration(self, connection: Connection) -> None:
        client, layers = await self._opening(connection, MigrationOffer)
        await self._take_layers(connection, client, layers)

    async def _opening(
        self, connection: Connection, kind: type[Wanted] | type[MigrationOffer]
    ) -> tuple[str, tuple[LayerRef, ...]]:
        received = await connection.receive()
        if received is None or not isinstance(received[0], kind):
            raise ProtocolError(f"expected {kind.__name__}, got {received and received[0]!r}")
        opening = received[0]
        if opening.client not in self._setup.clients:
            raise ProtocolError(f"unknown client {opening.client!r}")
        if isinstance(opening, MigrationOffer):
            self._presence.offer(opening.client, opening.until_s)
            self._expiry_changed.set()
        return opening.client, opening.layers

    async def _take_layers(
        self, connection: Connection, client: str, layers: tuple[LayerRef, ...]
    ) -> None:
        self._check(client, layers)
        for ref in layers:
            self._name_layer(client, ref)
            if self._is_here(client, ref):  # perhaps as another layer of equal bytes
                self._load(client, ref)
        self._listeners[client].add(connection)
        try:
            await connection.send(self._receiver.holding(client, layers))
            announced = {ref.digest: ref for ref in layers}
            await self._receiver.receive(connection, client, self._store(client), announced)
        finally:
            self._listeners[client].discard(connection)

    def _name_layer(self, client: str, ref: LayerRef) -> None:
        """A client has one version of each layer: discard the bytes of an earlier one."""
        earlier = self._layers[client].get(ref.layer, ref)
        self._layers[client][ref.layer] = ref
        if not self._is_named(client, earlier.digest):
            self._presence.forget(client, earlier.digest)
            self._store(client).discard(earlier.digest)

    def _is_named(self, client: str, digest: str) -> bool:
        return any(ref.digest == digest for ref in self._layers[client].values())

    def _check(self, client: str, layers: tuple[LayerRef, ...]) -> None:
        graph = self._computer.graph
        if len({ref.layer for ref in layers}) < len(layers):
            raise ProtocolError(f"{client} names a layer twice")
        for ref in layers:
            self._store(client).path(ref.digest)  # or it is no digest
            if (
                not 0 <= ref.layer < len(graph)
                or not graph.layers[ref.layer].weight_bytes == ref.size_bytes > 0
            ):
                raise ProtocolError(f"{ref} is no layer of {graph.model}")

    async def _layer_stored(self, client: str, ref: LayerRef) -> None:
        for known in self._layers[client].values():
            if known.digest == ref.digest:
                self._load(client, known)
        self._migrations.layer_arrived(client)
        for listener in list(self._listeners[client]):
            with contextlib.suppress(OSError):
                await listener.send(Stored(ref.digest))

    def _load(self, client: str, ref: LayerRef) -> None:
        self._computer.load(client, ref.layer, self._store(client).read(ref.digest))
        self._gpu.hold(client, self._computer.held_bytes(client))

    async def _discard_expired(self) -> None:
        """Discard clients' layers when their time to live is over (section III.B.2)."""
        loop = asyncio.get_running_loop()
        while True:
            self._expiry_changed.clear()
            wait_s = self._clock.wall_s(self._presence.next_expiry_s())
            if math.isfinite(wait_s):
                loop.call_later(wait_s, self._expiry_changed.set)
            await self._expiry_changed.wait()
            for client, digests in self._presence.discard_expired(self._clock.now_s()).items():
                self._layers.pop(client, None)
                self._computer.unload(client)
                self._gpu.hold(client, 0)
                for digest in digests:
                    self._store(client).discard(digest)

    # Layers out

    async def _obey(self, master: Connection) -> None:
        while (received := await master.receive()) is not None:
            order = received[0]
            if isinstance(order, LoadRequest):
                master.post(Load(self._gpu.stats()))
            elif isinstance(order, Migrate):
                self._spawn(self._migrate(order))
            else:
                raise ProtocolError(f"expected the master's order, got {order!r}")

    async def _migrate(self, order: Migrate) -> None:
        if order.destination == self._name:  # nothing moves: what is here is held
            self._presence.offer(order.client, order.until_s)
            self._expiry_changed.set()
            return
        try:
            await self._migrations.carry_out(order, self._clock)
        finally:
            self._expiry_changed.set()  # what was kept for sending may now be discarded

    def _is_here(self, client: str, ref: LayerRef) -> bool:
        return self._presence.present_bytes(client, ref.digest) == ref.size_bytes

    def _preload(self) -> None:
        """Hold all layers of all clients, as the bound of section IV.B.3 does."""
        for client in self._setup.clients:
            self._presence.offer(client, math.inf)
            store = self._store(client)
            for ref in self._setup.weights(client):
                store.link(ref.digest)
                self._presence.add(client, ref.digest, ref.size_bytes)
                self._load(client, ref)
                self._layers[client][ref.layer] = ref

    # Shared

    def _store(self, client: str) -> LayerStore:
        if client not in self._stores:
            self._stores[client] = self._setup.layer_store(self._name, client)
        return self._stores[client]

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("%s: %s", self._name, task.exception())
