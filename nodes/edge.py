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
from collections.abc import Callable, Coroutine, Iterator

from nodes.answering import Answering
from nodes.client_layers import ClientLayers
from nodes.computing.compute import Computer
from nodes.computing.own_gpu import server_gpu
from nodes.control import NodeSide, Preload, Ready, Start, Stop, Stopped, WarmUp
from nodes.migrations import Migrations
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection, serve
from nodes.transport.layer_transfer import LayerReceiver
from testbed.clock import RunClock
from testbed.decision.policy import CLOUD
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
        self._gpu = server_gpu(settings, computer, control.watch)
        self._layers = ClientLayers(setup, name, computer, self._gpu)
        self._held = self._layers.held
        self._expiry_changed = asyncio.Event()
        self._receiver = LayerReceiver(self._held, self._layers.is_named, self._layer_stored)
        self._round_trip_s = settings.server.cloud_round_trip_s if name == CLOUD else 0.0
        self._listeners: dict[str, set[Connection]] = defaultdict(set)
        self._attached: dict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._records = setup.record_writer(name)
        self._migrations = Migrations(name, self._layers, control, self._records)
        inputs = settings.model.distinct_inputs
        self._answering = Answering(computer, self._gpu, inputs, self._layers.can_execute)

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
                self._layers.preload()
                self._control.tell(Ready())
            elif isinstance(message, WarmUp):
                self._layers.warm_up()
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
                came = connection.reading.undilated(self._clock.tdf)
                if self._round_trip_s:
                    await self._clock.sleep_until(self._clock.now_s() + self._round_trip_s)
                await self._answering.answer(connection, query, body, came)

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
        self._layers.name(client, layers)
        self._listeners[client].add(connection)
        try:
            await connection.send(self._receiver.holding(client, layers))
            announced = {ref.digest: ref for ref in layers}
            store = self._layers.store(client)
            await self._receiver.receive(connection, client, store, announced)
        finally:
            self._listeners[client].discard(connection)

    async def _layer_stored(self, client: str, ref: messages.LayerRef) -> None:
        self._layers.arrived(client, ref)
        self._migrations.layer_arrived(client)
        for listener in list(self._listeners[client]):
            with contextlib.suppress(OSError):
                await listener.send(messages.Stored(ref.digest))

    async def _discard_expired(self) -> None:
        """Discard clients' layers when their time to live is over (section III.B.2)."""
        loop = asyncio.get_running_loop()
        while True:
            self._expiry_changed.clear()
            wait_s = self._clock.wall_s(self._held.next_expiry_s())
            if math.isfinite(wait_s):
                loop.call_later(wait_s, self._expiry_changed.set)
            await self._expiry_changed.wait()
            self._layers.discard_expired(self._clock.now_s())

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
            complete = await self._migrations.carry_out(order, self._clock)
            if complete and order.moves:
                self._layers.moved(order.client)
        except (OSError, ProtocolError) as error:
            if order.most_bps is None:
                raise
            # Its client has gone on before all of it was there
            _log.info("%s: an image of %s stays here: %s", self._name, order.client, error)
        finally:
            self._expiry_changed.set()  # what was kept for sending may now be discarded

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
