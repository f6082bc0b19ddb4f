"""A client whose master changes the plan while it stays at its server (section III.B.2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nodes.control import Answered, Transferred
from testbed.protocol.messages import Attach, PlanReply, Report
from tests.nodes.loopback import make_setup, until
from tests.nodes.peer import Peer
from tests.nodes.test_client import ALICE, all_at_server, as_master
from tests.nodes.world import World, verified, world

LAST = 3  # layers that the changed plan leaves at the server


def last_ones(plan: PlanReply) -> PlanReply:
    """Return the plan for a server that is slow at all but the last layers."""
    count = len(plan.on_server)
    on_server = tuple(layer >= count - LAST for layer in range(count))
    upload = tuple(reversed([layer for layer in plan.upload if on_server[layer]]))
    server_s = tuple(0.0 if here else 10.0 for here in on_server)
    return PlanReply(plan.number, plan.server, on_server, upload, server_s)


async def attach(nodes: World, master: Peer) -> PlanReply:
    """Let the client come to ap0; return the plan that it was told."""
    await nodes.move(ALICE, "ap0")
    return all_at_server(next(each for each in master.heard if isinstance(each, Attach)))


async def answered(nodes: World, more: int) -> None:
    """Wait for so many more answers."""
    count = sum(isinstance(said, Answered) for said in nodes.heard[ALICE]) + more
    await until(
        lambda: sum(isinstance(said, Answered) for said in nodes.heard[ALICE]) >= count, "answers"
    )


def replanned(tmp_path: Path, *, complete: bool) -> World:
    """Change the plan of a client amid its upload, or after it."""

    async def run() -> World:
        setup = make_setup(tmp_path)
        master = Peer(as_master)
        async with (
            master.listening(setup.addresses["master"], "control"),
            world(setup, "real", edges=("ap0",), master=False) as nodes,
        ):
            await nodes.start_client(ALICE)
            nodes.start()
            plan = await attach(nodes, master)
            client = master.connections[-1]
            if complete:
                await answered(nodes, 3)
            await client.send(last_ones(plan))
            await nodes.says(ALICE, Transferred)
            await answered(nodes, 5)
            nodes.position(ALICE, 3.0)
            await until(lambda: any(isinstance(each, Report) for each in master.heard), "a report")
        report = next(each for each in master.heard if isinstance(each, Report))
        assert report.up_bps is not None and report.down_bps is not None
        return nodes

    return asyncio.run(run())


def test_queries_go_by_the_changed_plan(tmp_path: Path) -> None:
    nodes = replanned(tmp_path, complete=True)
    queries = nodes.tables()["queries"]
    assert verified(queries)
    assert queries["executed_layers_server"].iloc[-2] == LAST
    assert queries["executed_layers_server"].max() > LAST
    assert (queries["outcome"] != "fallback").all()


@pytest.mark.usefixtures("slow_uploads")
def test_an_upload_goes_on_by_the_changed_plan(tmp_path: Path) -> None:
    nodes = replanned(tmp_path, complete=False)
    uploads = nodes.tables()["transfers"]
    assert uploads["cause"].tolist() == ["upload", "upload"]
    assert not uploads["complete"].iloc[0]  # the changed plan wants less, and wants it first
    assert uploads["layers"].iloc[1] <= LAST
    assert verified(nodes.tables()["queries"])
