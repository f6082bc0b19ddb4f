"""An edge server among peers that err, lie, or vanish."""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
from pathlib import Path

import pytest

from nodes.connection import Connection
from testbed.protocol import (
    MAGIC,
    MAX_BODY_BYTES,
    PORTS,
    PREAMBLE,
    Answer,
    AnyMessage,
    Holding,
    LayerPiece,
    LayerRef,
    Migrate,
    MigrationOffer,
    Refused,
    Stored,
    Wanted,
    frame_head,
)
from tests.nodes.lone_edge import ALICE, ask, hung_up, in_world, upload, whole_query
from tests.nodes.world import Peer, World, address, make_setup, until, world


@pytest.mark.parametrize("port", ["query", "upload", "migration"])
def test_garbage_on_a_port_leaves_the_server_alive(tmp_path: Path, port: str) -> None:
    rng = random.Random(3)
    garbage = [b"", b"GET / HTTP/1.1\r\n\r\n", rng.randbytes(5000), MAGIC, MAGIC + b"\0" * 12]
    garbage += [PREAMBLE.pack(MAGIC, 50, 0) + rng.randbytes(50)]
    garbage += [frame_head(Holding((1, 2))), frame_head(Wanted("stranger", ()))]
    garbage += [frame_head(MigrationOffer("stranger", "ap9", (), 1e9)), frame_head(Stored("x"))]

    async def test(nodes: World, master: Peer) -> None:
        for data in garbage:
            connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS[port])
            connection._stream.write(data)
            connection._stream.write_eof()
            assert await hung_up(connection)

    in_world(tmp_path, test)


@pytest.mark.parametrize("port", ["query", "upload", "migration"])
@pytest.mark.parametrize("body_bytes", [MAX_BODY_BYTES + 1, 2**63, MAX_BODY_BYTES])
def test_a_huge_announced_body_is_refused_before_it_comes(
    tmp_path: Path, port: str, body_bytes: int
) -> None:
    async def test(nodes: World, master: Peer) -> None:
        query = whole_query(nodes, last=0)
        header = frame_head({"query": query}.get(port, Wanted(ALICE, ())))[PREAMBLE.size :]
        connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS[port])
        connection._stream.write(PREAMBLE.pack(MAGIC, len(header), body_bytes) + header)
        assert await hung_up(connection)

    in_world(tmp_path, test)


@pytest.mark.parametrize("port", ["upload", "migration"])
def test_a_corrupt_layer_is_rejected_and_a_good_one_taken_afterwards(
    tmp_path: Path, port: str
) -> None:
    async def test(nodes: World, master: Peer) -> None:
        ref = nodes.models[ALICE].weights[-1]
        opening = {
            "upload": Wanted(ALICE, (ref,)),
            "migration": MigrationOffer(ALICE, "ap9", (ref,), 1e9),
        }[port]
        evil = await Connection.open(nodes.setup.addresses["ap0"], PORTS[port])
        await evil.send(opening)
        await evil.receive()
        await evil.send(LayerPiece(ref.digest, 0), bytes(ref.size_bytes))
        assert await hung_up(evil)
        assert nodes.holds("ap0") == []
        good = await upload(nodes, ref.layer)
        assert nodes.holds("ap0") == [ref.layer]
        good.abort()

    in_world(tmp_path, test)


def test_pieces_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        ref, other = nodes.models[ALICE].weights[-1], nodes.models[ALICE].weights[0]
        for digest, offset, count in (
            (ref.digest, -5, 10),
            (ref.digest, 1, 10),
            (ref.digest, 0, ref.size_bytes + 1),
            (other.digest, 0, 10),
            ("../../../../etc/passwd", 0, 10),
        ):
            evil = await Connection.open(nodes.setup.addresses["ap0"], PORTS["upload"])
            await evil.send(Wanted(ALICE, (ref,)))
            await evil.receive()
            await evil.send(LayerPiece(digest, offset), bytes(count))
            assert await hung_up(evil)
        assert nodes.holds("ap0") == []

    in_world(tmp_path, test)


def test_layers_the_model_does_not_have_are_refused(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        graph, digest = nodes.models[ALICE].graph, hashlib.sha256(b"").hexdigest()
        sizes = graph.weight_bytes.tolist()
        weightless = sizes.index(0)
        for layer, size in ((-1, 1), (len(graph), 1), (0, sizes[0] + 1), (weightless, 0)):
            evil = await Connection.open(nodes.setup.addresses["ap0"], PORTS["upload"])
            await evil.send(Wanted(ALICE, (LayerRef(layer, digest, size),)))
            assert await hung_up(evil)

    in_world(tmp_path, test)


def test_a_digest_that_is_a_path_is_refused(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        ref = nodes.models[ALICE].weights[0]
        outside = LayerRef(ref.layer, "../../../outside", ref.size_bytes)
        evil = await Connection.open(nodes.setup.addresses["ap0"], PORTS["migration"])
        await evil.send(MigrationOffer(ALICE, "ap9", (outside,), 0.0))
        assert await hung_up(evil)
        assert not list(tmp_path.rglob("outside*"))

    in_world(tmp_path, test)


def test_a_query_that_cannot_be_executed_is_refused_with_its_reason(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        missing = await ask(nodes)
        assert isinstance(missing, Refused) and "layer 0 is not here" in missing.reason
        attached = await upload(nodes)
        for changes, reason in (
            ({"first": 5, "last": 3}, "no layers 5 to 3"),
            ({"last": 10_000}, "no layers"),
            ({"first": -1}, "no layers"),
            ({"input_key": 99}, "no input 99"),
            ({"input_key": -1}, "no input -1"),
        ):
            refused = await ask(nodes, **changes)
            assert isinstance(refused, Refused) and reason in refused.reason
        for wrong in (
            {"producers": (0,)},
            {"producers": (-1, -1)},
            {"returns": (3,)},
            {"returns": (-1,)},
            {"keeps": (0,)},
        ):
            assert await ask(nodes, **wrong) is None
        assert await ask(nodes, client="stranger") is None
        assert await ask(nodes, client="../../stranger", first=2, last=2) is None
        attached.abort()

    in_world(tmp_path, test, "memo")


def order(nodes: World, destination: str, ends_in_s: float, *layers: int) -> Migrate:
    weights = [ref for ref in nodes.models[ALICE].weights if not layers or ref.layer in layers]
    now_s = nodes.clock.now_s()
    return Migrate(
        client=ALICE,
        destination=destination,
        address=nodes.setup.addresses[destination],
        layers=tuple(weights),
        ends_s=now_s + ends_in_s,
        until_s=now_s + 60.0,
    )


def test_a_destination_that_is_down_does_not_end_migration_to_it(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        (to_edge,) = master.connections
        attached = await upload(nodes)
        await to_edge.send(order(nodes, "ap1", 5.0))
        await nodes.start_edge("ap1")
        await to_edge.send(order(nodes, "ap1", 5.0))
        weights = nodes.models[ALICE].weights
        await until(lambda: len(nodes.holds("ap1")) == len(weights), "ap1 to hold all layers")
        attached.abort()
        await until(lambda: not nodes.holds("ap0"), "ap0 to drop the layers of a client that left")

    in_world(tmp_path, test)


def test_an_order_that_comes_before_the_last_one_ended_goes_on_after_it(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        (to_edge,) = master.connections
        await nodes.start_edge("ap1")
        first, *_, last = (ref.layer for ref in nodes.models[ALICE].weights)
        attached = await upload(nodes, first)
        await to_edge.send(order(nodes, "ap1", 0.3, first, last))
        await to_edge.send(order(nodes, "ap1", 5.0, first, last))
        await until(lambda: nodes.holds("ap1") == [first], "the first layer at ap1")
        await nodes.clock.sleep_until(nodes.clock.now_s() + 0.5)
        later = await upload(nodes, last)
        await until(lambda: last in nodes.holds("ap1"), "the last layer at ap1")
        attached.abort()
        later.abort()

    in_world(tmp_path, test)


def test_a_destination_that_breaks_off_leaves_a_record_of_what_was_sent(tmp_path: Path) -> None:
    async def hold_nothing_then_leave(connection: Connection, message: AnyMessage) -> None:
        if isinstance(message, MigrationOffer):
            await connection.send(Holding((0,) * len(message.layers)))
        connection.abort()

    async def test(nodes: World, master: Peer) -> None:
        (to_edge,) = master.connections
        attached = await upload(nodes)
        rude = Peer(hold_nothing_then_leave)
        async with rude.listening(nodes.setup.addresses["ap1"], "migration"):
            await to_edge.send(order(nodes, "ap1", 5.0))
            records = Path(nodes.setup.run_folder, "records", "transfers.ap0.jsonl")
            await until(lambda: records.exists() and records.stat().st_size > 0, "the record")
        assert '"complete": false' in records.read_text()
        attached.abort()

    in_world(tmp_path, test)


def test_a_layer_that_another_layer_brought_is_loaded_for_both(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        by_digest: dict[str, list[int]] = {}
        for ref in nodes.models[ALICE].weights:
            by_digest.setdefault(ref.digest, []).append(ref.layer)
        (one, other) = next(layers for layers in by_digest.values() if len(layers) > 1)
        first = await upload(nodes, one)
        second = await upload(nodes, other)  # announced only now, and nothing sent
        rest = await upload(nodes)
        assert isinstance(await ask(nodes), Answer)
        for connection in (first, second, rest):
            connection.abort()

    in_world(tmp_path, test)


def test_a_query_under_way_is_answered_though_its_client_moves_on(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached = await upload(nodes)
        model = nodes.models[ALICE]
        connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS["query"])
        query = whole_query(nodes)
        await connection.send(query, model.inputs[0])
        assert (await connection.receive(1 << 20) or [None])[0] is not None
        head = frame_head(query, len(model.inputs[0]))
        connection._stream.write(head + model.inputs[0][:100])
        attached.abort()
        await nodes.clock.sleep_until(nodes.clock.now_s() + 0.2)
        connection._stream.write(bytes(model.inputs[0][100:]))
        received = await connection.receive(1 << 20)
        assert received is not None and isinstance(received[0], Answer)
        connection.abort()
        await until(lambda: not nodes.holds("ap0"), "the layers to be dropped")

    in_world(tmp_path, test)


def test_garbage_at_the_master_leaves_it_alive(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path), "profile", edges=()) as nodes:
            header = b"\x81\xa4type\xa5alien"
            for data in (
                b"hello master",
                PREAMBLE.pack(MAGIC, len(header), 0) + header,
                PREAMBLE.pack(MAGIC, 4 << 21, 0),
                struct.pack(">4sIQ", MAGIC, 1, 2**63),
                frame_head(Stored("x")),
            ):
                connection = await Connection.open(address(1), PORTS["control"])
                connection._stream.write(data)
                connection._stream.write_eof()
                assert await hung_up(connection)
            await nodes.start_edge("ap0")
            nodes.start()
            assert not (await nodes.move(ALICE, "ap0")).hit

    asyncio.run(run())


def test_the_master_lives_on_without_an_edge_server_it_orders(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path), "profile") as nodes:
            nodes.start()
            await nodes.move(ALICE, "ap0")
            await nodes.stop("ap0")
            for _ in range(3):
                nodes.position(ALICE, 25.0)
            there = await nodes.move(ALICE, "ap1")
            assert not there.hit

    asyncio.run(run())
