"""The modelled accelerator on the run's clock.

How late this machine is, is known (`late_s`): without it, work ends when the model says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nodes.computing.emulated_gpu import EmulatedGpu
from testbed.clock import RunClock
from testbed.errors import ProtocolError
from testbed.gpu.accelerator import AcceleratorParameters

TDF = 2.0
WORK_S = 0.1
BETWEEN_S = 0.03  # what this machine may take between two calls that follow each other
MODEL = AcceleratorParameters()


def on_a_gpu(
    test: Callable[[EmulatedGpu, RunClock], Coroutine[Any, Any, None]], *, exclusive: bool = False
) -> None:
    async def run() -> None:
        failed: list[asyncio.Task[None]] = []
        gpu = EmulatedGpu(exclusive=exclusive, watch=failed.append)
        clock = RunClock(time.monotonic(), TDF)
        gpu.start(clock)
        await test(gpu, clock)
        for task in failed:
            assert not task.done() or task.cancelled() or task.exception() is None

    asyncio.run(asyncio.wait_for(run(), 30))


async def nothing() -> str:
    return "result"


async def took(gpu: EmulatedGpu, clock: RunClock, client: str, work_s: float = WORK_S) -> float:
    """Execute; return the emulated time that it took by the model."""
    started_s = clock.now_s()
    result, late_s = await gpu.execute(client, work_s, nothing)
    assert result == "result"
    assert late_s >= 0.0
    return clock.now_s() - started_s - late_s


def test_alone_work_takes_its_time() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        for work_s in (WORK_S, 0.0, 3 * WORK_S):
            assert await took(gpu, clock, "a", work_s) == pytest.approx(work_s, abs=BETWEEN_S)

    on_a_gpu(test)


def test_clients_share_as_the_model_says() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        both = await asyncio.gather(took(gpu, clock, "a"), took(gpu, clock, "b"))
        assert both == pytest.approx([MODEL.slowdown(2) * WORK_S] * 2, abs=BETWEEN_S)

    on_a_gpu(test)


def test_work_that_comes_later_delays_what_is_in_progress() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        first = asyncio.create_task(took(gpu, clock, "a", 2 * WORK_S))
        await clock.sleep_until(clock.now_s() + WORK_S)
        second = asyncio.create_task(took(gpu, clock, "b", 2 * WORK_S))
        slow = MODEL.slowdown(2)
        # One half alone, the other beside b; b then has half of its work left, alone
        assert await first == pytest.approx((1 + slow) * WORK_S, abs=BETWEEN_S)
        assert await second == pytest.approx((1 + slow) * WORK_S, abs=BETWEEN_S)

    on_a_gpu(test)


def test_work_that_is_given_up_delays_no_longer() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        given_up = asyncio.create_task(gpu.execute("b", 1e3, nothing))
        await asyncio.sleep(0)
        staying = asyncio.create_task(took(gpu, clock, "a"))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await staying == pytest.approx(WORK_S, abs=BETWEEN_S)
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await clock.sleep_until(clock.now_s() + MODEL.period_s)
        assert gpu.stats().clients == 0

    on_a_gpu(test)


def test_computing_that_fails_is_given_up() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        async def fail() -> None:
            raise ProtocolError("no such layer")

        with pytest.raises(ProtocolError, match="no such layer"):
            await gpu.execute("b", 1e3, fail)
        assert await took(gpu, clock, "a") == pytest.approx(WORK_S, abs=BETWEEN_S)

    on_a_gpu(test)


def test_computing_that_takes_longer_is_late() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        async def slow() -> None:
            await clock.sleep_until(clock.now_s() + 3 * WORK_S)

        _, late_s = await gpu.execute("a", WORK_S, slow)
        assert late_s >= 2 * WORK_S

    on_a_gpu(test)


def test_exclusive_work_waits_for_its_turn() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        first = asyncio.create_task(took(gpu, clock, "a"))
        second = asyncio.create_task(took(gpu, clock, "b"))
        await asyncio.sleep(0)
        assert gpu.stats().clients == 2  # one of them waits
        assert await first == pytest.approx(WORK_S, abs=BETWEEN_S)
        assert await second >= 2 * WORK_S - BETWEEN_S

    on_a_gpu(test, exclusive=True)


def test_the_load_is_that_of_the_last_period() -> None:
    async def test(gpu: EmulatedGpu, clock: RunClock) -> None:
        idle = gpu.stats()
        assert (idle.source, idle.clients, idle.kernel_utilisation) == ("modelled", 0, 0.0)
        gpu.hold("a", 1_000_000)
        assert gpu.stats().memory_used_bytes == idle.memory_used_bytes + 1_000_000
        gpu.hold("a", 0)
        await asyncio.gather(*(took(gpu, clock, client) for client in "abc"))
        busy = gpu.stats()
        assert busy.clients == 3
        assert busy.memory_used_bytes == idle.memory_used_bytes
        assert 0 < busy.kernel_utilisation <= 1
        assert busy.temperature_c > idle.temperature_c

    on_a_gpu(test)


def test_there_is_no_work_before_the_run() -> None:
    async def run() -> None:
        gpu = EmulatedGpu(exclusive=False, watch=lambda task: None)
        assert gpu.stats().clients == 0
        with pytest.raises(ProtocolError, match="before the run"):
            await gpu.execute("a", WORK_S, nothing)
        assert gpu.stats().clients == 0

    asyncio.run(run())
