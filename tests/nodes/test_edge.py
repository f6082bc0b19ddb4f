"""An edge server among peers that err, lie, or vanish."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from nodes.transport.connection import Connection
from testbed.protocol.framing import MAGIC, PREAMBLE, frame_head
from testbed.protocol.messages import (
    MAX_BODY_BYTES,
    PORTS,
    Answer,
    Holding,
    LayerPiece,
    LayerRef,
    MigrationOffer,
    Refused,
    Stored,
    Wanted,
)
from tests.nodes.lone_edge import ALICE, ask, hung_up, in_world, upload, whole_query
from tests.nodes.loopback import until
from tests.nodes.peer import Peer
from tests.nodes.world import World


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
