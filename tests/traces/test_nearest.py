from __future__ import annotations

import re

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from topologies.hexgrid import HexGrid
from topologies.placement import place_access_points
from traces.nearest import attach, handover_steps
from traces.trace import Trace


def test_nearest_access_point_is_chosen() -> None:
    x_m, y_m = np.array([0.0, 40, 60, 90]), np.array([0.0, 10, 10, 300])
    attached = attach(x_m, y_m, np.array([0.0, 100, 100]), np.array([0.0, 0, 250]))
    assert attached.tolist() == [0, 0, 1, 2]


def test_attachment_agrees_with_comparing_all_distances() -> None:
    rng = np.random.default_rng(0)
    points, aps = rng.random((500, 2)) * 1000, rng.random((60, 2)) * 1000
    nearest = np.hypot(*(points[:, np.newaxis] - aps).T).T.argmin(axis=1)
    assert attach(*points.T, *aps.T).tolist() == nearest.tolist()


def test_nobody_attaches_without_access_points() -> None:
    with pytest.raises(ConfigurationError, match="no access points"):
        attach(np.zeros(1), np.zeros(1), np.empty(0), np.empty(0))


def test_handovers_are_the_steps_that_change() -> None:
    assert handover_steps(np.array([3, 3, 1, 1, 3])).tolist() == [2, 4]
    assert handover_steps(np.array([3])).tolist() == []


@pytest.mark.parametrize("furthest_m", [-2e9, 1e308, np.inf])
def test_positions_beyond_all_access_points_are_refused(furthest_m: float) -> None:
    walk = Trace("a", "a", np.arange(2.0), np.zeros(2), np.array([0.0, furthest_m]))
    with pytest.raises(ConfigurationError, match=re.escape(f"at {abs(furthest_m):g} m")):
        place_access_points(HexGrid(50.0), [walk])
