"""Clients who use one edge server at the same time, and what it then says of its load."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from nodes.computing.compute import Computer
from nodes.control import Answered, Chosen
from nodes.transport.connection import Connection
from testbed.gpu.accelerator import AcceleratorParameters
from testbed.protocol.messages import PORTS, Answer, Load, LoadRequest
from testbed.settings.experiment import Server
from tests.nodes.lone_edge import ALICE, in_world, upload, whole_query
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.world import World, world

BOB = "runner"
WORK_S = 0.2
BETWEEN_S = 0.05  # what this machine may take to carry two queries and their answers
MODEL = AcceleratorParameters()


def slow_server(nodes: World) -> Computer:
    """A server that takes 0.2 s for the whole model."""
    layer_s = np.full(len(nodes.captured.graph), WORK_S / len(nodes.captured.graph))
    return Computer(nodes.captured, layer_s, "profile", nodes.memo)


async def query_s(nodes: World, client: str) -> float:
    """Have a client's whole model executed; return how long that took by the model."""
    connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS["query"])
    started_s = nodes.clock.now_s()
    await connection.send(whole_query(nodes, client=client), nodes.models[client].inputs[0])
    received = await connection.receive(1 << 20)
    took_s = nodes.clock.now_s() - started_s
    connection.abort()
    assert received is not None and isinstance(received[0], Answer)
    return took_s - received[0].late_s


async def load(master: Peer) -> Load:
    """Ask ap0 for its load, as the master does."""
    before = len(master.heard)
    await master.connections[0].send(LoadRequest())
    await until(lambda: len(master.heard) > before, "the load")
    told = master.heard[-1]
    assert isinstance(told, Load)
    return told


def both(tmp_path: Path, test: object, accelerator: str) -> None:
    in_world(
        tmp_path,
        test,
        "profile",
        slow_server,
        clients=(ALICE, BOB),
        server=Server(accelerator=accelerator),  # type: ignore[arg-type]
    )


def test_two_clients_share_the_server_as_the_model_says(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached = [await upload(nodes, client=client) for client in (ALICE, BOB)]
        alone_s = await query_s(nodes, ALICE)
        assert alone_s == pytest.approx(WORK_S, abs=BETWEEN_S)
        together_s = await asyncio.gather(query_s(nodes, ALICE), query_s(nodes, BOB))
        assert together_s == pytest.approx([MODEL.slowdown(2) * WORK_S] * 2, abs=BETWEEN_S)
        for connection in attached:
            connection.abort()

    both(tmp_path, test, "modelled")


def test_an_exclusive_server_serves_one_after_the_other(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached = [await upload(nodes, client=client) for client in (ALICE, BOB)]
        found = await asyncio.gather(query_s(nodes, ALICE), query_s(nodes, BOB))
        assert sorted(found) == pytest.approx([WORK_S, 2 * WORK_S], abs=BETWEEN_S)
        for connection in attached:
            connection.abort()

    both(tmp_path, test, "exclusive")


def test_the_server_tells_its_load(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        idle = (await load(master)).stats
        assert (idle.source, idle.clients, idle.kernel_utilisation) == ("modelled", 0, 0.0)
        attached = [await upload(nodes, client=client) for client in (ALICE, BOB)]
        models = (nodes.models[client] for client in (ALICE, BOB))
        layers = sum(ref.size_bytes for model in models for ref in model.weights)
        held = (await load(master)).stats
        assert held.memory_used_bytes == idle.memory_used_bytes + layers
        await asyncio.gather(query_s(nodes, ALICE), query_s(nodes, BOB))
        busy = (await load(master)).stats
        assert busy.clients == 2
        assert busy.kernel_utilisation > 0.1
        for connection in attached:
            connection.abort()
        await until(lambda: not nodes.holds("ap0", BOB), "the layers to be dropped")
        assert (await load(master)).stats.memory_used_bytes == idle.memory_used_bytes

    both(tmp_path, test, "modelled")


def test_a_client_is_sent_past_a_busy_server_to_an_idle_one(tmp_path: Path) -> None:
    async def run() -> None:
        setup = make_setup(tmp_path, clients=(ALICE, BOB), policy="ionn")
        async with world(setup, "profile", edges=(), master=False) as nodes:
            await nodes.start_master()
            for edge in ("ap0", "ap1"):
                await nodes.start_edge(edge, slow_server(nodes))
            for client in setup.clients:
                await nodes.start_client(client)
            nodes.start()
            idle = nodes.in_range(ALICE, "ap0", "ap1")
            chosen = await nodes.says(ALICE, Chosen, lambda said: said.handover == idle)
            assert chosen.access_point == "ap0"
            await nodes.move(BOB, "ap0")
            weights = nodes.models[BOB].weights
            await until(lambda: len(nodes.holds("ap0", BOB)) == len(weights), "the layers")
            before = len(nodes.heard[BOB])
            await until(
                lambda: sum(isinstance(said, Answered) for said in nodes.heard[BOB][before:]) >= 5,
                "a second of queries at ap0",
            )
            busy = nodes.in_range(ALICE, "ap0", "ap1")
            chosen = await nodes.says(ALICE, Chosen, lambda said: said.handover == busy)
            assert chosen.access_point == "ap1"
            await nodes.move(ALICE, "ap1", busy)

    asyncio.run(asyncio.wait_for(run(), 30))
