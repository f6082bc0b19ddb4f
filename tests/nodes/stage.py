"""A master whose edge servers and clients are played by the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from nodes.transport.connection import Connection
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import LayerGraph
from testbed.gpu.stats import ServerStats
from testbed.protocol.messages import (
    PORTS,
    AnyMessage,
    Attach,
    Choose,
    EdgeHello,
    LayerRef,
    Load,
    LoadRequest,
    PlanReply,
    Register,
    Registered,
)
from testbed.settings.experiment import Server
from tests.nodes.loopback import make_setup
from tests.nodes.world import World, world

IDLE = ServerStats("modelled", 0, 0.0, 0.0, 500_000_000, 35.0)
BUSY = ServerStats("modelled", 12, 1.0, 0.4, 800_000_000, 80.0)


class PlayedEdge:
    """An edge server at the master: it tells this load when asked, or nothing."""

    def __init__(self, connection: Connection, load: ServerStats | None) -> None:
        self.connection = connection
        self.load = load
        self.heard: list[AnyMessage] = []

    async def listen(self) -> None:
        while (received := await self.connection.receive()) is not None:
            self.heard.append(received[0])
            if isinstance(received[0], LoadRequest) and self.load is not None:
                await self.connection.send(Load(self.load))

    def asked(self) -> int:
        return sum(isinstance(message, LoadRequest) for message in self.heard)


class Stage:
    """A master, and who talks to it."""

    def __init__(self, nodes: World) -> None:
        self.nodes = nodes
        self.graph: LayerGraph = nodes.captured.graph
        self._tasks: list[asyncio.Task[None]] = []
        self._connections: list[Connection] = []

    async def edge(self, name: str, load: ServerStats | None) -> PlayedEdge:
        played = PlayedEdge(await self._connect(), load)
        await played.connection.send(EdgeHello(name))
        self._tasks.append(asyncio.create_task(played.listen()))
        return played

    async def client(self, name: str = "walker") -> Connection:
        weights = tuple(
            LayerRef(i, f"{i:064x}", size)
            for i, size in enumerate(self.graph.weight_bytes.tolist())
            if size
        )
        client_s = tuple(device_profile("odroid-xu4").layer_times(self.graph).tolist())
        connection = await self._connect()
        await connection.send(Register(name, self.graph, weights, client_s, ()))
        assert await connection.receive() == (Registered(), b"")
        return connection

    async def _connect(self) -> Connection:
        connection = await Connection.open(self.nodes.setup.addresses["master"], PORTS["control"])
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for connection in self._connections:
            connection.abort()


@contextlib.asynccontextmanager
async def stage(tmp_path: Path, load_wait_s: float) -> AsyncIterator[Stage]:
    server = Server(load_wait_s=load_wait_s)
    setup = make_setup(tmp_path, clients=("walker", "runner"), server=server)
    async with world(setup, "profile", edges=(), master=False) as nodes:
        await nodes.start_master()
        nodes.start()
        on_stage = Stage(nodes)
        try:
            yield on_stage
        finally:
            on_stage.close()


def play(
    tmp_path: Path, test: Callable[[Stage], Awaitable[None]], load_wait_s: float = 20.0
) -> None:
    async def run() -> None:
        async with stage(tmp_path, load_wait_s) as on_stage:
            await test(on_stage)

    asyncio.run(asyncio.wait_for(run(), 30))


async def ask(client: Connection, question: Attach | Choose) -> AnyMessage:
    await client.send(question)
    received = await client.receive()
    assert received is not None
    return received[0]


async def plan(client: Connection, access_point: str) -> PlanReply:
    reply = await ask(client, Attach(7, access_point))
    assert isinstance(reply, PlanReply)
    assert (reply.number, reply.server) == (7, access_point)
    return reply
