from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.values import AccessPoint, Fix, Handover, Schedule
from traces.schedule import SteppedTrace, build_schedule, count_handovers
from traces.trace import Trace, TraceSet

# Five access points in a row, 100 m apart: a position of 100 * k belongs to ap(k).
APS = tuple(AccessPoint(f"ap{k}", 100.0 * k, 0.0) for k in range(5))


def near(access_points: Sequence[AccessPoint], positions_m: FloatArray) -> list[AccessPoint]:
    """Keep what lies within 60 m of any position."""
    return [ap for ap in access_points if (np.abs(positions_m[:, 0] - ap.x_m) <= 60).any()]


def nothing(access_points: Sequence[AccessPoint], positions_m: FloatArray) -> list[AccessPoint]:
    return []


def walk(name: str, cells: Sequence[float], first_s: float = 0.0, step_s: float = 30.0) -> Trace:
    time_s = first_s + step_s * np.arange(len(cells))
    return Trace(name, name, time_s, 100.0 * np.array(cells, float), np.zeros(len(cells)))


def schedule(*traces: Trace, clients: int = 1, start: float | str = "busiest", **more) -> Schedule:
    arguments = {"duration_s": 90.0, "near": near} | more
    if start == "busiest":
        arguments = {"history": 0} | arguments  # most of these short walks have none
    return build_schedule(
        TraceSet(traces, "hand-made", 30.0), APS, clients=clients, start=start, **arguments
    )


def test_fixes_and_handovers_of_a_window_with_history() -> None:
    made = schedule(walk("a", [0, 0, 1, 1, 2, 2, 2]), start=60.0)
    assert made.start_s == 60
    assert made.clients == {"c1": "a"}
    assert made.fixes == (
        Fix("c1", -60, 0, 0),
        Fix("c1", -30, 0, 0),
        Fix("c1", 0, 100, 0),
        Fix("c1", 30, 100, 0),
        Fix("c1", 60, 200, 0),
    )
    assert made.handovers == (Handover("c1", 0, None, "ap1"), Handover("c1", 60, "ap1", "ap2"))


def test_busiest_window_has_the_history_that_is_told() -> None:
    # The first window has two handovers, but nothing is known of the time before it
    made = schedule(walk("a", [0, 1, 0, 0, 0, 0, 1, 1]), history=2)
    assert made.start_s >= 60
    assert [fix.time_s for fix in made.fixes][:3] == [-60, -30, 0]
    assert schedule(walk("a", [0, 1, 0, 0, 0, 0, 1, 1]), history=0).start_s == 0


def test_history_is_no_longer_than_asked_for() -> None:
    made = schedule(walk("a", [0] * 20), start=300.0)
    assert [fix.time_s for fix in made.fixes] == [-120, -90, -60, -30, 0, 30, 60]
    made = schedule(walk("a", [0] * 20), start=300.0, history=0)
    assert made.fixes[0].time_s == 0


def test_history_does_not_reach_back_before_the_segment() -> None:
    made = schedule(walk("a#1", [0] * 5, first_s=270.0), start=300.0)
    assert [fix.time_s for fix in made.fixes] == [-30, 0, 30, 60]


def test_busiest_window_has_most_handovers_of_the_chosen() -> None:
    quiet, busy = walk("quiet", [0] * 9), walk("busy", [0, 0, 0, 0, 1, 2, 1, 1, 1])
    made = schedule(quiet, busy)
    assert made.start_s == 90
    assert made.clients == {"c1": "busy"}
    assert len(made.handovers) == 1 + 2


def test_earliest_of_equally_busy_windows_is_taken() -> None:
    assert schedule(walk("a", [0, 0, 1, 1, 1, 2, 2, 2])).start_s == 0
    assert schedule(walk("a", [0] * 8)).start_s == 0


def test_handover_into_the_windows_first_step_does_not_count() -> None:
    made = schedule(walk("a", [0, 1, 1, 1, 1]), start=30.0)
    assert made.handovers == (Handover("c1", 0, None, "ap1"),)


def test_clients_are_present_throughout_the_window() -> None:
    late = walk("late", [0, 1, 2, 3], first_s=30.0)
    early = walk("early", [0, 1, 0])
    whole = walk("whole", [0] * 6)
    assert schedule(late, early, whole, clients=2, start=0.0).clients == {
        "c1": "early",
        "c2": "whole",
    }
    # The last step of a window of 90 s is at 60 s, which `early` just reaches.
    with pytest.raises(ConfigurationError, match=r"2 clients for 120 s .*1 people .*from 0 s"):
        schedule(late, early, whole, clients=2, start=0.0, duration_s=120.0)


def test_clients_are_named_from_the_most_handovers_down() -> None:
    traces = walk("none", [0, 0, 0]), walk("two", [0, 1, 2]), walk("one", [0, 0, 1])
    made = schedule(*traces, clients=3, start=0.0)
    assert made.clients == {"c1": "two", "c2": "one", "c3": "none"}


def test_too_few_people_are_counted_in_the_error() -> None:
    two = walk("a", [0] * 5), walk("b", [0] * 5)
    with pytest.raises(ConfigurationError, match=r"3 clients .*no more than 2 people .*any time"):
        schedule(*two, clients=3)
    with pytest.raises(ConfigurationError, match="no more than 0 people"):
        schedule(*two, start=86400.0)
    with pytest.raises(ConfigurationError, match="no more than 0 people"):
        schedule(*two, duration_s=86400.0)


def test_start_between_samples_holds_the_last_one() -> None:
    made = schedule(walk("a", [0, 1, 2, 3, 4]), start=45.0)
    assert made.start_s == 45
    assert [(fix.time_s, fix.x_m) for fix in made.fixes] == [
        (-30, 0),
        (0, 100),
        (30, 200),
        (60, 300),
    ]


def test_irregular_samples_are_held() -> None:
    trace = Trace("a", "a", np.array([0, 29, 61, 95.0]), 100.0 * np.arange(4), np.zeros(4))
    made = schedule(trace, start=0.0)
    assert [fix.x_m for fix in made.fixes] == [0, 100, 100]


def test_last_fix_comes_before_the_end() -> None:
    made = schedule(walk("a", [0] * 9), start=0.0, duration_s=100.0)
    assert [fix.time_s for fix in made.fixes] == [0, 30, 60, 90]


def test_only_access_points_near_the_paths_are_kept() -> None:
    made = schedule(walk("a", [1.5, 1.4, 1.4, 4, 4]), start=0.0)
    assert [ap.name for ap in made.access_points] == ["ap1", "ap2"]


def test_every_access_point_in_use_is_kept() -> None:
    made = schedule(walk("a", [3, 3, 1]), start=0.0, near=nothing)
    assert [ap.name for ap in made.access_points] == ["ap1", "ap3"]


def test_fixes_of_several_clients_are_sorted_by_time() -> None:
    made = schedule(walk("a", [0] * 4), walk("b", [1] * 4), clients=2, start=30.0)
    times = [fix.time_s for fix in made.fixes]
    assert times == sorted(times)
    assert [handover.client for handover in made.handovers] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clients": 0}, "0 clients"),
        ({"duration_s": 0.0}, "duration of 0 s"),
        ({"duration_s": float("nan")}, "duration of nan s"),
        ({"start": -30.0}, "start at -30 s"),
    ],
)
def test_values_out_of_range_are_errors(values: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        schedule(walk("a", [0] * 9), **values)


def test_same_traces_give_the_same_schedule() -> None:
    rng = np.random.default_rng(0)
    traces = [walk(f"p{i}", rng.integers(0, 5, 40)) for i in range(6)]
    assert schedule(*traces, clients=3) == schedule(*traces, clients=3)


def test_busiest_window_agrees_with_trying_every_start() -> None:
    rng = np.random.default_rng(1)
    traces = [walk(f"p{i}", rng.integers(0, 5, 20 + i), first_s=30.0 * i) for i in range(6)]
    found = schedule(*traces, clients=3)
    tried = dict.fromkeys(range(0, 900, 30), 0)
    for start in tried:
        try:
            tried[start] = len(schedule(*traces, clients=3, start=float(start)).handovers)
        except ConfigurationError:
            continue
    assert len(found.handovers) == max(tried.values())
    assert found.start_s == max(tried, key=lambda start: tried[start])


def test_walks_that_end_far_too_late_are_refused() -> None:
    walk = SteppedTrace("late", 10**10, np.zeros((2, 2)), np.zeros(2, dtype=np.int64))
    with pytest.raises(ConfigurationError, match=r"last until step 10000000002 .*interval_s"):
        count_handovers([walk], steps=1)
