"""Queries whose plan goes to the server several times: each tensor crosses once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from nodes.computing.compute import Computer
from nodes.computing.outputs import same_tensors, split
from nodes.control import Answered
from nodes.setup import ComputeMode
from nodes.transport.connection import Connection
from testbed.arrays import BoolArray
from testbed.dnn.executor import Executor
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.partitioning.crossings import Crossing, crossings
from testbed.dnn.partitioning.partition import Costs, Plan, latency
from testbed.dnn.tensors import joined_bytes, tensors_from_bytes
from testbed.protocol.messages import (
    PORTS,
    Answer,
    AnyMessage,
    Attach,
    PlanReply,
    Refused,
    Register,
    Registered,
)
from testbed.settings.experiment import Wireless
from tests.nodes.lone_edge import ALICE, in_world, upload, whole_query
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.world import World, verified, world

#: The client executes the normalisations; the second one stands beside the residual connection.
AT_CLIENT = (1, 4)


def split_plan(graph: LayerGraph) -> BoolArray:
    on_server = np.ones(len(graph), dtype=bool)
    on_server[list(AT_CLIENT)] = False
    return on_server


@contextlib.asynccontextmanager
async def walker(
    tmp_path: Path, mode: ComputeMode, client_s: Mapping[int, float] | None = None
) -> AsyncIterator[World]:
    """The walker under a master that plans the split, with ap0 and ap1; transfers cost nothing.

    `client_s`: the client's time for some layers; it has 0 s for the others. By default all are
    the device profile's.
    """
    graphs: list[LayerGraph] = []

    async def as_master(connection: Connection, message: AnyMessage) -> None:
        if isinstance(message, Register):
            graphs.append(message.graph)
            await connection.send(Registered())
        elif isinstance(message, Attach):
            mask = split_plan(graphs[-1])
            wanted = tuple(i for i in np.flatnonzero(mask).tolist() if graphs[-1].weight_bytes[i])
            server_s = (0.0,) * len(mask)
            number, server = message.number, message.access_point
            on_server = tuple(mask.tolist())
            await connection.send(PlanReply(number, server, on_server, wanted, server_s))

    setup = make_setup(tmp_path, wireless=Wireless(up_bps=1e15, down_bps=1e15))
    master = Peer(as_master)
    async with (
        master.listening(setup.addresses["master"], "control"),
        world(setup, mode, edges=("ap0", "ap1"), master=False) as nodes,
    ):
        computer = None
        if client_s is not None:
            times = np.zeros(len(nodes.captured.graph))
            times[list(client_s)] = list(client_s.values())
            computer = Computer(nodes.captured, times, mode, nodes.memo)
        await nodes.start_client(ALICE, computer)
        nodes.start()
        yield nodes


async def uploaded(nodes: World, edge: str) -> None:
    weights = [ref for ref in nodes.models[ALICE].weights if ref.layer not in AT_CLIENT]
    await until(lambda: len(nodes.holds(edge)) >= len(weights), f"the layers at {edge}")


async def answered(nodes: World, more: int) -> None:
    before = len(nodes.heard[ALICE])
    await until(
        lambda: sum(isinstance(said, Answered) for said in nodes.heard[ALICE][before:]) >= more,
        f"{more} more answers",
    )


def steps_of(graph: LayerGraph) -> tuple[Crossing, ...]:
    return crossings(graph, Plan(tuple(split_plan(graph).tolist()), 0.0, 0.0, 0).segments())


class Walk:
    """The walker's query by hand, segment by segment over one connection."""

    def __init__(self, nodes: World, connection: Connection, number: int = 1) -> None:
        model = nodes.models[ALICE]
        self.graph = model.graph
        self.nodes, self.connection, self.number = nodes, connection, number
        self.values: dict[int, bytes | memoryview] = {INPUT: model.inputs[0]}
        executor = Executor(nodes.captured.without_weights())
        for ref in model.weights:
            executor.load_layer(ref.layer, bytes(model.store.read(ref.digest)))
        specs = self.graph.specs_of(INPUT)
        every = executor.run_all(*tensors_from_bytes(specs, model.inputs[0]))
        self.true = {producer: joined_bytes(tensors) for producer, tensors in every.items()}

    async def go(self, step: Crossing) -> AnyMessage:
        """Have a segment executed where it belongs; return the server's answer."""
        first, last = step.segment.first, step.segment.last
        if not step.segment.on_server:
            self.values |= {p: self.true[p] for p in range(first, last + 1)}
            return Answer(self.number, 0.0)
        query = whole_query(
            self.nodes,
            query=self.number,
            first=first,
            last=last,
            producers=step.sent,
            returns=step.returned,
            keeps=step.kept,
        )
        body = b"".join(self.values[producer] for producer in step.sent)
        await self.connection.send(query, body)
        received = await self.connection.receive(1 << 20)
        assert received is not None
        if isinstance(received[0], Answer):
            self.values |= split(self.graph, step.returned, received[1])
        return received[0]


def holds(steps: tuple[Crossing, ...], number: int) -> bool:
    """Whether the server holds something when it comes to a step."""
    return number > 0 and bool(steps[number - 1].kept)


async def query_connection(nodes: World) -> Connection:
    return await Connection.open(nodes.setup.addresses["ap0"], PORTS["query"])


@pytest.mark.parametrize("mode", ["real", "memo"])
def test_tensors_kept_between_segments_give_the_true_answer(
    tmp_path: Path, mode: ComputeMode
) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached, connection = await upload(nodes), await query_connection(nodes)
        for number in (1, 2):
            walk = Walk(nodes, connection, number)
            steps = steps_of(walk.graph)
            assert sum(step.segment.on_server for step in steps) >= 3
            assert any(step.kept for step in steps)
            for step in steps:
                assert isinstance(await walk.go(step), Answer)
            last = len(walk.graph) - 1
            assert same_tensors(walk.graph, last, walk.values[last], walk.true[last])
        attached.abort()
        connection.abort()

    in_world(tmp_path, test, mode)


def test_what_should_have_been_kept_and_is_not_there_is_refused(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached, connection = await upload(nodes), await query_connection(nodes)
        steps = steps_of(nodes.models[ALICE].graph)
        # The first segment at the server that reads what an earlier one has left there
        needy = next(
            i for i, step in enumerate(steps) if step.segment.on_server and holds(steps, i)
        )
        before = steps[:needy]

        async def run_up(number: int) -> Walk:
            walk = Walk(nodes, connection, number)
            for step in before:
                assert isinstance(await walk.go(step), Answer)
            return walk

        async def refused(walk: Walk) -> None:
            answer = await walk.go(steps[needy])
            assert isinstance(answer, Refused) and "is not here" in answer.reason

        never = Walk(nodes, connection, 1)
        never.values |= never.true
        await refused(never)
        interrupted = await run_up(2)
        await run_up(3)  # a new query of the same client frees what the last one left
        await refused(interrupted)
        moved = await run_up(4)
        connection.abort()
        attached.abort()
        await until(lambda: not nodes.holds("ap0"), "ap0 to notice that the client left")
        attached, connection = await upload(nodes), await query_connection(nodes)
        moved.connection = connection
        await refused(moved)
        # Refused or not, the next query is answered
        walk = await run_up(5)
        for step in steps[needy:]:
            assert isinstance(await walk.go(step), Answer)
        attached.abort()
        connection.abort()

    in_world(tmp_path, test, "memo")


def test_nothing_is_kept_that_no_later_layer_reads(tmp_path: Path) -> None:
    """So a client can make a server hold no more than is live at once."""

    async def test(nodes: World, master: Peer) -> None:
        attached = await upload(nodes)
        graph = nodes.models[ALICE].graph
        for keeps in ((0, 1, 2, 3), (len(graph),), (3, -1), (3, 3)):
            connection = await query_connection(nodes)
            await connection.send(
                whole_query(nodes, last=3, returns=(), keeps=keeps), nodes.models[ALICE].inputs[0]
            )
            assert await connection.receive() is None
        attached.abort()

    in_world(tmp_path, test)


@pytest.mark.parametrize("mode", ["real", "memo", "profile"])
def test_bytes_of_queries_are_those_of_the_cost_model(tmp_path: Path, mode: ComputeMode) -> None:
    async def run() -> World:
        async with walker(tmp_path, mode) as nodes:
            await nodes.move(ALICE, "ap0")
            await uploaded(nodes, "ap0")
            await answered(nodes, 5)
        return nodes

    nodes = asyncio.run(run())
    graph = nodes.models[ALICE].graph
    mask, nothing_s = split_plan(graph), np.zeros(len(graph))
    last = nodes.tables()["queries"].iloc[-1]
    assert last["outcome"] == "remote"
    assert last["executed_layers_server"] == mask.sum()
    assert last["executed_layers_client"] == len(AT_CLIENT)
    assert last["bytes_up"] == latency(graph, Costs(nothing_s, nothing_s, 8.0, np.inf), mask)
    assert last["bytes_down"] == latency(graph, Costs(nothing_s, nothing_s, np.inf, 8.0), mask)
    if mode != "profile":
        assert verified(nodes.tables()["queries"])


@pytest.mark.parametrize("mode", ["real", "memo"])
def test_a_client_that_moves_on_computes_itself_what_its_server_kept(
    tmp_path: Path, mode: ComputeMode
) -> None:
    """It leaves while it executes the second normalisation, before the last segment."""
    last_at_client = AT_CLIENT[-1]

    async def run() -> World:
        async with walker(tmp_path, mode, {last_at_client: 0.4}) as nodes:
            await nodes.move(ALICE, "ap0")
            await uploaded(nodes, "ap0")
            await answered(nodes, 2)
            await nodes.clock.sleep_until(nodes.clock.now_s() + 0.2)
            await nodes.move(ALICE, "ap1")
            await answered(nodes, 1)
        return nodes

    nodes = asyncio.run(run())
    queries = nodes.tables()["queries"]
    assert "fallback" not in set(queries["outcome"])
    assert verified(queries)
    executed = queries["executed_layers_client"] + queries["executed_layers_server"]
    layers = len(nodes.models[ALICE].graph)
    (moved,) = queries[executed > layers].to_dict("records")
    assert (moved["edge"], moved["executed_layers_server"]) == ("ap0", 3)
    # The outputs of two layers came back; that of the third was kept there, so it is executed again
    assert moved["executed_layers_client"] == layers - 2
