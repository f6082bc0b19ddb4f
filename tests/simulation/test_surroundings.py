"""Access points around many places are those around each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from testbed.mobility.neighbourhood import Neighbourhood
from testbed.simulation.surroundings import Surroundings
from testbed.values import AccessPoint, names_around
from tests.mobility.walks import on_line


def scattered() -> tuple[AccessPoint, ...]:
    places_m = np.random.default_rng(1).uniform(0, 500, (40, 2)).tolist()
    return tuple(AccessPoint(f"ap{n}", x_m, y_m) for n, (x_m, y_m) in enumerate(places_m))


def known(access_points: Sequence[AccessPoint], radius_m: float) -> Neighbourhood:
    return Neighbourhood(np.array([(each.x_m, each.y_m) for each in access_points]), radius_m)


@pytest.mark.parametrize("reach_m", [None, 60.0, 100.0])
@pytest.mark.parametrize("radius_m", [0.0, 59.9, 60.0, 100.0, 1000.0])
def test_those_around_are_the_nearest_first(reach_m: float | None, radius_m: float) -> None:
    access_points = scattered()
    places_m = np.random.default_rng(2).uniform(-100, 600, (30, 2))
    places_m[10:20] = places_m[9]  # who stays
    near = None if reach_m is None else known(access_points, reach_m)
    surroundings = Surroundings(access_points, places_m, near)
    for number, (x_m, y_m) in enumerate(places_m.tolist()):
        expected = names_around(access_points, x_m, y_m, radius_m)
        assert list(surroundings.around(number, radius_m)) == expected


def test_a_place_is_new_unless_it_is_the_one_before() -> None:
    places_m = on_line(1, 1, 2, 2, 2, 1)
    assert Surroundings((), places_m, None).new.tolist() == [True, False, True, False, False, True]
    assert Surroundings((), places_m[:0], None).new.tolist() == []
