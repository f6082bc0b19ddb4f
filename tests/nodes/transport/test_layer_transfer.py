"""Several senders of one client's layers at one edge server, some of them hostile."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nodes.transport.connection import Connection
from testbed.protocol.framing import frame_head
from testbed.protocol.messages import PORTS, Holding, LayerPiece, LayerRef, Stored, Wanted
from tests.nodes.lone_edge import ALICE, hung_up, in_world, upload
from tests.nodes.loopback import until
from tests.nodes.peer import Peer
from tests.nodes.world import World


async def announce(nodes: World, *refs: LayerRef) -> tuple[Connection, Holding]:
    connection = await Connection.open(nodes.setup.addresses["ap0"], PORTS["upload"])
    await connection.send(Wanted(ALICE, refs))
    received = await connection.receive()
    assert received is not None and isinstance(received[0], Holding)
    return connection, received[0]


def here(nodes: World) -> dict[str, int]:
    """The walker's files at ap0, whole or partial, and their sizes."""
    folder = Path(nodes.setup.scratch, "layers", "ap0", ALICE)
    return {path.name: path.stat().st_size for path in folder.glob("*")}


def test_a_slow_sender_cannot_change_a_layer_that_another_completed(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        size = max(ref.size_bytes for ref in nodes.models[ALICE].weights)
        layer = next(ref.layer for ref in nodes.models[ALICE].weights if ref.size_bytes == size)
        data = bytes([7]) * size  # the pool lacks these
        ref = LayerRef(layer, hashlib.sha256(data).hexdigest(), size)
        slow, _ = await announce(nodes, ref)
        quick, _ = await announce(nodes, ref)
        slow._stream.write(frame_head(LayerPiece(ref.digest, 0), size) + data[:100])
        await until(lambda: here(nodes) == {f"{ref.digest}.part": 100}, "the first bytes")
        await quick.send(LayerPiece(ref.digest, 0), data)
        assert await quick.receive() == (Stored(ref.digest), b"")
        slow._stream.write(bytes(size - 100))
        await slow.send(LayerPiece("?", 0))  # the server has taken all before when it hangs up
        assert await hung_up(slow)
        assert Path(nodes.setup.scratch, "pool", ref.digest).read_bytes() == data
        assert here(nodes) == {ref.digest: size}
        quick.abort()

    in_world(tmp_path, test)


def test_a_client_has_one_version_of_a_layer(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        ref = nodes.models[ALICE].weights[0]
        first, second = (LayerRef(ref.layer, f"{i:064x}", ref.size_bytes) for i in range(2))
        early, _ = await announce(nodes, first)
        await early.send(LayerPiece(first.digest, 0), bytes(10))
        await until(lambda: here(nodes) == {f"{first.digest}.part": 10}, "the first bytes")
        late, holding = await announce(nodes, second)
        assert holding == Holding((0,)) and here(nodes) == {}
        await early.send(LayerPiece(first.digest, 0), bytes(10))
        assert await hung_up(early)
        assert here(nodes) == {}
        await late.send(LayerPiece(second.digest, 0), bytes(10))
        await until(lambda: here(nodes) == {f"{second.digest}.part": 10}, "the second's bytes")
        twice = await Connection.open(nodes.setup.addresses["ap0"], PORTS["upload"])
        await twice.send(Wanted(ALICE, (first, second)))
        assert await hung_up(twice)
        late.abort()

    in_world(tmp_path, test)


def test_bytes_of_equal_layers_stay_while_one_of_them_has_them(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        by_digest: dict[str, list[LayerRef]] = {}
        for ref in nodes.models[ALICE].weights:
            by_digest.setdefault(ref.digest, []).append(ref)
        (one, other) = next(refs for refs in by_digest.values() if len(refs) > 1)
        attached = await upload(nodes, one.layer, other.layer)
        replaced, _ = await announce(nodes, LayerRef(one.layer, "ab" * 32, one.size_bytes))
        assert here(nodes) == {one.digest: one.size_bytes}
        attached.abort()
        replaced.abort()

    in_world(tmp_path, test)
