"""Servers that start from an image: downloaded whole from the cloud, or handed off by another."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodes.control import Transferred
from nodes.setup import NodeSetup
from testbed.decision.policy import CLOUD
from testbed.protocol.messages import LayerRef
from tests.nodes.loopback import make_setup, until
from tests.nodes.test_offloading import answered
from tests.nodes.world import World, verified, world

REST = b"what an image has beside the model" * 3000  # 100 kB


def image_setup(folder: Path, policy: str, **own: float) -> NodeSetup:
    """Settings of a run with the cloud at an address of its own."""
    setup = make_setup(folder, policy=policy)
    return replace(
        setup,
        experiment=replace(setup.experiment, policy=own),
        addresses=setup.addresses | {CLOUD: "127.0.0.99"},
        images_stay=policy == "handoff",
    )


def with_rest(setup: NodeSetup) -> NodeSetup:
    """Have images be larger than the model."""
    setup.pool_folder.mkdir(parents=True)
    digest = hashlib.sha256(REST).hexdigest()
    (setup.pool_folder / digest).write_bytes(REST)
    return replace(setup, image_rest=LayerRef(-1, digest, len(REST)))


async def offloaded(nodes: World, images: int) -> None:
    """Wait until so many images have arrived, and then for answers."""

    def arrived() -> int:
        return sum(isinstance(each, Transferred) for said in nodes.heard.values() for each in said)

    await until(lambda: arrived() >= images, f"{images} images")
    await answered(nodes, 3)


def visited(setup: NodeSetup, *places: str) -> tuple[World, list[bool]]:
    """Let the walker go from place to place; return where it found its image."""

    async def run() -> tuple[World, list[bool]]:
        async with world(setup, "real") as nodes:
            await nodes.start_edge(CLOUD)
            await nodes.preload(CLOUD)
            nodes.start()
            hits = []
            for place in places:
                hits.append((await nodes.move("walker", place)).hit)
                await offloaded(nodes, len(hits))
        return nodes, hits

    return asyncio.run(run())


def test_each_server_downloads_the_whole_model_and_executes_nothing_before(tmp_path: Path) -> None:
    nodes, hits = visited(image_setup(tmp_path, "download", cloud_bps=4e6), "ap0", "ap1", "ap0")
    assert hits == [False, False, False]
    tables = nodes.tables()
    queries, transfers = tables["queries"], tables["transfers"]
    assert verified(queries) and (queries["outcome"] != "fallback").all()
    count = int(queries["executed_layers_server"].max())
    assert set(queries["executed_layers_server"]) == {0, count}  # all of the plan, or nothing
    assert (queries.loc[queries["cold_start"], "executed_layers_server"] == 0).all()
    assert set(transfers["source"]) == {CLOUD} and set(transfers["cause"]) == {"migration"}
    assert transfers["complete"].all() and len(transfers) == 3
    size_bits, took_s = 8 * transfers["bytes"], transfers["ended_s"] - transfers["started_s"]
    assert ((size_bits / took_s) < 6e6).all()  # a burst, and then the rate


def test_an_image_moves_after_its_client_and_is_at_one_server(tmp_path: Path) -> None:
    setup = with_rest(image_setup(tmp_path, "handoff", image_mb=len(REST) / 1e6))
    nodes, hits = visited(setup, "ap0", "ap1", "ap0")
    assert hits == [False, False, False]
    transfers = nodes.tables()["transfers"].sort_values("started_s")
    assert transfers["source"].tolist() == [CLOUD, "ap0", "ap1"]
    assert transfers["destination"].tolist() == ["ap0", "ap1", "ap0"]
    captured = nodes.captured.graph.weight_bytes.sum() + len(REST)
    assert (transfers["bytes"] > 0.999 * captured).all()  # layers of equal bytes travel once


def test_who_comes_back_before_the_image_has_left_finds_it(tmp_path: Path) -> None:
    setup = image_setup(tmp_path, "handoff", image_mb=0.0, image_bps=1e5)

    async def run() -> World:
        async with world(setup, "profile") as nodes:
            await nodes.start_edge(CLOUD)
            await nodes.preload(CLOUD)
            nodes.start()
            await nodes.move("walker", "ap0")
            await offloaded(nodes, 1)
            assert not (await nodes.move("walker", "ap1")).hit
            assert (await nodes.move("walker", "ap0")).hit
        return nodes

    asyncio.run(run())


@pytest.mark.parametrize("rate_bps", [0.0, -1.0, float("inf")])
def test_an_image_is_sent_at_some_rate(rate_bps: float) -> None:
    from testbed.protocol.messages import Migrate

    with pytest.raises(ValueError, match="nothing is sent"):
        Migrate("walker", "ap0", "127.0.0.1", (), 1.0, 1.0, rate_bps)
