"""A client, edge servers and the master together: uploads, queries, migrations, moves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nodes.control import Answered, Compared, Failed
from nodes.setup import ComputeMode
from tests.nodes.loopback import INTERVAL_S, make_setup, until
from tests.nodes.world import POOL, World, verified, world


async def uploaded(nodes: World, edge: str) -> None:
    """Wait until an edge server has every layer of the walker's."""
    await until(
        lambda: len(nodes.holds(edge)) == len(nodes.models["walker"].weights),
        f"{edge} to hold all layers",
    )


async def answered(nodes: World, more: int, client: str = "walker") -> None:
    def count() -> int:
        return sum(isinstance(said, Answered) for said in nodes.heard[client])

    wanted = count() + more
    await until(lambda: count() >= wanted, f"{more} more answers")


@pytest.mark.usefixtures("slow_uploads")
@pytest.mark.parametrize("mode", ["real", "memo"])
def test_answers_equal_local_execution_at_every_split_while_layers_arrive(
    tmp_path: Path, mode: ComputeMode
) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path), mode, edges=("ap0",)) as nodes:
            nodes.start()
            await answered(nodes, 1)
            attached = await nodes.move("walker", "ap0")
            assert (attached.hit, attached.present_bytes) == (False, 0)
            await uploaded(nodes, "ap0")
            await answered(nodes, 5)
        return nodes

    nodes = asyncio.run(run())
    tables = nodes.tables()
    queries = tables["queries"]
    assert set(queries["outcome"]) == {"local", "remote"}
    assert verified(queries)
    assert set(queries["compute"]) == {mode}
    layers = len(nodes.models["walker"].graph)
    assert (queries["executed_layers_client"] + queries["executed_layers_server"] == layers).all()
    assert queries["executed_layers_server"].nunique() >= 3
    assert queries["executed_layers_server"].iloc[-1] == layers
    assert not queries["cold_start"].iloc[-1]
    assert (queries["edge"].notna() == (queries["outcome"] == "remote")).all()
    repeated = [said for said in nodes.heard[POOL] if isinstance(said, Compared)]
    assert repeated and all(said.equal for said in repeated)
    (upload,) = tables["transfers"].to_dict("records")
    assert upload["complete"] and upload["skipped_bytes"] == 0
    different = {ref.digest: ref.size_bytes for ref in nodes.models["walker"].weights}
    assert upload["bytes"] == sum(different.values())  # equal layers travel once
    assert upload["layers"] == len(different) < len(nodes.models["walker"].weights)
    assert upload["wire_bytes"] > upload["bytes"]


def test_profile_mode_moves_bytes_and_compares_nothing(tmp_path: Path) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path), "profile", edges=("ap0",)) as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            await answered(nodes, 5)
        return nodes

    nodes = asyncio.run(run())
    last = nodes.tables()["queries"].iloc[-1]
    graph = nodes.models["walker"].graph
    assert last["outcome"] == "remote"
    assert last["bytes_up"] == graph.input_bytes
    assert last["bytes_down"] == graph.bytes_of(len(graph) - 1)
    assert last.isna()["verified"]


@pytest.mark.parametrize("mode", ["real", "memo"])
def test_layers_migrated_ahead_make_the_next_server_a_hit(
    tmp_path: Path, mode: ComputeMode
) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path), mode) as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            nodes.position("walker", 25.0)
            await uploaded(nodes, "ap1")
            there = await nodes.move("walker", "ap1")
            assert there.hit and there.present_bytes == there.wanted_bytes > 0
            assert there.first_byte_s > 0
            await answered(nodes, 3)
            await until(lambda: not nodes.holds("ap0"), "ap0 to drop what nobody offered it")
            back = await nodes.move("walker", "ap0")
            assert not back.hit and back.present_bytes == 0
        return nodes

    nodes = asyncio.run(run())
    tables = nodes.tables()
    queries = tables["queries"]
    assert "fallback" not in set(queries["outcome"])
    assert verified(queries)
    at_ap1 = queries[queries["edge"] == "ap1"]
    assert len(at_ap1) and not at_ap1["cold_start"].any()
    transfers = tables["transfers"].set_index(["cause", "destination"]).sort_index()
    assert transfers.loc[("migration", "ap1"), "bytes"].sum() > 0
    (upload,) = transfers.loc[[("upload", "ap1")]].to_dict("records")
    assert upload["bytes"] == 0 and upload["layers"] == 0 and upload["complete"]
    assert upload["skipped_bytes"] == sum(r.size_bytes for r in nodes.models["walker"].weights)
    (prediction,) = tables["predictions"].to_dict("records")
    assert prediction["current_ap"] == "ap0" and prediction["offered"] == "ap1"


async def offer_again_and_again(nodes: World) -> None:
    """Report every interval a position from which only ap1 is offered the walker's layers."""
    while True:
        nodes.position("walker", 25.0)
        await nodes.clock.sleep_until(nodes.clock.now_s() + INTERVAL_S)


@pytest.mark.usefixtures("slow_uploads")
def test_layers_are_sent_on_as_they_are_uploaded(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path), "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            offering = asyncio.create_task(offer_again_and_again(nodes))
            await until(lambda: bool(nodes.holds("ap1")), "the first layer at ap1")
            assert len(nodes.holds("ap0")) < len(nodes.models["walker"].weights)
            await uploaded(nodes, "ap1")
            offering.cancel()
            there = await nodes.move("walker", "ap1")
            assert there.hit

    asyncio.run(run())


def test_offered_layers_are_dropped_when_their_time_to_live_is_over(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path, ttl_intervals=2), "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            offered_s = nodes.clock.now_s()
            nodes.position("walker", 25.0)
            await uploaded(nodes, "ap1")
            await until(lambda: not nodes.holds("ap1"), "ap1 to drop the offered layers")
            assert nodes.clock.now_s() - offered_s >= 2 * INTERVAL_S
            assert nodes.holds("ap0")  # the client is still there
            there = await nodes.move("walker", "ap1")
            assert not there.hit and there.present_bytes == 0
            await uploaded(nodes, "ap1")

    asyncio.run(run())


def test_a_repeated_offer_renews_the_time_to_live_without_sending_again(tmp_path: Path) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path, ttl_intervals=2), "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            first_s = nodes.clock.now_s()
            nodes.position("walker", 25.0)
            await uploaded(nodes, "ap1")
            await nodes.clock.sleep_until(first_s + 1.5 * INTERVAL_S)
            nodes.position("walker", 25.0)
            await nodes.clock.sleep_until(first_s + 3.0 * INTERVAL_S)
            assert (await nodes.move("walker", "ap1")).hit
        return nodes

    tables = asyncio.run(run()).tables()
    sent = tables["transfers"].query("cause == 'migration'").sort_values("started_s")
    assert sent["bytes"].tolist()[0] > 0
    assert sent["bytes"].tolist()[1:] == [0]
    assert sent["skipped_bytes"].tolist()[1] > 0
    assert sent["complete"].all()


@pytest.mark.usefixtures("slow_uploads")
def test_a_move_amid_an_upload_is_recorded_and_the_layer_goes_on_where_it_was_cut(
    tmp_path: Path,
) -> None:
    async def run() -> World:
        setup = make_setup(tmp_path, policy="ionn", retain_uploads=True)
        async with world(setup, "real") as nodes:
            nodes.start()
            large = max(nodes.models["walker"].weights, key=lambda ref: ref.size_bytes)
            Path(setup.scratch, "pool", large.digest).unlink()  # so that its bytes are written
            await nodes.move("walker", "ap0")
            store = setup.layer_store("ap0", "walker")
            partial = store.path(large.digest).with_suffix(".part")
            await until(
                lambda: partial.exists() and partial.stat().st_size > 50_000, "half a layer"
            )
            await nodes.move("walker", "ap1")
            back = await nodes.move("walker", "ap0")
            assert not back.hit
            assert 50_000 <= back.present_bytes < back.wanted_bytes
            await uploaded(nodes, "ap0")
            await answered(nodes, 3)
        return nodes

    nodes = asyncio.run(run())
    tables = nodes.tables()
    to_ap0 = tables["transfers"].query("destination == 'ap0'").sort_values("started_s")
    assert to_ap0["complete"].tolist() == [False, True]
    cut, rest = to_ap0.to_dict("records")
    assert 50_000 <= rest["skipped_bytes"] <= cut["bytes"] + 131_072  # what was being written
    different = {ref.digest: ref.size_bytes for ref in nodes.models["walker"].weights}
    assert rest["skipped_bytes"] + rest["bytes"] <= sum(different.values()) + 10_000
    queries = tables["queries"]
    assert verified(queries.tail(3))
    assert "fallback" not in set(queries["outcome"])


def test_every_server_of_the_bound_has_all_layers_from_the_start(tmp_path: Path) -> None:
    from nodes.control import Preload, Ready

    async def run() -> World:
        async with world(make_setup(tmp_path, policy="optimal"), "real") as nodes:
            for edge in ("ap0", "ap1"):
                nodes._sides[edge].tell(Preload())
                await until(
                    lambda edge=edge: sum(isinstance(s, Ready) for s in nodes.heard[edge]) == 2,
                    "the preloading",
                )
            nodes.start()
            for edge in ("ap0", "ap1", "ap0"):
                assert (await nodes.move("walker", edge)).hit
                await answered(nodes, 3)
        return nodes

    nodes = asyncio.run(run())
    tables = nodes.tables()
    assert tables["transfers"]["bytes"].sum() == 0
    assert verified(tables["queries"])
    assert not any(isinstance(s, Failed) for said in nodes.heard.values() for s in said)


def test_clients_with_equal_bytes_each_upload_their_own(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, clients=("walker", "runner"), policy="ionn")

    async def run() -> World:
        async with world(setup, "memo", edges=("ap0",)) as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            late = await nodes.move("runner", "ap0")
            assert late.present_bytes == 0  # though the normalisations' bytes are the walker's
            await answered(nodes, 3, "runner")
        return nodes

    transfers = asyncio.run(run()).tables()["transfers"].set_index("client")
    assert transfers.loc["walker", "bytes"] == transfers.loc["runner", "bytes"]


def test_a_server_keeps_layers_for_the_time_to_live_after_their_client_left(tmp_path: Path) -> None:
    async def run() -> World:
        setup = make_setup(tmp_path, policy="ionn", keep_after_leaving=True, ttl_intervals=3)
        async with world(setup, "profile") as nodes:
            nodes.start()
            assert not (await nodes.move("walker", "ap0")).hit
            await uploaded(nodes, "ap0")
            assert not (await nodes.move("walker", "ap1")).hit
            assert (await nodes.move("walker", "ap0")).hit
            await nodes.move("walker", "ap1")
            await until(lambda: not nodes.holds("ap0"), "the time to live to be over")
            assert not (await nodes.move("walker", "ap0")).hit
        return nodes

    assert "migration" not in set(asyncio.run(run()).tables()["transfers"]["cause"])
