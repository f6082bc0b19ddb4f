"""Who executes: servers that clients stay with, the cloud, and servers that fetch layers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from testbed.decision.policy import CLOUD
from testbed.settings.experiment import Server
from tests.nodes.loopback import make_setup, until
from tests.nodes.test_offloading import answered, uploaded
from tests.nodes.world import World, world

ROUND_TRIP_S = 0.05


def test_with_routing_a_client_stays_with_its_first_server(tmp_path: Path) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path, policy="routing"), "real") as nodes:
            nodes.start()
            first = await nodes.move("walker", "ap0")
            await uploaded(nodes, "ap0")
            there = await nodes.move("walker", "ap1")
            assert not first.hit and there.hit
            await answered(nodes, 3)
            assert nodes.holds("ap0") and not nodes.holds("ap1")
        return nodes

    nodes = asyncio.run(run())
    queries = nodes.tables()["queries"]
    assert set(queries["edge"].dropna()) == {"ap0"}
    assert (queries["outcome"] != "fallback").all()


@pytest.mark.usefixtures("slow_uploads")
def test_with_routing_the_upload_goes_on_where_it_was(tmp_path: Path) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path, policy="routing"), "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            await until(lambda: bool(nodes.holds("ap0")), "ap0 to have a layer")
            there = await nodes.move("walker", "ap1")
            assert 0 < there.present_bytes < there.wanted_bytes
            await uploaded(nodes, "ap0")
        return nodes

    uploads = asyncio.run(run()).tables()["transfers"].query("cause == 'upload'")
    assert set(uploads["destination"]) == {"ap0"}
    assert uploads["skipped_bytes"].tolist()[-1] > 0


@pytest.mark.usefixtures("slow_uploads")
def test_who_arrives_has_layers_fetched_from_the_server_before(tmp_path: Path) -> None:
    async def run() -> World:
        async with world(make_setup(tmp_path, policy="pull"), "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            nodes.position("walker", 0.0)
            await uploaded(nodes, "ap0")
            await nodes.move("walker", "ap1")
            nodes.position("walker", 25.0)
            await uploaded(nodes, "ap1")
        return nodes

    transfers = asyncio.run(run()).tables()["transfers"]
    fetched = transfers.query("cause == 'migration' and source == 'ap0' and destination == 'ap1'")
    assert len(fetched) == 1 and fetched["complete"].all()
    sent = transfers.query("cause == 'upload' and destination == 'ap1'")
    assert fetched["bytes"].sum() > sent["bytes"].sum()


@pytest.mark.usefixtures("slow_uploads")
def test_a_service_that_follows_moves_with_its_layers(tmp_path: Path) -> None:
    """The access points are 40 m apart: with 60 m ap0 serves at ap1, and ap2 fetches from it."""

    async def run() -> World:
        setup = make_setup(tmp_path, policy="follow_me")
        setup = replace(setup, experiment=replace(setup.experiment, policy={"threshold_m": 60.0}))
        async with world(setup, "profile") as nodes:
            nodes.start()
            await nodes.move("walker", "ap0")
            nodes.position("walker", 0.0)
            await uploaded(nodes, "ap0")
            await nodes.start_edge("ap2")
            assert (await nodes.move("walker", "ap1")).hit
            nodes.position("walker", 25.0)
            assert not nodes.holds("ap1")
            await nodes.move("walker", "ap2")
            nodes.position("walker", 50.0)
            await uploaded(nodes, "ap2")
        return nodes

    transfers = asyncio.run(run()).tables()["transfers"].query("cause == 'migration'")
    assert set(transfers["destination"]) == {"ap2"}
    assert set(transfers["source"]) == {"ap0"} and transfers["complete"].all()


def test_the_cloud_answers_everyone_after_its_round_trip(tmp_path: Path) -> None:
    async def run() -> World:
        setup = make_setup(tmp_path, policy="cloud", server=Server(cloud_round_trip_s=ROUND_TRIP_S))
        setup = replace(setup, addresses=setup.addresses | {CLOUD: "127.0.0.99"})
        async with world(setup, "real") as nodes:
            await nodes.start_edge(CLOUD)
            await nodes.preload(CLOUD)
            nodes.start()
            for place in ("ap0", "ap1"):
                assert (await nodes.move("walker", place)).hit
                await answered(nodes, 3)
        return nodes

    queries = asyncio.run(run()).tables()["queries"]
    attached = queries[~queries["cold_start"]]
    assert set(attached["edge"]) == {CLOUD}
    assert attached["latency_s"].min() >= ROUND_TRIP_S
