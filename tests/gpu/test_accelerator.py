"""The modelled accelerator's contention, held to closed forms; what it refuses."""

from __future__ import annotations

import math
import pickle
import random

import pytest

from testbed.gpu.accelerator import Accelerator, AcceleratorParameters, Work
from tests.gpu.accelerators import DEFAULTS, PLAIN, run_out


def test_client_alone_takes_exactly_the_profiles_time() -> None:
    accelerator = Accelerator()
    ticket = accelerator.submit(100.0, "c1", Work(compute_s=0.125, memory_s=0.0625))
    assert accelerator.next_completion_s() == 100.1875
    assert accelerator.advance(100.1874) == []
    assert accelerator.advance(100.1875) == [(ticket, 100.1875)]
    assert accelerator.next_completion_s() == math.inf


@pytest.mark.parametrize("clients", [2, 3, 10])
def test_equal_clients_take_the_contention_curves_time(clients: int) -> None:
    accelerator = Accelerator()
    for c in range(clients):
        accelerator.submit(0.0, f"c{c}", Work.of(0.1))
    done = run_out(accelerator)
    expected_s = 0.1 * DEFAULTS.slowdown(clients)
    assert list(done.values()) == pytest.approx([expected_s] * clients, rel=1e-12)


def test_contention_curve_as_documented() -> None:
    assert DEFAULTS.slowdown(1) == DEFAULTS.slowdown(1, memory_share=0.9) == 1.0
    # overlap 0.3, interference 0.5: sharing 1 + 0.7 * 2, others' traffic 2 * 0.6
    expected = (1 + 0.7 * 2) * (0.4 + 0.6 * (1 + 0.5 * 1.2 / 2.2))
    assert DEFAULTS.slowdown(3, memory_share=0.6) == pytest.approx(expected)
    throttled = (1 + 0.7 * 2) * (0.4 / 0.85 + 0.6 * (1 + 0.5 * 1.2 / 2.2))
    assert DEFAULTS.slowdown(3, memory_share=0.6, clock=0.85) == pytest.approx(throttled)


@pytest.mark.parametrize("memory_share", [0.0, 0.3, 1.0])
def test_more_clients_are_slower_each_and_do_more_together_within_the_bound(
    memory_share: float,
) -> None:
    slowdowns = [DEFAULTS.slowdown(k, memory_share) for k in range(1, 60)]
    assert slowdowns == sorted(slowdowns)
    most = max(k / slowdown for k, slowdown in enumerate(slowdowns, 1))
    assert most <= 1 / (1 - DEFAULTS.overlap)
    if not memory_share:
        assert most > 1.4  # without interference the bound, 1.43, is nearly reached


def test_memory_bound_work_suffers_from_others_traffic_and_compute_bound_does_not() -> None:
    def finish_s(mine: Work, other: Work) -> float:
        accelerator = Accelerator()
        ticket = accelerator.submit(0.0, "mine", mine)
        accelerator.submit(0.0, "other", other)
        return run_out(accelerator)[ticket]

    compute, memory = Work(0.1, 0.0), Work(0.0, 0.1)
    long_compute, long_memory = Work(1.0, 0.0), Work(0.0, 1.0)
    assert finish_s(compute, long_memory) == finish_s(compute, long_compute)
    assert finish_s(memory, long_compute) == finish_s(compute, long_compute)
    # interference 0.5 of the other's traffic, 1 / (1 + 1)
    ratio = finish_s(memory, long_memory) / finish_s(memory, long_compute)
    assert ratio == pytest.approx(1.25)


def test_arrival_in_the_middle_slows_what_remains() -> None:
    accelerator = Accelerator(PLAIN)
    first = accelerator.submit(0.0, "c1", Work.of(1.0))
    second = accelerator.submit(0.6, "c2", Work.of(1.0))
    # 0.4 s remain of the first and take 0.8; then 0.6 s of the second remain, alone
    assert run_out(accelerator) == pytest.approx({first: 1.4, second: 2.0})


def test_a_clients_own_works_run_one_after_the_other() -> None:
    accelerator = Accelerator(PLAIN)
    a1 = accelerator.submit(0.0, "a", Work.of(1.0))
    a2 = accelerator.submit(0.0, "a", Work.of(1.0))
    b = accelerator.submit(0.0, "b", Work.of(1.5))
    assert run_out(accelerator) == pytest.approx({a1: 2.0, b: 3.0, a2: 3.5})


@pytest.mark.parametrize("seed", range(5))
def test_plain_sharing_conserves_work(seed: int) -> None:
    """The busy period ends when it would under any discipline that does not idle."""
    rng = random.Random(seed)
    accelerator, now_s, free_s = Accelerator(PLAIN), 0.0, 0.0
    for _ in range(50):
        now_s += rng.expovariate(10.0)
        seconds = rng.expovariate(10.0)
        accelerator.submit(now_s, f"c{rng.randrange(6)}", Work.of(seconds))
        free_s = max(free_s, now_s) + seconds
    assert max(at_s for _, at_s in accelerator.advance(1e6)) == pytest.approx(free_s)


def test_work_of_no_length_completes_at_once() -> None:
    accelerator = Accelerator()
    accelerator.submit(1.0, "c1", Work.of(0.5))
    ticket = accelerator.submit(1.25, "c2", Work(0.0, 0.0))
    assert accelerator.advance(1.25) == [(ticket, 1.25)]
    assert accelerator.next_completion_s() == 1.5


def test_work_that_completed_meanwhile_is_told_by_the_next_advance() -> None:
    accelerator = Accelerator()
    first = accelerator.submit(0.0, "c1", Work.of(0.5))
    second = accelerator.submit(2.0, "c1", Work.of(0.5))
    assert accelerator.next_completion_s() == 0.5
    assert accelerator.read(2.25).clients == 1
    assert accelerator.advance(2.25) == [(first, 0.5)]
    assert accelerator.advance(3.0) == [(second, 2.5)]
    assert accelerator.advance(3.0) == []


def test_cancelled_work_gives_its_share_to_the_others() -> None:
    accelerator = Accelerator(PLAIN)
    gone = accelerator.submit(0.0, "c1", Work.of(1.0))
    left = accelerator.submit(0.0, "c2", Work.of(1.0))
    accelerator.cancel(1.0, gone)
    assert run_out(accelerator) == pytest.approx({left: 1.5})


def test_cancelled_work_lets_the_clients_next_begin() -> None:
    accelerator = Accelerator()
    gone = accelerator.submit(0.0, "c1", Work.of(1.0))
    following = accelerator.submit(0.0, "c1", Work.of(1.0))
    accelerator.cancel(0.25, gone)
    assert run_out(accelerator) == {following: 1.25}


def test_waiting_and_untold_work_can_be_cancelled_and_told_work_is_let_be() -> None:
    accelerator = Accelerator()
    first, waiting, last = [accelerator.submit(0.0, "c1", Work.of(1.0)) for _ in range(3)]
    accelerator.cancel(0.5, waiting)
    accelerator.cancel(1.5, first)  # it is complete, but nobody knows
    assert accelerator.advance(2.0) == [(last, 2.0)]
    for ticket in (first, waiting, last):
        accelerator.cancel(3.0, ticket)
    assert accelerator.next_completion_s() == math.inf
    with pytest.raises(ValueError, match="no ticket 3"):
        accelerator.cancel(3.0, 3)


def test_time_that_goes_back_is_refused_and_changes_nothing() -> None:
    accelerator = Accelerator()
    ticket = accelerator.submit(1.0, "c1", Work.of(0.5))
    for act in (
        lambda: accelerator.advance(0.9),
        lambda: accelerator.read(0.9),
        lambda: accelerator.submit(0.9, "c2", Work.of(0.1)),
        lambda: accelerator.cancel(0.9, ticket),
        lambda: accelerator.advance(math.nan),
        lambda: accelerator.read(math.inf),
        lambda: accelerator.submit(math.nan, "c2", Work.of(0.1)),
        lambda: accelerator.submit(math.inf, "c2", Work.of(0.1)),
    ):
        with pytest.raises(ValueError, match="cannot"):
            act()
    assert run_out(accelerator) == {ticket: 1.5}


@pytest.mark.parametrize(
    "work", [Work(-0.1, 0.2), Work(0.2, -0.1), Work(math.nan, 0.1), Work(0.1, math.inf)]
)
def test_work_that_is_no_time_is_refused(work: Work) -> None:
    with pytest.raises(ValueError, match="cannot submit"):
        Accelerator().submit(0.0, "c1", work)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlap", 1.0),
        ("overlap", -0.1),
        ("interference", -0.1),
        ("idle_c", 91.0),
        ("time_constant_s", 0.0),
        ("resume_c", 83.5),
        ("resume_c", 35.0),
        ("throttled_clock", 0.0),
        ("throttled_clock", 1.1),
        ("period_s", 0.0),
        ("base_memory_bytes", -1),
        ("full_c", math.nan),
    ],
)
def test_parameters_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"needs [^,]*\b{name}\b|^not finite"):
        AcceleratorParameters(**{name: value})


def test_memory_of_the_past_is_not_kept() -> None:
    """A server holds one for as long as it runs, whether or not somebody reads statistics."""
    accelerator, sizes = Accelerator(), []
    for n in range(2000):
        accelerator.submit(0.05 * n, f"c{n}", Work.of(0.04))
        accelerator.advance(0.05 * n)
        sizes.append(len(pickle.dumps(accelerator)))
    assert max(sizes[1000:]) < 2 * max(sizes[:100])
