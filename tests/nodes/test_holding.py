"""Edge servers that are told to hold what they have, for a client that may come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from nodes.control import Transferred
from testbed.arrays import FloatArray
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Candidates
from testbed.protocol.messages import Load, LoadRequest, Migrate
from tests.nodes.lone_edge import ALICE, in_world, upload
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.world import World, world

HELD_S = 0.6


async def tell_to_hold(nodes: World, master: Peer) -> float:
    """Order ap0 to migrate the walker's layers to itself; return until when it holds them."""
    (to_edge,) = master.connections
    now_s = nodes.clock.now_s()
    address = nodes.setup.addresses["ap0"]
    await to_edge.send(Migrate(ALICE, "ap0", address, (), now_s + 0.2, now_s + HELD_S))
    await to_edge.send(LoadRequest())  # what is answered after it, is obeyed after it
    await until(lambda: any(isinstance(said, Load) for said in master.heard), "its load")
    return now_s + HELD_S


def migrations(nodes: World, edge: str) -> list[Transferred]:
    heard = [said for said in nodes.heard[edge] if isinstance(said, Transferred)]
    return [said for said in heard if said.cause == "migration"]


def test_a_server_that_migrates_to_itself_holds_the_layers_after_the_client_left(
    tmp_path: Path,
) -> None:
    async def test(nodes: World, master: Peer) -> None:
        attached = await upload(nodes)
        held_until_s = await tell_to_hold(nodes, master)
        attached.abort()
        await until(lambda: not nodes.holds("ap0"), "ap0 to drop the layers")
        assert nodes.clock.now_s() >= held_until_s
        assert migrations(nodes, "ap0") == []
        transfers = Path(nodes.setup.run_folder, "records", "transfers.ap0.jsonl")
        assert not transfers.exists() or '"migration"' not in transfers.read_text()

    in_world(tmp_path, test)


def test_a_server_that_has_nothing_to_hold_takes_the_order(tmp_path: Path) -> None:
    async def test(nodes: World, master: Peer) -> None:
        await tell_to_hold(nodes, master)
        assert nodes.holds("ap0") == []

    in_world(tmp_path, test)


class HereAndThere(Stay):
    """Foretells everyone visits to ap0 and ap1."""

    def candidates(self, recent: FloatArray) -> Candidates:
        return Candidates(np.array([[0, 1]]), np.full((1, 2, 5), 0.9))


def test_a_client_that_comes_back_finds_the_layers_that_the_policy_of_visits_kept(
    tmp_path: Path,
) -> None:
    async def run() -> World:
        setup = make_setup(tmp_path, policy="visits", predictor=f"{__name__}:HereAndThere")
        async with world(setup, "profile") as nodes:
            nodes.start()
            await nodes.move(ALICE, "ap0")
            weights = nodes.models[ALICE].weights
            await until(lambda: len(nodes.holds("ap0")) == len(weights), "ap0 to hold all layers")
            nodes.position(ALICE, 10.0)
            await until(lambda: len(nodes.holds("ap1")) == len(weights), "ap1 to hold all layers")
            assert (await nodes.move(ALICE, "ap1")).hit
            assert (await nodes.move(ALICE, "ap0")).hit
        return nodes

    tables = asyncio.run(run()).tables()
    migrated = tables["transfers"].query("cause == 'migration'")
    assert set(migrated["destination"]) == {"ap1"}
    assert set(tables["predictions"]["offered"]) == {"ap0 ap1"}
