"""A window after a warm start finds what the whole day finds in it."""

from __future__ import annotations

from functools import cache
from math import inf
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from testbed.decision.holdings import Holdings
from testbed.movement import Movement, People, load_people, prepare
from testbed.runs.warm_start import Beginning, Beliefs, Held, WarmStart
from testbed.settings.experiment import Experiment, from_dict
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.foresight import clients_of
from testbed.simulation.log import Log
from testbed.simulation.offloading import offloading_of
from testbed.simulation.simulated_run import SimulatedRun
from testbed.simulation.warm_start import warm_start
from testbed.values import Schedule
from traces.schedule import past_of

START_S, WINDOW_S = 2400.0, 1200.0


def experiment(policy: str, **migration: Any) -> Experiment:
    return from_dict(
        {
            "name": "window",
            "traces": {"format": "synthetic", "interval_s": 30.0, "margin_m": 3000.0},
            "replay": {"clients": 6, "start": START_S, "duration_s": WINDOW_S},
            "migration": {"policy": policy, "radius_m": 100.0} | migration,
        }
    )


@cache
def everyone() -> People:
    return load_people(experiment("perdnn"))


def carrier(kind: str) -> Carrier:
    if kind == "unlimited":
        return Unlimited()
    return Limited(lambda source, destination: (source % 7, 7 + destination % 7), [40e6] * 14)


def simulated(
    settings: Experiment, movement: Movement, schedule: Schedule, begins: WarmStart | None, on: str
) -> list[Log]:
    return SimulatedRun(
        settings,
        offloading_of(settings),
        schedule.access_points,
        clients_of(schedule),
        movement.training.positions_m,
        carrier(on),
        duration_s=schedule.duration_s,
        begins=begins,
    ).run()


def found(log: Log, access_points: list[str], from_step: int = 0) -> dict[int, tuple[str, int]]:
    """What a client found at each change of access point: step -> (access point, bytes)."""
    return {
        moved.step - from_step: (access_points[moved.destination], int(moved.present_bytes))
        for moved in log.handovers
        if moved.step > from_step
    }


@pytest.mark.parametrize(
    ("policy", "migration", "on"),
    [
        ("perdnn", {}, "limited"),
        ("perdnn", {"ttl_intervals": 2, "keep_after_leaving": True}, "unlimited"),
        ("ionn", {"retain_uploads": True}, "unlimited"),
        ("pull", {}, "limited"),
        ("follow_me", {}, "unlimited"),
        ("routing", {}, "unlimited"),
    ],
)
def test_a_window_after_a_warm_start_finds_what_the_whole_day_finds(
    policy: str, migration: dict[str, Any], on: str
) -> None:
    settings = experiment(policy, **migration)
    movement = prepare(settings, everyone())
    schedule = movement.schedule
    people_until_its_end = replace(schedule, start_s=schedule.start_s + WINDOW_S)
    _, testing = everyone().split(settings)
    whole = past_of(people_until_its_end, testing, movement.access_points)
    assert whole is not None and movement.past is not None
    begins = warm_start(settings, movement, carrier(on))
    assert begins is not None and begins.past_s == movement.past.duration_s
    warm = simulated(settings, movement, schedule, begins, on)
    day = simulated(settings, movement, whole, None, on)
    names = [each.name for each in schedule.access_points]
    all_names = [each.name for each in whole.access_points]
    first = round(movement.past.duration_s / schedule.interval_s)
    order = [list(whole.clients).index(client) for client in schedule.clients]
    expected = [found(day[number], all_names, first) for number in order]
    assert sum(map(len, expected)) > 20
    differing = [
        (client, step, place, size, other)
        for client, (here, there) in enumerate(zip(warm, expected, strict=True))
        for step, (place, size) in found(here, names).items()
        for other in [there[step]]
        if place != other[0] or abs(size - other[1]) > 1
    ]
    assert not differing
    assert [found(log, names).keys() for log in warm] == [each.keys() for each in expected]
    if policy == "perdnn":
        assert sum(log.handovers[0].present_bytes for log in warm) > 0


def test_what_the_master_believes_goes_with_it() -> None:
    known = Holdings(up_bytes_s=100.0, kept_s=0.0)
    known.at("a", 10.0)
    known.offer("b", 20.0, 70.0)
    known.expect("b", 500.0)
    known.at("c", 40.0)
    known.offer("d", 40.0, 45.0)
    later = Holdings(up_bytes_s=100.0, kept_s=0.0)
    later.begin_with(known.beliefs(50.0))
    assert (later.current, later.previous) == ("c", "a")
    for server in "abcd":
        for time_s in (50.0, 60.0, 69.0, 71.0):
            assert later.holds(server, time_s - 50.0) == known.holds(server, time_s)
            there = later.bytes_at(server, time_s - 50.0)
            assert there == pytest.approx(known.bytes_at(server, time_s))


def test_what_never_ends_survives_the_file() -> None:
    known = Holdings(up_bytes_s=100.0, kept_s=inf)
    known.at("a", 10.0)
    known.at("b", 20.0)
    begins = Beginning("b", (Held("a", 5, None),), known.beliefs(30.0), None)
    start = WarmStart((0, 1), {"c1": begins}, 3600.0, 2)
    again = msgspec.json.decode(msgspec.json.encode(start), type=WarmStart)
    assert again == start
    later = Holdings(up_bytes_s=100.0, kept_s=inf)
    later.begin_with(again.clients["c1"].believed)
    assert later.holds("a", 1e9)
    assert again.at("a") == {"c1": Held("a", 5, None)} and again.at("b") == {}
    assert "1.0 h" in start.described() and "2 times" in start.described()
    assert Beliefs() == Holdings(1.0).beliefs(0.0)
