"""The modelled accelerator, held to closed forms and to a plain integration in small steps."""

from __future__ import annotations

import math
import pickle
import random
from dataclasses import dataclass, field

import msgspec
import pytest

from testbed.gpu.accelerator import Accelerator, AcceleratorParameters, Work
from testbed.gpu.sharing import Phase, Running

DEFAULTS = AcceleratorParameters()
#: Plain processor sharing, always cool.
PLAIN = AcceleratorParameters(overlap=0.0, interference=0.0, throttled_clock=1.0)
#: Heats and cools within fractions of a second.
QUICK = AcceleratorParameters(
    time_constant_s=0.4, throttle_c=75.0, resume_c=65.0, throttled_clock=0.5
)


def run_out(accelerator: Accelerator) -> dict[int, float]:
    """Let all work complete; return when each ticket did."""
    done: dict[int, float] = {}
    while (next_s := accelerator.next_completion_s()) < math.inf:
        told = accelerator.advance(next_s)
        assert told, "what is announced happens"
        assert {at_s for _, at_s in told} == {next_s}
        done |= told
    return done


# Contention


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


# Cancelling


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


# Heat


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


# Statistics


def test_idle_accelerator_has_idle_statistics_also_before_the_run() -> None:
    accelerator = Accelerator()
    for now_s in (-math.inf, 0.0, 1e6):
        stats = accelerator.read(now_s)
        assert msgspec.structs.astuple(stats) == ("modelled", 0, 0.0, 0.0, 500_000_000, 35.0)


def test_utilisation_is_of_the_past_period() -> None:
    accelerator = Accelerator()
    accelerator.submit(10.0, "c1", Work(0.3, 0.1))
    for now_s, kernel, memory in (
        (10.2, 0.2, 0.05),  # within the first: a quarter of its time is memory's
        (10.4, 0.4, 0.1),
        (10.7, 0.4, 0.1),
        (11.0, 0.6, 0.2),
        (11.2, 0.4, 0.15),  # half of the first has left the period
        (11.9, 0.1, 0.05),
        (12.5, 0.0, 0.0),
    ):
        if now_s == 11.0:
            accelerator.submit(10.8, "c1", Work(0.1, 0.1))
        stats = accelerator.read(now_s)
        assert stats.kernel_utilisation == pytest.approx(kernel, abs=1e-12)
        assert stats.memory_utilisation == pytest.approx(memory, abs=1e-12)


def test_clients_with_work_in_the_period_are_counted_once() -> None:
    accelerator = Accelerator(PLAIN)
    accelerator.submit(0.0, "c1", Work.of(0.25))  # until 0.5
    accelerator.submit(0.0, "c2", Work.of(3.0))
    accelerator.submit(0.5, "c1", Work.of(0.25))  # until 1.08
    cancelled = accelerator.submit(0.75, "c3", Work.of(1.0))
    accelerator.cancel(1.0, cancelled)
    clients = [accelerator.read(now_s).clients for now_s in (1.0, 1.99, 2.0, 2.08, 2.09, 20.0)]
    assert clients == [3, 3, 2, 2, 1, 0]


def test_memory_utilisation_tells_memory_bound_load_from_compute_bound() -> None:
    def utilisation(work: Work) -> tuple[float, float]:
        accelerator = Accelerator()
        for c in range(4):
            accelerator.submit(0.0, f"c{c}", work)
        stats = accelerator.read(2.0)
        return stats.kernel_utilisation, stats.memory_utilisation

    assert utilisation(Work(9.0, 0.0)) == (1.0, 0.0)
    kernel, some = utilisation(Work(6.0, 3.0))
    assert kernel == 1.0
    assert 0.3 < some < utilisation(Work(0.0, 9.0))[1] <= 1.0


def test_memory_used_is_the_base_and_what_clients_hold() -> None:
    accelerator = Accelerator(AcceleratorParameters(base_memory_bytes=1000))
    accelerator.hold("c1", 200)
    accelerator.hold("c2", 30)
    accelerator.hold("c1", 250)
    assert accelerator.read(0.0).memory_used_bytes == 1280
    accelerator.hold("c1", 0)
    assert accelerator.read(0.0).memory_used_bytes == 1030
    with pytest.raises(ValueError, match="cannot hold -1"):
        accelerator.hold("c1", -1)


# Against small steps


@dataclass
class SmallSteps:
    """The same model as its documentation states it, integrated by Euler's method."""

    parameters: AcceleratorParameters
    step_s: float
    now_s: float = 0.0
    celsius: float = 0.0
    throttled: bool = False
    clock_changes: int = 0
    queues: dict[str, list[list[float]]] = field(default_factory=dict)  # ticket, left, share
    done: dict[int, float] = field(default_factory=dict)
    history: list[tuple[float, float, float, frozenset[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.celsius = self.parameters.idle_c

    def run_until(self, until_s: float) -> None:
        p = self.parameters
        while self.now_s < until_s - self.step_s / 2:
            heads = {client: queue[0] for client, queue in self.queues.items() if queue}
            turns = 1 + (1 - p.overlap) * (len(heads) - 1)
            clock = p.throttled_clock if self.throttled else 1.0
            done_s = memory = 0.0
            for client, head in heads.items():
                share = head[2]
                others = sum(h[2] for c, h in heads.items() if c != client)
                traffic = 1 + p.interference * others / (1 + others)
                rate = 1 / (turns * ((1 - share) / clock + share * traffic))
                head[1] -= rate * self.step_s
                done_s += rate
                memory += rate * share * traffic
            self.now_s += self.step_s
            for client, head in heads.items():
                if head[1] <= 0:
                    self.done[int(head[0])] = self.now_s
                    self.queues[client].pop(0)
            self.history.append(
                (self.now_s, float(bool(heads)), min(1.0, memory), frozenset(heads))
            )
            target_c = p.idle_c + (p.full_c - p.idle_c) * (1 - p.overlap) * done_s
            self.celsius += (target_c - self.celsius) * self.step_s / p.time_constant_s
            bound_c = p.resume_c if self.throttled else p.throttle_c
            if (self.celsius <= bound_c) if self.throttled else (self.celsius >= bound_c):
                self.throttled = not self.throttled
                self.clock_changes += 1

    def utilisation(self) -> tuple[float, float, int]:
        """Kernel and memory utilisation and clients of the period that ends now."""
        start_s = self.now_s - self.parameters.period_s + self.step_s / 2
        past = [entry for entry in self.history if entry[0] > start_s]
        steps = self.parameters.period_s / self.step_s
        kernel, memory = (sum(entry[i] for entry in past) / steps for i in (1, 2))
        return kernel, memory, len(frozenset().union(*(entry[3] for entry in past)))


def random_parameters(rng: random.Random) -> AcceleratorParameters:
    return AcceleratorParameters(
        overlap=rng.uniform(0, 0.6),
        interference=rng.uniform(0, 1.5),
        time_constant_s=rng.uniform(0.1, 0.6),
        throttle_c=rng.uniform(50, 60),
        resume_c=rng.uniform(40, 48),
        throttled_clock=rng.uniform(0.4, 1),
        period_s=rng.choice([0.2, 1.0]),
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_schedules_equal_an_integration_in_small_steps(seed: int) -> None:
    rng = random.Random(seed)
    parameters = random_parameters(rng)
    exact, plain = Accelerator(parameters), SmallSteps(parameters, step_s=2**-13)
    done: dict[int, float] = {}
    for number, step in enumerate(sorted(rng.sample(range(512), 24))):
        now_s = step / 256  # on the grid of the small steps
        plain.run_until(now_s)
        done |= exact.advance(now_s)
        if number % 4 == 3:
            stats = exact.read(now_s)
            kernel, memory, clients = plain.utilisation()
            assert stats.temperature_c == pytest.approx(plain.celsius, abs=0.3)
            assert stats.kernel_utilisation == pytest.approx(kernel, abs=0.01)
            assert stats.memory_utilisation == pytest.approx(memory, abs=0.01)
            assert stats.clients == clients
        if rng.random() < 0.15 and (left := [t for q in plain.queues.values() for t, *_ in q]):
            gone = int(rng.choice(left))
            exact.cancel(now_s, gone)
            for queue in plain.queues.values():
                queue[:] = [entry for entry in queue if entry[0] != gone]
        work = Work(rng.expovariate(20.0), rng.expovariate(40.0))
        client = f"c{rng.randrange(6)}"
        ticket = exact.submit(now_s, client, work)
        share = work.memory_s / work.alone_s
        plain.queues.setdefault(client, []).append([ticket, work.alone_s, share])
    plain.run_until(5.0)
    done |= exact.advance(5.0)
    assert done == pytest.approx(plain.done, abs=0.002)
    assert len(done) > 12
    assert plain.clock_changes, "the test's load does not throttle"


@pytest.mark.parametrize("seed", range(5))
def test_results_do_not_depend_on_how_often_it_is_asked(seed: int) -> None:
    def outcome(asked: random.Random | None) -> list[object]:
        rng = random.Random(seed)
        accelerator, now_s, told = Accelerator(random_parameters(rng)), 0.0, []
        for _ in range(60):
            next_s = now_s + rng.expovariate(40.0)
            for polled_s in sorted(asked.uniform(now_s, next_s) for _ in range(3)) if asked else ():
                accelerator.read(polled_s)
                accelerator.next_completion_s()
                told += accelerator.advance(polled_s)
            now_s = next_s
            accelerator.submit(now_s, f"c{rng.randrange(8)}", Work.of(rng.expovariate(15.0)))
        told += accelerator.advance(now_s)
        told += run_out(accelerator).items()
        return [*told, accelerator.read(20.0)]

    assert outcome(None) == outcome(None) == outcome(random.Random(seed + 100))


# Bounds


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
