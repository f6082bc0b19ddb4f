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
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import cache, partial

from nodes.answering import Answering
from nodes.computing.compute import Computer
from nodes.computing.own_gpu import server_gpu
from nodes.control import NodeSide, Preload, Ready, Start, Stop, Stopped, WarmUp
from nodes.migrations import Migrations
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection, serve
from nodes.transport.layer_transfer import LayerReceiver, is_whole
from testbed.clock import RunClock
from testbed.decision.policy import CLOUD
from testbed.decision.time_to_live import HeldLayers, kept_after_leaving_s
from testbed.errors import ProtocolError
from testbed.protocol import messages

_log = logging.getLogger(__name__)


class EdgeServer:
    """One edge server's state: who is here, which layers are here, and what is being sent.

    `hurry` is told when the server has a client, whose queries have times to keep, and when it has
    none any more: then it only takes in layers, and sends some on.
    """

    def __init__(
        self,
        setup: NodeSetup,
        name: str,
        control: NodeSide,
        computer: Computer,
        hurry: Callable[[bool], None] = lambda hurries: None,
    ) -> None:
        self._setup = setup
        self._hurry = hurry
        self._name = name
        self._control = control
        self._computer = computer
        self._clock = RunClock(math.inf)  # before the run, emulated time is minus infinity
        settings = setup.experiment
        kept_s = kept_after_leaving_s(settings.migration, settings.traces.step_s)
        self._held: HeldLayers[str] = HeldLayers(kept_s)
        self._expiry_changed = asyncio.Event()
        self._receiver = LayerReceiver(self._held, self._is_named, self._layer_stored)
        self._store = cache(partial(setup.layer_store, name))  # of a client
        self._layers: dict[str, dict[int, messages.LayerRef]] = defaultdict(dict)
        self._round_trip_s = settings.server.cloud_round_trip_s if name == CLOUD else 0.0
        self._listeners: dict[str, set[Connection]] = defaultdict(set)
        self._attached: dict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._gpu = server_gpu(settings, computer, control.watch)
        self._records = setup.record_writer(name)
        self._migrations = Migrations(name, self._held, self._store, control, self._records)
        inputs = settings.model.distinct_inputs
        self._answering = Answering(computer, self._gpu, inputs, self._has_layer)

    async def run(self) -> None:
        """Serve until the experiment says stop."""
        address = self._setup.addresses[self._name]
        servers = [
            await serve(address, messages.PORTS["query"], self._serve_queries),
            await serve(address, messages.PORTS["upload"], self._serve_upload),
            await serve(address, messages.PORTS["migration"], self._serve_migration),
        ]
        master = await Connection.open(self._setup.addresses["master"], messages.PORTS["control"])
        await master.send(messages.EdgeHello(self._name))
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
            elif isinstance(message, WarmUp):
                self._warm_up()
                self._control.tell(Ready())
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
        with contextlib.ExitStack() as here:
            while (head := await connection.receive_head()) is not None:
                query, body_bytes = head
                if not isinstance(query, messages.Query) or query.client not in self._setup.clients:
                    raise ProtocolError(f"expected a client's query, got {query!r}")
                if query.client not in clients:  # from the head on: its layers must stay
                    clients.add(query.client)
                    here.enter_context(self._here(query.client))
                body = await connection.whole_body(body_bytes, self._answering.most_bytes)
                if self._round_trip_s:
                    await self._clock.sleep_until(self._clock.now_s() + self._round_trip_s)
                await self._answering.answer(connection, query, body)

    def _has_layer(self, client: str, layer: int) -> bool:
        """Whether a layer can be executed for a client: its weights, if any, are here."""
        if not self._computer.graph.layers[layer].weight_bytes:
            return True
        ref = self._layers[client].get(layer)
        return ref is not None and is_whole(self._held, client, ref)

    # Layers in

    async def _serve_upload(self, connection: Connection) -> None:
        wanted = await connection.expect(messages.Wanted, "Wanted")
        self._check_client(wanted.client)
        with self._here(wanted.client):
            await self._take_layers(connection, wanted.client, wanted.layers)

    @contextlib.contextmanager
    def _here(self, client: str) -> Iterator[None]:
        """A client is here as long as it has a connection, for layers or for a query in flight."""
        if not any(self._attached.values()):
            self._hurry(True)
        self._attached[client] += 1
        self._held.attach(client)
        try:
            yield
        finally:
            self._attached[client] -= 1
            if not self._attached[client]:
                self._held.leave(client, self._clock.now_s())
                self._answering.forget(client)
                self._expiry_changed.set()
                if not any(self._attached.values()):
                    self._hurry(False)

    async def _serve_migration(self, connection: Connection) -> None:
        offer = await connection.expect(messages.MigrationOffer, "MigrationOffer")
        self._check_client(offer.client)
        self._hold_until(offer.client, offer.until_s)
        await self._take_layers(connection, offer.client, offer.layers)

    def _check_client(self, client: str) -> None:
        if client not in self._setup.clients:
            raise ProtocolError(f"unknown client {client!r}")

    def _hold_until(self, client: str, until_s: float) -> None:
        self._held.offer(client, until_s)
        self._expiry_changed.set()

    async def _take_layers(
        self, connection: Connection, client: str, layers: tuple[messages.LayerRef, ...]
    ) -> None:
        self._check(client, layers)
        for ref in layers:
            self._name_layer(client, ref)
            if is_whole(self._held, client, ref):  # perhaps as another layer of equal bytes
                self._load(client, ref)
        self._listeners[client].add(connection)
        try:
            await connection.send(self._receiver.holding(client, layers))
            announced = {ref.digest: ref for ref in layers}
            await self._receiver.receive(connection, client, self._store(client), announced)
        finally:
            self._listeners[client].discard(connection)

    def _name_layer(self, client: str, ref: messages.LayerRef) -> None:
        """A client has one version of each layer: discard the bytes of an earlier one."""
        earlier = self._layers[client].get(ref.layer, ref)
        self._layers[client][ref.layer] = ref
        if not self._is_named(client, earlier.digest):
            self._held.forget(client, earlier.digest)
            self._store(client).discard(earlier.digest)

    def _is_named(self, client: str, digest: str) -> bool:
        return any(ref.digest == digest for ref in self._layers[client].values())

    def _check(self, client: str, layers: tuple[messages.LayerRef, ...]) -> None:
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

    async def _layer_stored(self, client: str, ref: messages.LayerRef) -> None:
        for known in self._layers[client].values():
            if known.digest == ref.digest:
                self._load(client, known)
        self._migrations.layer_arrived(client)
        for listener in list(self._listeners[client]):
            with contextlib.suppress(OSError):
                await listener.send(messages.Stored(ref.digest))

    def _load(self, client: str, ref: messages.LayerRef) -> None:
        weights = self._store(client).read(ref.digest)
        self._computer.load(client, ref.layer, ref.digest, weights)
        self._gpu.hold(client, self._computer.held_bytes(client))

    async def _discard_expired(self) -> None:
        """Discard clients' layers when their time to live is over (section III.B.2)."""
        loop = asyncio.get_running_loop()
        while True:
            self._expiry_changed.clear()
            wait_s = self._clock.wall_s(self._held.next_expiry_s())
            if math.isfinite(wait_s):
                loop.call_later(wait_s, self._expiry_changed.set)
            await self._expiry_changed.wait()
            for client, digests in self._held.discard_expired(self._clock.now_s()).items():
                self._layers.pop(client, None)
                self._computer.unload(client)
                self._gpu.hold(client, 0)
                for digest in digests:
                    self._store(client).discard(digest)

    # Layers out

    async def _obey(self, master: Connection) -> None:
        async for order in master.incoming():
            if isinstance(order, messages.LoadRequest):
                if (stats := self._gpu.stats()) is not None:
                    master.post(messages.Load(stats))
            elif isinstance(order, messages.Migrate):
                self._spawn(self._migrate(order))
            else:
                raise ProtocolError(f"expected the master's order, got {order!r}")

    async def _migrate(self, order: messages.Migrate) -> None:
        if order.destination == self._name:  # nothing moves: what is here is held
            self._hold_until(order.client, order.until_s)
            return
        try:
            await self._migrations.carry_out(order, self._clock)
        finally:
            self._expiry_changed.set()  # what was kept for sending may now be discarded

    def _preload(self) -> None:
        """Hold all layers of all clients, as the bound of section IV.B.3 does."""
        for client in self._setup.clients:
            self._begin_with(client, self._setup.weights(client), math.inf, math.inf)

    def _warm_up(self) -> None:
        """Hold what the hours before the run have left here."""
        if (begins := self._setup.warm_start) is None:
            return
        for client, held in begins.at(self._name).items():
            by_layer = {ref.layer: ref for ref in self._setup.weights(client)}
            refs = [by_layer[layer] for layer in begins.layers]
            until_s = math.inf if held.until_s is None else held.until_s
            self._begin_with(client, refs, held.present_bytes, until_s)

    def _begin_with(
        self, client: str, refs: Iterable[messages.LayerRef], present_bytes: float, until_s: float
    ) -> None:
        """Hold the first so many bytes of a client's layers, one after the other."""
        self._held.offer(client, until_s)
        store = self._store(client)
        for ref in refs:
            count = int(min(ref.size_bytes, present_bytes))
            present_bytes -= count
            if count == ref.size_bytes:
                store.link(ref.digest)
            elif count:
                whole = self._setup.layer_store(client, client).read(ref.digest)
                store.write(ref.digest, 0, memoryview(whole)[:count])
            else:
                return
            self._layers[client][ref.layer] = ref
            self._held.add(client, ref.digest, count)
            if count == ref.size_bytes:
                self._load(client, ref)

    # Shared

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("%s: %s", self._name, task.exception())
