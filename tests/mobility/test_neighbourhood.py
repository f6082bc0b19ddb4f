"""Which edge servers are near a point."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY, Neighbourhood, ServerIndex
from tests.mobility.walks import on_line


def test_servers_far_apart_take_little_memory() -> None:
    far_m = np.array(((0.0, 0.0), (1e8, 0.0), (0.0, -1e8)))
    assert near(far_m, far_m + 30.0, 50.0) == [
        {each: pytest.approx(np.hypot(30.0, 30.0), abs=1e-6)} for each in range(3)
    ]


def near(servers_m: FloatArray, points_m: FloatArray, radius_m: float) -> list[dict[int, float]]:
    """Return what `within` finds for each point as {server: distance}."""
    servers, distance_m = Neighbourhood(servers_m, radius_m).within(points_m)
    assert servers.shape == distance_m.shape
    assert (np.isinf(distance_m) == (servers == NOBODY)).all()
    found = [
        [(server, each_m) for server, each_m in zip(*row, strict=True) if server != NOBODY]
        for row in zip(servers.tolist(), distance_m.tolist(), strict=True)
    ]
    assert all(len(pairs) == len(dict(pairs)) for pairs in found), "a server is named twice"
    return [dict(pairs) for pairs in found]


def brute_force(
    servers_m: FloatArray, points_m: FloatArray, radius_m: float
) -> list[dict[int, float]]:
    distance_m = np.hypot(*np.moveaxis(servers_m - points_m[:, np.newaxis], -1, 0))
    return [
        {server: float(each_m) for server, each_m in enumerate(row) if each_m <= radius_m}
        for row in distance_m
    ]


def assert_equals_brute_force(
    servers_m: FloatArray, points_m: FloatArray, radius_m: float
) -> list[dict[int, float]]:
    found = near(servers_m, points_m, radius_m)
    for here, expected in zip(found, brute_force(servers_m, points_m, radius_m), strict=True):
        assert here == pytest.approx(expected)
    return found


@pytest.mark.parametrize("radius_m", [0.5, 20.0, 150.0, 5000.0])
@pytest.mark.parametrize("seed", range(5))
def test_servers_within_a_radius_are_those_of_brute_force(seed: int, radius_m: float) -> None:
    rng = np.random.default_rng(seed)
    width_m, height_m = rng.uniform(10, 2000, 2)
    servers_m = rng.uniform(0, 1, (rng.integers(1, 80), 2)) * (width_m, height_m) - 300
    around = rng.uniform(-0.5, 1.5, (300, 2)) * (width_m, height_m) - 300
    beside = servers_m[rng.integers(len(servers_m), size=100)] + rng.normal(
        0, radius_m / 2, (100, 2)
    )
    found = assert_equals_brute_force(servers_m, np.concatenate((around, beside)), radius_m)
    assert any(found)


def test_points_far_outside_have_no_server_near() -> None:
    servers_m = np.random.default_rng(0).uniform(0, 500, (30, 2))
    far_m = np.array([(1e7, 0.0), (-1e7, 3.0), (250.0, 1e12), (-1e12, -1e12), (601.0, 250.0)])
    assert near(servers_m, far_m, 100.0) == [{}] * 5


def test_a_server_on_the_radius_is_within() -> None:
    found = near(on_line(0.0, 100.0), on_line(50.0, -50.0, 150.0, 150.0000001), 50.0)
    assert [set(each) for each in found] == [{0, 1}, {0}, {1}, set()]


@pytest.mark.parametrize("shift_m", [0.0, 0.1, 1e5])
def test_points_on_the_borders_of_squares_find_all_their_servers(shift_m: float) -> None:
    """The squares are an eighth of the radius wide and start a radius before the first server."""
    servers_m = np.array([(0.0, 0.0), (240.0, 160.0), (80.0, 80.0)]) + shift_m
    border_m = np.arange(-10.0, 40.0) * 10.0 + shift_m
    points_m = np.stack(np.meshgrid(border_m, border_m), axis=-1).reshape(-1, 2)
    found = near(servers_m, points_m, 80.0)
    for here, expected in zip(found, brute_force(servers_m, points_m, 79.999999), strict=True):
        assert set(expected) <= set(here)


def test_one_server_is_enough() -> None:
    found = near(np.array([(3.0, 4.0)]), np.array([(0.0, 0.0), (3.0, 4.0), (9.0, 9.0)]), 5.0)
    assert found == [{0: 5.0}, {0: 0.0}, {}]


@pytest.mark.parametrize("length_m", [100.0, 1e5])
def test_a_radius_tiny_beside_the_servers_distances_needs_little_memory(length_m: float) -> None:
    """Also where they stand on a line, which has no area to divide."""
    index = Neighbourhood(on_line(0.0, length_m), 1e-6)
    servers, _ = index.within(np.array([(length_m, 5e-7), (length_m / 2, 0.0)]))
    assert servers.tolist() == [[1], [NOBODY]]
    assert len(index._near) < 1000


def test_servers_at_one_place_are_all_found() -> None:
    assert [len(each) for each in near(np.zeros((4, 2)), on_line(5.0, 50.0), 10.0)] == [4, 0]


def test_the_nearest_servers_come_nearest_first() -> None:
    index = ServerIndex(on_line(0.0, 100.0, 250.0))
    servers, distance_m = index.nearest(on_line(90.0, 300.0), 2)
    assert servers.tolist() == [[1, 0], [2, 1]]
    np.testing.assert_allclose(distance_m, [[10.0, 90.0], [50.0, 200.0]])
    assert index.attached(on_line(90.0, 300.0, -1e9)).tolist() == [1, 2, 0]


def test_where_there_are_fewer_servers_the_nearest_are_filled_up() -> None:
    for count in (1, 3):
        servers, distance_m = ServerIndex(on_line(0.0)).nearest(on_line(3.0, 5.0), count)
        assert servers.tolist() == [[0] + [NOBODY] * (count - 1)] * 2
        assert distance_m.tolist() == [[each] + [np.inf] * (count - 1) for each in (3.0, 5.0)]


def test_nothing_to_look_up_is_an_error() -> None:
    nowhere = np.empty((0, 2))
    with pytest.raises(ConfigurationError, match="no servers"):
        ServerIndex(nowhere)
    with pytest.raises(ConfigurationError, match="no servers"):
        Neighbourhood(nowhere, 10.0)


@pytest.mark.parametrize("radius_m", [0.0, -1.0, float("nan")])
def test_a_radius_that_is_none_is_an_error(radius_m: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0 m"):
        Neighbourhood(on_line(0.0), radius_m)


@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_of_many_points_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = (1, 2, 3, 20, 80, 400)[seed]
    size_m = rng.uniform(1, 2000, 2)
    servers_m = rng.uniform(0, 1, (count, 2)) * size_m - 300
    points_m = rng.uniform(-0.2, 1.2, (30_000, 2)) * size_m - 300
    index = ServerIndex(servers_m)
    expected = np.hypot(*np.moveaxis(servers_m - points_m[:, np.newaxis], -1, 0)).argmin(axis=1)
    assert (index.attached(points_m) == expected).all()
    assert (index.attached(points_m[:7]) == expected[:7]).all()


def test_the_nearest_of_many_points_to_servers_in_a_row_or_far_apart() -> None:
    for servers_m in (on_line(0, 100, 200), np.array(((0.0, 0.0), (1e8, 0.0), (0.0, -1e8)))):
        beside_m = servers_m[np.arange(30_000) % 3] + 30.0
        assert (ServerIndex(servers_m).attached(beside_m) == np.arange(30_000) % 3).all()
