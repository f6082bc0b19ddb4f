"""The modelled accelerator, held to a plain integration in small steps."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from testbed.gpu.accelerator import Accelerator, AcceleratorParameters, Work
from tests.gpu.accelerators import run_out


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
