"""The modelled accelerator's heat: it warms, slows down and cools."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.gpu.accelerator import Accelerator, Work
from testbed.gpu.sharing import Phase, Running
from tests.gpu.accelerators import DEFAULTS, QUICK, run_out


def test_temperature_nears_that_of_the_load_with_its_time_constant() -> None:
    accelerator = Accelerator()
    accelerator.submit(10.0, "c1", Work.of(1000.0))
    target_c = 35 + (90 - 35) * 0.7  # alone, 0.7 of the most work that could be done
    assert accelerator.read(10.0).temperature_c == 35
    assert accelerator.read(40.0).temperature_c == pytest.approx(
        target_c - (target_c - 35) / math.e
    )
    assert accelerator.read(600.0).temperature_c == pytest.approx(target_c)
    assert run_out(accelerator) == {0: 1010.0}, "one client alone never heats it so that it slows"
    hot_c = accelerator.read(1010.0).temperature_c
    assert accelerator.read(1040.0).temperature_c == pytest.approx(35 + (hot_c - 35) / math.e)
    assert accelerator.read(5000.0).temperature_c == pytest.approx(35)


def test_throttling_lowers_the_clock_at_the_threshold() -> None:
    work_s, clients = 30.0, 12
    accelerator = Accelerator()
    for c in range(clients):
        accelerator.submit(0.0, f"c{c}", Work(work_s, 0.0))
    slowdown = DEFAULTS.slowdown(clients, 0.0)
    target_c = 35 + 55 * 0.7 * clients / slowdown
    throttled_s = 30 * math.log((target_c - 35) / (target_c - 84))
    assert throttled_s < work_s * slowdown, "the test's load is too little"
    # Under this load it stays above `resume_c` when throttled
    assert 35 + (target_c - 35) * 0.85 > 80
    expected_s = throttled_s + (work_s * slowdown - throttled_s) / 0.85
    assert list(run_out(accelerator).values()) == pytest.approx([expected_s] * clients)


def test_clock_recovers_after_cooling() -> None:
    accelerator = Accelerator(QUICK)
    for c in range(8):
        accelerator.submit(0.0, f"c{c}", Work.of(1.0))
    end_s = max(at_s for _, at_s in accelerator.advance(100.0))
    assert end_s > 1.01 * QUICK.slowdown(8), "the test's load does not throttle"
    accelerator.submit(100.0, "c1", Work.of(0.25))
    assert accelerator.next_completion_s() == 100.25


def test_memory_bound_work_keeps_its_pace_when_throttled() -> None:
    quick = msgspec.structs.replace(QUICK, interference=0.0)
    accelerator = Accelerator(quick)
    for c in range(8):
        accelerator.submit(0.0, f"c{c}", Work(0.0, 1.0))
    assert accelerator.read(3.0).temperature_c > quick.throttle_c
    assert max(run_out(accelerator).values()) == pytest.approx(quick.slowdown(8, 1.0))


@pytest.mark.parametrize(("throttled", "bound_c"), [(False, 84.0), (True, 80.0)])
def test_phase_that_begins_a_rounding_beyond_the_bound_changes_the_clock_at_once(
    throttled: bool, bound_c: float
) -> None:
    clients = 0 if throttled else 20
    running = tuple(Running(f"c{c}", c, 9.0, 0.0) for c in range(clients))
    beyond_c = math.nextafter(bound_c, 0.0 if throttled else 100.0)
    phase = Phase(DEFAULTS, 5.0, beyond_c, throttled, running)
    assert phase.clock_change_s == 5.0
    after = phase.with_changed_clock()
    assert (after.throttled, after.start_c) == (not throttled, bound_c)
    assert after.clock_change_s > 5.0


def test_temperature_stays_in_its_bounds() -> None:
    accelerator = Accelerator(QUICK)
    for c in range(40):
        accelerator.submit(0.0, f"c{c}", Work.of(0.5))
    readings = [accelerator.read(0.05 * step).temperature_c for step in range(400)]
    assert min(readings) >= QUICK.idle_c
    assert QUICK.throttle_c - 0.5 < max(readings) <= QUICK.throttle_c
