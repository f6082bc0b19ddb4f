"""Orders to migrate, where destinations are down, late or rude."""

from __future__ import annotations

from pathlib import Path

from nodes.transport.connection import Connection
from testbed.protocol.messages import AnyMessage, Holding, Migrate, MigrationOffer
from tests.nodes.lone_edge import ALICE, in_world, upload
from tests.nodes.loopback import until
from tests.nodes.peer import Peer
from tests.nodes.world import World


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
