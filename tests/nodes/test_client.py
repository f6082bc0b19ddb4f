"""A client whose master and edge servers the test plays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from nodes.computing.compute import Computer, Job
from nodes.computing.outputs import Outputs
from nodes.control import Answered, Chosen, Failed
from nodes.transport.connection import Connection
from testbed.dnn.devices.device_profile import device_profile
from testbed.protocol.messages import (
    AnyMessage,
    Attach,
    Choice,
    Choose,
    Holding,
    PlanReply,
    Query,
    Register,
    Registered,
    Report,
    Wanted,
)
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.world import World, verified, world

ALICE = "walker"
Reaction = Callable[[Connection, AnyMessage], Awaitable[None]]


async def as_master(connection: Connection, message: AnyMessage) -> None:
    """Know everyone, and plan all layers at the server."""
    if isinstance(message, Register):
        graph = message.graph
        as_master.graph = graph  # type: ignore[attr-defined]
        await connection.send(Registered())
    elif isinstance(message, Attach):
        await connection.send(all_at_server(message))
    elif isinstance(message, Choose):
        await connection.send(Choice(message.number, message.access_points[-1]))


def all_at_server(attach: Attach) -> PlanReply:
    graph = as_master.graph  # type: ignore[attr-defined]
    weighted = tuple(i for i, size in enumerate(graph.weight_bytes.tolist()) if size)
    server_s = tuple(device_profile("titan-xp").layer_times(graph).tolist())
    return PlanReply(attach.number, attach.access_point, (True,) * len(graph), weighted, server_s)


def attached_to(master: Peer) -> list[str]:
    """Return the access points for which the master was asked for plans."""
    return [message.access_point for message in master.heard if isinstance(message, Attach)]


def holding(*layers: int) -> Reaction:
    """An edge server that has these layers (all, if none are named) and takes no others."""

    async def answer(connection: Connection, message: AnyMessage) -> None:
        if isinstance(message, Wanted):
            here = [r.size_bytes if not layers or r.layer in layers else 0 for r in message.layers]
            await connection.send(Holding(tuple(here)))

    return answer


@contextlib.asynccontextmanager
async def client_of(
    tmp_path: Path,
    edges: dict[str, tuple[Reaction, Reaction]],
    computer: Callable[[World], Computer] | None = None,
    **model: Any,
) -> AsyncIterator[tuple[World, Peer, dict[str, Peer]]]:
    """The walker's client among played peers: a master, and {edge: (upload, query)} reactions."""
    setup = make_setup(tmp_path, model=model)
    async with contextlib.AsyncExitStack() as stack:
        master = Peer(as_master)
        await stack.enter_async_context(master.listening(setup.addresses["master"], "control"))
        queries = {}
        for name, (upload, query) in edges.items():
            where = setup.addresses[name]
            await stack.enter_async_context(Peer(upload).listening(where, "upload"))
            queries[name] = Peer(query)
            await stack.enter_async_context(queries[name].listening(where, "query"))
        nodes = await stack.enter_async_context(world(setup, "real", edges=(), master=False))
        await nodes.start_client(ALICE, None if computer is None else computer(nodes))
        nodes.start()
        yield nodes, master, queries


async def hang_up(connection: Connection, message: AnyMessage) -> None:
    """An edge server that dies as a query comes."""
    connection.abort()


async def answered(nodes: World, count: int) -> None:
    await until(
        lambda: sum(isinstance(said, Answered) for said in nodes.heard[ALICE]) >= count,
        f"{count} answers",
    )


def test_the_master_hears_of_a_move_before_it_hears_where_that_was(tmp_path: Path) -> None:
    async def run() -> None:
        async with client_of(tmp_path, {"ap0": (holding(), hang_up)}) as (nodes, master, _):
            nodes.associate(ALICE, "ap0")
            nodes.position(ALICE, 3.0)
            await until(lambda: len(master.heard) >= 3, "three messages")
            kinds = [type(message) for message in master.heard[:3]]
            assert kinds == [Register, Attach, Report]

    asyncio.run(run())


def test_a_client_lets_the_master_choose_and_asks_there_for_its_plan(tmp_path: Path) -> None:
    async def run() -> None:
        edges = {name: (holding(), hang_up) for name in ("ap0", "ap1", "ap2")}
        async with client_of(tmp_path, edges) as (nodes, master, _):
            await nodes.move(ALICE, "ap0")
            number = nodes.in_range(ALICE, "ap1", "ap2")
            chosen = await nodes.says(ALICE, Chosen)
            assert chosen == Chosen(number, "ap2")
            assert (await nodes.move(ALICE, "ap2", number)).hit
            kinds = [type(message) for message in master.heard[1:]]
            assert kinds == [Attach, Choose, Attach]
            assert attached_to(master) == ["ap0", "ap2"]
            late = nodes.in_range(ALICE, "ap0", "ap1")
            await nodes.says(ALICE, Chosen, lambda said: said == Chosen(late, "ap1"))
            await nodes.move(ALICE, "ap0", late)
            await nodes.move(ALICE, "ap1")
            assert attached_to(master)[-2:] == ["ap0", "ap1"]

    asyncio.run(run())


def test_a_server_that_dies_amid_a_query_leaves_the_answer_right(tmp_path: Path) -> None:
    async def run() -> World:
        async with client_of(tmp_path, {"ap0": (holding(), hang_up)}) as (nodes, _, edges):
            attached = await nodes.move(ALICE, "ap0")
            assert attached.hit
            await until(lambda: len(edges["ap0"].heard) >= 1, "a query at the server")
            await nodes.says(ALICE, Answered, lambda said: said.outcome == "fallback")
            await nodes.move(ALICE, "ap0")  # the broken attachment can be ended
        return nodes

    queries = asyncio.run(run()).tables()["queries"]
    failed = queries[queries["outcome"] == "fallback"]
    assert len(failed)
    assert verified(failed)
    assert (failed["executed_layers_server"] == 0).all()
    assert failed["edge"].isna().all()


def test_a_server_that_answers_nonsense_leaves_the_answer_right(tmp_path: Path) -> None:
    async def lie(connection: Connection, message: AnyMessage) -> None:
        await connection.send(Holding((1, 2, 3)))

    async def run() -> World:
        async with client_of(tmp_path, {"ap0": (holding(), lie)}) as (nodes, _, _edges):
            await nodes.move(ALICE, "ap0")
            await nodes.says(ALICE, Answered, lambda said: said.outcome == "fallback")
        return nodes

    queries = asyncio.run(run()).tables()["queries"]
    assert verified(queries)


def test_a_server_that_refuses_the_attachment_leaves_the_client_local(tmp_path: Path) -> None:
    async def too_much(connection: Connection, message: AnyMessage) -> None:
        if isinstance(message, Wanted):
            await connection.send(Holding(tuple(-1 for _ in message.layers)))

    async def run() -> World:
        async with client_of(tmp_path, {"ap0": (too_much, hang_up)}) as (nodes, master, _):
            nodes.associate(ALICE, "ap0")
            await until(lambda: "ap0" in attached_to(master), "the attachment")
            await answered(nodes, 3)
            nodes.associate(ALICE, "ap2")  # nobody listens there
            await until(lambda: "ap2" in attached_to(master), "the attachment")
            await answered(nodes, 6)
            assert not any(isinstance(said, Failed) for said in nodes.heard[ALICE])
        return nodes

    queries = asyncio.run(run()).tables()["queries"]
    assert set(queries["outcome"]) == {"local"}
    assert verified(queries)


def test_a_client_that_moves_on_before_it_offloads_finishes_the_query_itself(
    tmp_path: Path,
) -> None:
    """Only the large last layers are at the server, and the client is slow before them."""

    def slow(nodes: World) -> Computer:
        device = nodes.computer("odroid-xu4")
        times = np.zeros(len(device.graph))
        times[0] = 0.5
        return Computer(nodes.captured, times, "real", nodes.memo)

    async def run() -> tuple[World, list[AnyMessage]]:
        last = (9, 11)
        edges = {"ap0": (holding(*last), hang_up), "ap1": (holding(*last), hang_up)}
        async with client_of(tmp_path, edges, slow, query_gap_s=0.05) as (nodes, _, queries):
            await nodes.move(ALICE, "ap0")
            begun_s = nodes.clock.now_s()
            await nodes.clock.sleep_until(begun_s + 0.3)  # within the first layer
            await nodes.move(ALICE, "ap1")
            await answered(nodes, 1)
        return nodes, queries["ap0"].heard

    nodes, at_ap0 = asyncio.run(run())
    assert not any(isinstance(message, Query) for message in at_ap0)
    first = nodes.tables()["queries"].iloc[0]
    assert first["outcome"] == "local"
    assert first["verified"]
    assert first["latency_s"] >= 0.5


def test_a_client_that_cannot_compute_tells_the_experiment(tmp_path: Path) -> None:
    class Broken(Computer):
        async def execute(self, job: Job, inputs: Outputs, due_s: float | None = None) -> Outputs:
            raise RuntimeError("out of memory")

    def broken(nodes: World) -> Computer:
        layer_s = np.zeros(len(nodes.captured.graph))
        return Broken(nodes.captured, layer_s, "real", nodes.memo)

    async def run() -> None:
        async with client_of(tmp_path, {}, broken) as (nodes, _, _edges):
            failed = await nodes.says(ALICE, Failed)
            assert "out of memory" in failed.reason

    asyncio.run(run())
