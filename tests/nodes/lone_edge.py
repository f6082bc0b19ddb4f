"""An edge server whose master and client the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.computing.compute import Computer
from nodes.transport.connection import Connection
from testbed.errors import ProtocolError
from testbed.protocol.messages import (
    PORTS,
    Answer,
    AnyMessage,
    Holding,
    LayerPiece,
    Query,
    Stored,
    Wanted,
)
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.world import World, world

ALICE = "walker"


async def lone_edge(nodes: World, computer: Computer | None = None) -> None:
    """Start ap0 under a master that the test plays, with the clients' models at hand."""
    await nodes.start_edge("ap0", computer)
    for client in nodes.setup.clients:
        device = nodes.computer("odroid-xu4")
        nodes.build_model(client, device)
    nodes.start()


async def upload(nodes: World, *layers: int, client: str = ALICE) -> Connection:
    """Upload layers (all if none are named) to ap0 as a client does; stay attached."""
    model = nodes.models[client]
    refs = [ref for ref in model.weights if not layers or ref.layer in layers]
    connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS["upload"])
    await connection.send(Wanted(client, tuple(refs)))
    holding = await connection.receive()
    assert holding is not None and isinstance(holding[0], Holding)
    missing = {
        ref.digest: (ref, present)
        for ref, present in zip(refs, holding[0].present_bytes, strict=True)
        if present < ref.size_bytes
    }
    for ref, present in missing.values():
        data = model.store.read(ref.digest)[present:]
        await connection.send(LayerPiece(ref.digest, present), data)
    for _ in missing:
        stored = await connection.receive()
        assert stored is not None and isinstance(stored[0], Stored)
    return connection


def whole_query(nodes: World, **changes: Any) -> Query:
    """The walker's query of the whole model, changed as told."""
    last = len(nodes.models[ALICE].graph) - 1
    whole: dict[str, Any] = {
        "client": ALICE,
        "query": 1,
        "first": 0,
        "last": last,
        "producers": (-1,),
        "returns": (last,),
        "keeps": (),
        "input_key": 0,
        "execute": False,
    }
    return Query(**whole | changes)


async def ask(nodes: World, **changes: Any) -> AnyMessage | None:
    """Send ap0 a query of the whole model, changed as told; return its answer, None for none."""
    model = nodes.models[ALICE]
    connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS["query"])
    try:
        await connection.send(whole_query(nodes, **changes), model.inputs[0])
        received = await connection.receive(1 << 20)
    except (OSError, ProtocolError):
        return None
    finally:
        connection.abort()
    return None if received is None else received[0]


async def hung_up(connection: Connection) -> bool:
    """Read until the server ends the connection."""
    try:
        while await asyncio.wait_for(connection.receive_head(), 5) is not None:
            pass
    except (OSError, ProtocolError):
        pass
    connection.abort()
    return True


def in_world(
    tmp_path: Path,
    test: Any,
    mode: Any = "real",
    computer: Callable[[World], Computer] | None = None,
    **settings: Any,
) -> None:
    """Run a test with ap0, which may have a computer of its own, and the master's played end."""

    async def run() -> None:
        setup = make_setup(tmp_path, **settings)
        async with world(setup, mode, edges=(), master=False) as nodes:
            master = Peer()
            async with master.listening(nodes.setup.addresses["master"], "control"):
                await lone_edge(nodes, computer and computer(nodes))
                await until(lambda: bool(master.heard), "the edge server's hello")
                await test(nodes, master)
                # Whatever happened, the server lives and serves
                (await upload(nodes)).abort()
                attached = await upload(nodes)
                assert isinstance(await ask(nodes), Answer)
                attached.abort()

    asyncio.run(asyncio.wait_for(run(), 30))
