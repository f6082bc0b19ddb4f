"""Who takes part in a run when, and what is expected of them."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.mobility.positions import ConstantVelocity
from testbed.mobility.regression import LinearSvr
from testbed.simulation.foresight import ClientPath, Foresight, clients_of
from testbed.values import AccessPoint, Fix, Handover, Schedule
from tests.mobility.walks import on_line

PLACES = tuple(AccessPoint(name, x_m, 0.0) for name, x_m in (("a", 0), ("b", 100), ("c", 200)))

SCHEDULE = Schedule(
    source="test",
    start_s=0.0,
    duration_s=120.0,
    interval_s=30.0,
    access_points=PLACES,
    clients={"c1": "one", "c2": "two"},
    fixes=(
        *(Fix("c1", 30.0 * step, 50.0 * (step + 1), 0.0) for step in range(-1, 4)),
        *(Fix("c2", 30.0 * step, 200.0, 0.0) for step in range(1, 3)),
    ),
    handovers=(
        Handover("c1", 0.0, None, "a"),
        Handover("c2", 30.0, None, "c"),
        Handover("c1", 30.0, "a", "b"),
        Handover("c1", 90.0, "b", "c"),
    ),
)


def test_clients_take_part_from_their_attachment_to_their_last_position() -> None:
    one, two = clients_of(SCHEDULE)
    assert (one.first, one.enters, one.leaves, one.attached) == (-1, 0, 4, (0, 1, 1, 2))
    assert one.positions_m[:, 0].tolist() == [0.0, 50.0, 100.0, 150.0, 200.0]
    assert (two.first, two.enters, two.leaves, two.attached) == (1, 1, 3, (2, 2))


def test_a_prediction_needs_positions_and_those_before_the_run_count() -> None:
    one = ClientPath("one", -1, on_line(0, 50, 100, 150), (0, 1, 1))
    two = ClientPath("two", 1, on_line(200, 200, 210), (2, 2, 2))
    foresight = Foresight(ConstantVelocity(2), PLACES, [one, two], reach_m=60.0)
    expected = foresight.between(0, 10)
    rows = [[expected.row(client, step) for step in range(5)] for client in (0, 1)]
    assert rows == [[0, 1, 2, None, None], [None, None, 3, 4, None]]
    assert [expected.surroundings.places_m[row][0] for row in range(5)] == [
        100.0,
        150.0,
        200.0,
        200.0,
        220.0,
    ]
    near = [[*expected.surroundings.around(row, 60.0)] for row in range(5)]
    assert near == [["b"], ["b", "c"], ["c"], ["c"], ["c"]]
    further = [[*expected.surroundings.around(1, radius_m)] for radius_m in (40.0, 200.0)]
    assert further == [[], ["b", "c", "a"]]


def test_who_stays_and_is_expected_at_the_same_place_changes_nothing() -> None:
    one = ClientPath("one", 0, on_line(0, 0, 0, 0, 0, 10), (0, 0, 1, 1, 1, 1))
    two = ClientPath("two", 0, on_line(0, 0, 0, 0), (0, 0, 0, 0))
    expected = Foresight(ConstantVelocity(2), PLACES, [one, two], reach_m=60.0).between(0, 10)
    assert [expected.row(0, step) for step in range(7)] == [None, 0, 1, 2, 3, 4, None]
    assert expected.lasts == [1, 3, 2, 1, 1, 3, 2, 1]
    assert [one.moves_after(step) for step in range(6)] == [2, 2, 6, 6, 6, 6]


def test_nothing_is_expected_where_nobody_is() -> None:
    predictor = LinearSvr(2)
    predictor.fit([on_line(0, 50, 100, 150)], on_line(0, 100))
    late = ClientPath("late", 50, on_line(0, 50, 100), (0, 0, 1))
    expected = Foresight(predictor, PLACES, [late], reach_m=60.0).between(0, 10)
    assert expected.row(0, 5) is None


def test_blocks_of_steps_expect_the_same_as_all_at_once() -> None:
    rng = np.random.default_rng(1)
    clients = [
        ClientPath(f"c{k}", first, rng.uniform(0, 200, (12, 2)), (0,) * (12 + min(first, 0)))
        for k, first in enumerate((-4, 0, 3))
    ]
    foresight = Foresight(ConstantVelocity(3), PLACES, clients, reach_m=None)
    whole = foresight.between(0, 20)
    for start in range(0, 20, 7):
        block = foresight.between(start, start + 7)
        for client in range(3):
            for step in range(start, start + 7):
                row, same = block.row(client, step), whole.row(client, step)
                assert (row is None) == (same is None)
                if row is not None and same is not None:
                    assert block.surroundings.places_m[row] == pytest.approx(
                        whole.surroundings.places_m[same]
                    )
                    assert block.surroundings.around(row, 80.0) == whole.surroundings.around(
                        same, 80.0
                    )
