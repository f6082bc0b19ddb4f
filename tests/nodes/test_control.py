"""What the experiment and its nodes say to each other."""

from __future__ import annotations

import asyncio
import socket

from nodes.control import Answered, ExperimentSide, Failed, NodeSide, Position, Ready, Start, Stop


def test_messages_come_in_order_and_an_end_is_a_stop() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        experiment, node = await ExperimentSide.open(ours), await NodeSide.open(theirs)
        experiment.tell(Start(1.5, 8.0))
        experiment.tell(Position(0.0, 1.0, 2.0))
        assert await node.receive() == Start(1.5, 8.0)
        assert await node.receive() == Position(0.0, 1.0, 2.0)
        node.tell(Ready())
        node.tell(Answered(0.2, "remote"))
        assert await experiment.receive() == Ready()
        assert await experiment.receive() == Answered(0.2, "remote")
        experiment.close()
        assert await node.receive() == Stop()
        await node.close()

    asyncio.run(run())


def test_an_experiment_that_was_killed_with_messages_unread_is_a_stop() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        node = await NodeSide.open(theirs)
        node.tell(Answered(0.2, "remote"))
        await asyncio.sleep(0)
        ours.close()
        assert await node.receive() == Stop()
        node.tell(Ready())
        await node.close()

    asyncio.run(run())


def test_a_node_that_was_killed_is_heard_as_an_end() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        experiment = await ExperimentSide.open(ours)
        experiment.tell(Stop())
        await asyncio.sleep(0)
        theirs.close()
        assert await experiment.receive() is None
        experiment.close()

    asyncio.run(run())


def test_a_watched_task_that_fails_is_told_and_one_that_ends_is_not() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        experiment, node = await ExperimentSide.open(ours), await NodeSide.open(theirs)

        async def work(error: Exception | None) -> None:
            if error is not None:
                raise error

        cancelled = asyncio.create_task(asyncio.sleep(60), name="waiting")
        for task in (
            asyncio.create_task(work(None)),
            asyncio.create_task(work(ValueError("no such layer")), name="thinking"),
        ):
            node.watch(task)
        node.watch(cancelled)
        cancelled.cancel()
        await asyncio.sleep(0.01)
        await node.close()
        said = [await experiment.receive(), await experiment.receive()]
        assert said == [Failed("thinking: ValueError('no such layer')"), None]
        experiment.close()

    asyncio.run(run())
