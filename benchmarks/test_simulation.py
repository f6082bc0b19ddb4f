"""How long runs in virtual time take.

    .venv/bin/python -m pytest benchmarks/test_simulation.py

KAIST's 31 test users, each from first to last position, take at most 2 s on one core once they are
loaded; without KAIST, as many people of the synthetic campus serve. Time grows linearly with the
users: an hour of 100,000 of them takes at most 10 minutes and 8 GB on two cores. `extra_info` of
--benchmark-json has user-hours and the time of each.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_limits

from testbed.mobility.neighbourhood import ServerIndex
from testbed.movement import load_people, prepare, with_own_steps
from testbed.settings.experiment import Experiment, Migration, Replay, Simulation, Traces
from testbed.simulation.fluid.carrier import Unlimited
from testbed.simulation.foresight import ClientPath, clients_of
from testbed.simulation.log import Log
from testbed.simulation.offloading import offloading_of
from testbed.simulation.simulated_run import SimulatedRun as Run
from traces.datasets import find_traces

MAX_KAIST_S = 2.0
MAX_S = 600.0
MAX_BYTES = 8e9
HOUR = 120  # steps of 30 s
HISTORY = 4

SETTINGS = Experiment(
    name="benchmark",
    migration=Migration(policy="perdnn", radius_m=100.0),
    replay=Replay(duration_s="all"),
    simulation=Simulation(sharing="separate", backhaul="unlimited", headers=False),
)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with threadpool_limits(1):
            yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.benchmark(group="31 users' whole days")
@pytest.mark.parametrize("policy", ["ionn", "perdnn", "optimal"])
def test_whole_days(benchmark: BenchmarkFixture, policy: str) -> None:
    """From a fitted predictor's data to the counts: plans, predictions, everything."""
    settings = replace(SETTINGS, migration=Migration(policy=policy, radius_m=100.0))
    if find_traces(None, settings.seed, "auto").source != "kaist":
        settings = replace(settings, traces=Traces(test_people=31))
    movement = prepare(settings)
    settings = movement.settings
    schedule = movement.schedule
    walkers = clients_of(schedule)

    def simulate() -> list[Log]:
        return Run(
            settings,
            offloading_of(settings),
            schedule.access_points,
            walkers,
            movement.training.positions_m,
            Unlimited(),
            duration_s=schedule.duration_s,
            details=False,
        ).run()

    logs = benchmark.pedantic(simulate, rounds=5, warmup_rounds=1)
    hours = sum(len(each.attached) for each in walkers) * schedule.interval_s / 3600
    benchmark.extra_info |= {"user_hours": hours, "queries": sum(log.queries for log in logs)}
    if benchmark.stats is not None:
        assert benchmark.stats.stats.median <= MAX_KAIST_S


@pytest.mark.benchmark(group="an hour of many users")
@pytest.mark.parametrize("users", [1_000, 10_000, 100_000])
def test_many_users(benchmark: BenchmarkFixture, users: int) -> None:
    settings = replace(SETTINGS, traces=Traces(format="synthetic"))
    people = load_people(settings)
    settings = with_own_steps(settings, people.recorded)
    index = ServerIndex(people.servers_m)
    training, testing = people.split(settings)
    days = [trace.positions_m for trace in testing.traces if len(trace) > HOUR + HISTORY]
    walks = [(day, index.attached(day)) for day in days]
    rng = np.random.default_rng(0)
    walkers = []
    for number in range(users):
        day, servers = walks[number % len(walks)]
        start = int(rng.integers(HISTORY, len(day) - HOUR))
        walkers.append(
            ClientPath(
                f"u{number}",
                -HISTORY,
                day[start - HISTORY : start + HOUR],
                tuple(servers[start : start + HOUR].tolist()),
            )
        )
    run = Run(
        settings,
        offloading_of(settings),
        people.access_points,
        walkers,
        training.positions_m,
        Unlimited(),
        duration_s=HOUR * settings.traces.step_s,
        details=False,
    )
    logs = benchmark.pedantic(run.run, rounds=1)
    used_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    benchmark.extra_info |= {
        "user_hours": users,
        "queries": sum(log.queries for log in logs),
        "peak_bytes": used_bytes,
    }
    if benchmark.stats is not None:
        assert benchmark.stats.stats.median <= MAX_S
        assert used_bytes <= MAX_BYTES
