from __future__ import annotations

import numpy as np
import pytest

from tests.traces.campus.flights import flights_m, pauses_s
from traces.trace import Trace


def trace(*positions_m: tuple[float, float]) -> Trace:
    x_m, y_m = np.array(positions_m, dtype=float).reshape(-1, 2).T
    return Trace("a", "a", 30.0 * np.arange(len(x_m)), x_m, y_m)


def test_whoever_stands_still_pauses_from_first_to_last_sample() -> None:
    still = trace((0, 0), (3, 0), (6, 0), (6, 0))  # no step is longer than 5 m
    assert pauses_s(still).tolist() == [90]
    assert flights_m(still).tolist() == []


def test_straight_way_is_one_flight_and_a_corner_begins_another() -> None:
    corner = trace((0, 0), (40, 0), (80, 0), (80, 30), (80, 60), (80, 90))
    assert flights_m(corner).tolist() == [80, 90]
    assert pauses_s(corner).tolist() == []


def test_flight_may_be_as_crooked_as_it_is_wide() -> None:
    bent = trace((0, 0), (40, 3), (80, 0), (120, -3), (160, 0))
    assert flights_m(bent).tolist() == [160]
    assert len(flights_m(bent, width_m=3.0)) > 1


def test_pauses_part_flights() -> None:
    way = trace((0, 0), (40, 0), (40, 0), (41, 0), (80, 0), (120, 0), (120, 0))
    assert flights_m(way).tolist() == [40, 79]
    assert pauses_s(way).tolist() == [60, 30]


def test_radius_says_what_a_pause_is() -> None:
    slow = trace((0, 0), (8, 0), (16, 0))
    assert flights_m(slow).tolist() == [16]
    assert pauses_s(slow, radius_m=8.0).tolist() == [60]


def test_there_and_back_are_two_flights() -> None:
    assert flights_m(trace((0, 0), (60, 0), (0, 0))).tolist() == [60, 60]


@pytest.mark.parametrize("positions_m", [(), ((0, 0),)])
def test_one_sample_is_neither_pause_nor_flight(
    positions_m: tuple[tuple[float, float], ...],
) -> None:
    short = trace(*positions_m)
    assert pauses_s(short).shape == flights_m(short).shape == (0,)


def test_every_step_belongs_to_a_pause_or_a_flight() -> None:
    rng = np.random.default_rng(0)
    way = trace(*rng.normal(scale=20, size=(200, 2)).cumsum(axis=0))
    steps_m = np.hypot(np.diff(way.x_m), np.diff(way.y_m))
    assert pauses_s(way).sum() == 30 * (steps_m <= 5).sum()
    assert flights_m(way).sum() <= steps_m[steps_m > 5].sum() + 1e-9
