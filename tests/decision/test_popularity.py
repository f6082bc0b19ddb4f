"""Layers that are placed where people have been."""

from __future__ import annotations

import numpy as np

from testbed.arrays import FloatArray
from testbed.decision.popularity import Popular, visits_of
from testbed.settings.experiment import Migration
from testbed.values import AccessPoint
from tests.decision.situations import situation

ROW = tuple(AccessPoint(f"ap{i}", 100.0 * i, 0.0) for i in range(4))


def along(*x_m: float) -> FloatArray:
    return np.array([(each, 0.0) for each in x_m])


#: ap1 is visited three times, ap2 twice, ap0 once; a long stay is one visit.
PATHS = [along(0, 100, 100, 100, 200), along(110, 190, 105), along(150, 800, 900)]


def test_a_visit_is_a_stay_near_a_server() -> None:
    assert visits_of(ROW, PATHS[:2], 40.0) == [1, 3, 2, 0]
    assert visits_of(ROW, [along(100, 150, 100)], 40.0) == [0, 2, 0, 0]
    assert visits_of(ROW, [along(900)], 40.0) == [0] * 4
    assert visits_of(ROW, [], 40.0) == [0] * 4


def test_the_most_visited_servers_hold_everyones_layers() -> None:
    for count, holding in ((1, {"ap1"}), (2, {"ap1", "ap2"}), (9, {"ap0", "ap1", "ap2"})):
        policy = Popular(Migration(), Popular.Settings(servers=count, visit_m=40.0))
        assert not any(policy.preloads(place.name) for place in ROW), "nothing is learnt yet"
        policy.learn(ROW, PATHS[:2])
        assert {place.name for place in ROW if policy.preloads(place.name)} == holding
        assert policy.offers(situation()) == []
