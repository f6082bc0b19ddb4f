"""A pool executes what nodes hand in, from their tensors and weights, and compares."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch

from nodes.computing.compute import Computer, Job
from nodes.computing.outputs import Outputs, same_tensors
from nodes.control import Compared
from nodes.executions.handing_in import Executions
from testbed.dnn.graph import INPUT
from testbed.dnn.tensors import joined_bytes
from testbed.errors import ProtocolError
from testbed.runs.records import collect, read_table
from tests.nodes.loopback import make_setup, until
from tests.nodes.world import POOL, World

ALICE = "walker"


class Stage:
    """A pool, and a device that holds all layers of the walker's."""

    def __init__(self, nodes: World, computer: Computer) -> None:
        self.nodes = nodes
        self.computer = computer
        self.graph = computer.graph
        n = len(self.graph)
        self.true: Outputs = {
            INPUT: nodes.models[ALICE].inputs[0],
            **nodes.memo.read(ALICE, 0, range(n)),
        }

    def job(self, first: int = 0, last: int = -1, query: int = 0) -> Job:
        return Job(ALICE, query, 0, first, last % len(self.graph))

    def inputs(self, job: Job) -> dict[int, memoryview]:
        return {p: self.true[p] for p in self.graph.reads(job.first, job.last)}

    def equal(self) -> list[bool]:
        return [said.equal for said in self.nodes.heard[POOL] if isinstance(said, Compared)]

    async def executed(self, count: int) -> list[bool]:
        await until(lambda: len(self.equal()) >= count, f"{count} executions", 60.0)
        return self.equal()


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    nodes = World(make_setup(folder), "memo")
    try:
        await nodes.start_pool()
        computer = nodes.computer("odroid-xu4")
        nodes.build_model(ALICE, computer)
        computer.executions = Executions(nodes.setup.executions_folder, ALICE)
        await computer.executions.open()
        nodes.start()
        await nodes.finish()  # so that the processes do not wait for idle processors
        yield Stage(nodes, computer)
        await computer.executions.close()
    finally:
        await nodes.close()


def test_every_segment_is_executed_from_what_was_handed_in(tmp_path: Path) -> None:
    async def run() -> Stage:
        async with stage(tmp_path) as here:
            for index in range(len(here.graph)):
                here.computer.check(here.job(index, index), here.inputs(here.job(index, index)))
            whole = here.job(query=1)
            answer = {p: here.true[p] for p in here.graph.outputs}
            here.computer.check_answer(whole, here.inputs(whole), answer)
            assert all(await here.executed(len(here.graph) + 1))
        return here

    here = asyncio.run(run())
    folder = Path(here.nodes.setup.run_folder)
    collect(folder)
    rows = read_table(folder, "executions")
    segments = rows[~rows["whole"]]
    assert segments["first_layer"].tolist() == list(range(len(here.graph)))
    assert (segments["last_layer"] == segments["first_layer"]).all()
    assert set(rows["client"]) == set(rows["node"]) == {ALICE}
    assert rows["equal"].all() and not rows["in_time"].any()
    assert rows["whole"].sum() == 1


def test_tensors_that_were_changed_on_the_way_are_found_out(tmp_path: Path) -> None:
    async def run() -> None:
        async with stage(tmp_path) as here:
            job = here.job()
            true = here.inputs(job)
            changed = torch.frombuffer(bytearray(true[INPUT]), dtype=torch.float32) + 0.5
            here.computer.check(job, {INPUT: joined_bytes([changed])})
            zeros = {p: memoryview(bytes(len(here.true[p]))) for p in here.graph.outputs}
            here.computer.check_answer(job, true, zeros)
            here.computer.check(job, true)
            assert await here.executed(3) == [False, False, True]

    asyncio.run(run())


def test_weights_that_a_node_lacks_are_not_used_though_others_have_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with stage(tmp_path) as here:
            job = here.job()
            here.computer.check(job, here.inputs(job))
            assert await here.executed(1) == [True]
            here.computer.unload(ALICE)
            here.computer.check(job, here.inputs(job))
            assert await here.executed(2) == [True, False]

    asyncio.run(run())


def test_outputs_come_in_time_or_are_replayed(tmp_path: Path) -> None:
    async def run() -> list[bool]:
        async with stage(tmp_path) as here:
            job, last = here.job(), len(here.graph) - 1
            for due_s in (time.monotonic() + 60.0, time.monotonic() - 1.0):
                found = await here.computer.execute(job, here.inputs(job), due_s)
                assert same_tensors(here.graph, last, found[last], here.true[last])
            await here.executed(2)
        files = {path.name for path in here.nodes.setup.executions_folder.iterdir()}
        assert files == {"socket", "share"}  # nothing is left
        collect(folder := Path(here.nodes.setup.run_folder))
        in_time: list[bool] = read_table(folder, "executions")["in_time"].tolist()
        return in_time

    assert asyncio.run(run()) == [True, False]


def test_what_was_not_computed_before_is_computed_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with stage(tmp_path) as here:
            here.computer._memo = type(here.nodes.memo)(here.graph, tmp_path / "none", [0])
            job, last = here.job(), len(here.graph) - 1
            found = await here.computer.execute(job, here.inputs(job))
            assert same_tensors(here.graph, last, found[last], here.true[last])
            here.computer.check(job, here.inputs(job))  # it has been
            assert here.equal() == []  # there was nothing to compare it with
            here.computer.unload(ALICE)
            with pytest.raises(ProtocolError, match="has no weights at who executes it"):
                await here.computer.execute(job, here.inputs(job))

    asyncio.run(run())


def test_nodes_are_told_for_which_share_there_is_time(tmp_path: Path) -> None:
    async def run() -> None:
        nodes = World(make_setup(tmp_path), "memo")
        try:
            await nodes.start_pool()
            executions = Executions(nodes.setup.executions_folder, ALICE)
            assert executions.share == 0.0
            await executions.open()
            assert executions.share == 1.0
            await nodes.finish()
            assert executions.share == 0.0
            await executions.close()
        finally:
            await nodes.close()

    asyncio.run(run())


def test_without_a_pool_nothing_can_be_handed_in(tmp_path: Path) -> None:
    async def run() -> None:
        executions = Executions(tmp_path, ALICE)
        with pytest.raises(OSError):
            await executions.open()
        await executions.close()

    asyncio.run(run())
