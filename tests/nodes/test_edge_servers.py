"""What the master asks edge servers, and what it makes of it; the test plays the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from testbed.dnn.devices.device_profile import device_profile
from testbed.protocol.framing import MAGIC, PREAMBLE
from testbed.protocol.messages import (
    AnyMessage,
    Attach,
    Choice,
    Choose,
    Load,
    Migrate,
    PlanReply,
    Registered,
    Report,
    Stored,
)
from tests.nodes.loopback import until
from tests.nodes.stage import BUSY, IDLE, Stage, ask, plan, play


def test_the_master_asks_a_server_for_its_load_before_it_plans(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        edge = await on_stage.edge("ap0", IDLE)
        client = await on_stage.client()
        idle = await plan(client, "ap0")
        assert edge.asked() == 1
        profile = device_profile("titan-xp").layer_times(on_stage.graph)
        assert idle.server_s == tuple(profile.tolist())
        edge.load = BUSY
        busy = await plan(client, "ap0")
        assert edge.asked() == 2
        assert sum(busy.server_s) > 2 * sum(idle.server_s)

    play(tmp_path, test)


def test_a_loaded_server_is_avoided_and_the_plan_is_for_the_one_that_is_chosen(
    tmp_path: Path,
) -> None:
    async def test(on_stage: Stage) -> None:
        edges = {"ap0": BUSY, "ap1": IDLE, "ap2": IDLE}
        played = {name: await on_stage.edge(name, load) for name, load in edges.items()}
        client = await on_stage.client()
        choice = await ask(client, Choose(41, ("ap0", "ap1", "ap2")))
        assert isinstance(choice, Choice)
        assert choice == Choice(41, "ap1")
        assert [edge.asked() for edge in played.values()] == [1, 1, 1]
        assert (await plan(client, "ap1")).upload
        played["ap1"].load = BUSY
        played["ap0"].load = IDLE
        choice = await ask(client, Choose(42, ("ap1", "ap0")))
        assert isinstance(choice, Choice)
        assert choice == Choice(42, "ap0")
        assert len((await plan(client, "ap0")).on_server) == len(on_stage.graph)

    play(tmp_path, test)


def test_a_server_that_is_gone_is_no_candidate_while_another_is_there(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        await on_stage.edge("ap1", BUSY)
        client = await on_stage.client()
        choice = await ask(client, Choose(1, ("ap0", "ap1")))
        assert isinstance(choice, Choice) and choice.access_point == "ap1"
        choice = await ask(client, Choose(2, ("ap2", "ap0")))
        assert isinstance(choice, Choice) and choice.access_point == "ap2"

    play(tmp_path, test)


def test_future_plans_are_made_for_the_loads_of_the_destinations(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        here = await on_stage.edge("ap0", IDLE)
        there = await on_stage.edge("ap1", IDLE)
        elsewhere = await on_stage.edge("ap2", IDLE)
        client = await on_stage.client()
        await plan(client, "ap0")
        await client.send(Report(0.0, 25.0, 0.0))
        await until(lambda: any(isinstance(m, Migrate) for m in here.heard), "an order")
        # The server where the client is: as it comes, and at its report
        assert (here.asked(), there.asked(), elsewhere.asked()) == (2, 1, 0)
        order = next(message for message in here.heard if isinstance(message, Migrate))
        assert order.destination == "ap1" and order.layers

    play(tmp_path, test)


def test_a_report_replans_and_the_client_is_told_what_changed(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        here = await on_stage.edge("ap0", IDLE)
        client = await on_stage.client()
        first = await plan(client, "ap0")
        await client.send(Report(0.0, 25.0, 0.0))
        await until(lambda: here.asked() == 2, "the load at a report")
        here.load = BUSY
        await client.send(Report(30.0, 25.0, 0.0))
        loaded = await client.expect(PlanReply, "a plan")  # none came when nothing had changed
        assert (loaded.number, loaded.server) == (first.number, "ap0")
        assert sum(loaded.server_s) > 2 * sum(first.server_s)
        await client.send(Report(60.0, 25.0, 0.0, 1e3, 1e3))
        slow = await client.expect(PlanReply, "a plan")
        assert any(loaded.on_server) and not any(slow.on_server)

    play(tmp_path, test)


def test_a_mute_server_delays_its_own_client_by_the_bound_and_no_other(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        mute, quick = await on_stage.edge("ap0", None), await on_stage.edge("ap1", BUSY)
        waiting, other = await on_stage.client("walker"), await on_stage.client("runner")
        for _ in range(3):
            first = asyncio.create_task(plan(waiting, "ap0"))
            await until(lambda: mute.asked() == 1, "the request")
            await plan(other, "ap1")
            assert not first.done()
            await first
        assert (mute.asked(), quick.asked()) == (1, 3)  # unanswered, one request is enough
        choice = await ask(waiting, Choose(1, ("ap0", "ap1")))
        assert isinstance(choice, Choice)
        assert choice.access_point == "ap0"  # nothing else is known of it

    play(tmp_path, test, load_wait_s=0.3)


def test_a_late_load_counts_for_the_next_plan(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        mute = await on_stage.edge("ap0", None)
        client = await on_stage.client()
        unknown = await plan(client, "ap0")
        await mute.connection.send(Load(BUSY))
        known = await plan(client, "ap0")
        assert sum(known.server_s) > 2 * sum(unknown.server_s)

    play(tmp_path, test, load_wait_s=0.2)


@pytest.mark.parametrize(
    "said", [Load(IDLE), Stored("ab"), Registered()], ids=lambda said: type(said).__name__
)
def test_a_server_that_speaks_unasked_is_hung_up_on(tmp_path: Path, said: AnyMessage) -> None:
    async def test(on_stage: Stage) -> None:
        edge = await on_stage.edge("ap0", None)
        await edge.connection.send(said)
        again = await on_stage.edge("ap0", IDLE)  # and may come back
        client = await on_stage.client()
        assert (await plan(client, "ap0")).upload
        await until(lambda: again.asked() == 1, "the request")

    play(tmp_path, test)


def test_statistics_of_another_source_are_no_load(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        other = msgspec.structs.replace(BUSY, source="nvml")
        edge = await on_stage.edge("ap0", other)
        client = await on_stage.client()
        assert (await plan(client, "ap0")).upload  # as if it were idle
        await until(lambda: edge.asked() == 1, "the request")

    play(tmp_path, test)


def test_a_server_that_reconnects_before_it_answered_is_asked_again(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        mute = await on_stage.edge("ap0", None)
        client = await on_stage.client()
        first = asyncio.create_task(plan(client, "ap0"))
        await until(lambda: mute.asked() == 1, "the request")
        again = await on_stage.edge("ap0", BUSY)
        unknown = await first  # the request went with its connection
        busy = await plan(client, "ap0")
        assert again.asked() == 1
        assert sum(busy.server_s) > 2 * sum(unknown.server_s)
        await mute.connection.send(Load(IDLE))  # the connection that was replaced counts no more
        assert await plan(client, "ap0") == busy

    play(tmp_path, test)


@pytest.mark.parametrize("access_point", ["ap9", "master", ""])
def test_an_attachment_to_what_is_no_edge_server_is_refused(
    tmp_path: Path, access_point: str
) -> None:
    async def test(on_stage: Stage) -> None:
        other, client = await on_stage.client("runner"), await on_stage.client()
        await client.send(Attach(1, access_point))
        assert await client.receive() is None
        assert (await plan(other, "ap0")).upload

    play(tmp_path, test)


def test_a_client_that_is_nowhere_is_hung_up_on_and_others_go_on(tmp_path: Path) -> None:
    async def test(on_stage: Stage) -> None:
        other, client = await on_stage.client("runner"), await on_stage.client()
        report = msgspec.to_builtins(Report(0.0, 1.0, 2.0)) | {"x_m": float("nan")}
        header = msgspec.msgpack.encode(report)
        client._stream.write(PREAMBLE.pack(MAGIC, len(header), 0) + header)
        assert await client.receive() is None
        assert (await plan(other, "ap0")).upload

    play(tmp_path, test)


@pytest.mark.parametrize("visible", [(), ("ap9",), ("master",), ("ap0", "walker")], ids=str)
def test_a_choice_among_what_is_no_edge_server_is_refused(
    tmp_path: Path, visible: tuple[str, ...]
) -> None:
    async def test(on_stage: Stage) -> None:
        client = await on_stage.client()
        await client.send(Choose(1, visible))
        assert await client.receive() is None
        assert (await plan(await on_stage.client(), "ap0")).upload

    play(tmp_path, test)
