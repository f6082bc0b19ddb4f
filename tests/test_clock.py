"""Emulated time."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from testbed.clock import RunClock


def test_emulated_time_runs_slower_by_the_dilation_factor() -> None:
    clock = RunClock(origin_s=100.0, tdf=8.0)
    assert clock.at(100.0) == 0.0
    assert clock.at(180.0) == 10.0
    assert clock.at(60.0) == -5.0


def test_wall_time_until_an_instant_is_dilated_and_never_negative() -> None:
    clock = RunClock(time.monotonic(), tdf=4.0)
    assert clock.wall_s(10.0) == pytest.approx(40.0, abs=0.1)
    assert clock.wall_s(-10.0) == 0.0


@pytest.mark.parametrize("tdf", [1.0, 3.0])
def test_sleeping_ends_at_the_time_and_tells_the_miss(tdf: float) -> None:
    clock = RunClock(time.monotonic(), tdf)
    late_s = asyncio.run(clock.sleep_until(0.05))
    assert clock.now_s() >= 0.05
    assert 0 <= late_s < 0.03


def test_sleeping_for_the_past_returns_at_once_with_the_miss() -> None:
    clock = RunClock(time.monotonic() - 2.0)
    started_s = time.monotonic()
    assert asyncio.run(clock.sleep_until(1.5)) == pytest.approx(0.5, abs=0.1)
    assert time.monotonic() - started_s < 0.1


def test_sleeping_leaves_the_loop_to_others() -> None:
    async def both() -> int:
        clock, ticks = RunClock(time.monotonic()), 0
        sleeping = asyncio.create_task(clock.sleep_until(0.1))
        while not sleeping.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(both()) >= 5


def test_before_the_run_everything_lies_in_the_future() -> None:
    clock = RunClock(math.inf)
    assert clock.now_s() == -math.inf
    assert clock.wall_s(0.0) == math.inf
