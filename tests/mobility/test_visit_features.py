"""A person's recent movement as seen from the servers that are near."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.mobility.visit_features import AHEAD_M, REACH_M, CandidateRows, NearbyServers
from tests.mobility.walks import random_walks, servers_in_a_square, straight

SERVERS_M = servers_in_a_square(6)
PEOPLE_M = np.stack(random_walks(12, 20, seed=0))


def by_candidate(rows: CandidateRows) -> dict[tuple[int, int], FloatArray]:
    """Return features by person and server; each pair has one row."""
    pairs = list(zip(rows.person.tolist(), rows.server.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) > 0
    return dict(zip(pairs, rows.features, strict=True))


def assert_alike(found: CandidateRows, expected: CandidateRows, atol: float) -> None:
    there, here = by_candidate(found), by_candidate(expected)
    assert there.keys() == here.keys()
    for pair, features in here.items():
        np.testing.assert_allclose(there[pair], features, rtol=0, atol=atol)


def test_candidates_are_the_servers_in_reach_and_those_ahead() -> None:
    people_m = np.concatenate((PEOPLE_M, [straight(20, (-1890, 40), (100, 0))]))
    here_m, ahead_m = people_m[:, -1], 2 * people_m[:, -1] - people_m[:, -2]
    rows = NearbyServers(SERVERS_M).rows(people_m)
    found = set(by_candidate(rows))
    expected = {
        (person, server)
        for person in range(len(people_m))
        for server in range(len(SERVERS_M))
        if np.hypot(*(SERVERS_M[server] - here_m[person])) <= REACH_M
        or np.hypot(*(SERVERS_M[server] - ahead_m[person])) <= AHEAD_M
    }
    assert found == expected
    only_ahead = np.hypot(*(SERVERS_M[rows.server] - here_m[rows.person]).T) > REACH_M
    assert only_ahead.any()


def test_the_server_that_someone_is_at_is_a_candidate() -> None:
    surroundings = NearbyServers(SERVERS_M)
    rows = surroundings.rows(PEOPLE_M)
    current = surroundings.attached(PEOPLE_M[:, -1])
    np.testing.assert_array_equal(rows.origin, current[rows.person])
    assert {*zip(range(len(PEOPLE_M)), current.tolist(), strict=True)} <= by_candidate(rows).keys()


def test_people_come_one_after_the_other() -> None:
    rows = NearbyServers(SERVERS_M).rows(PEOPLE_M)
    assert (np.diff(rows.person) >= 0).all()
    assert set(rows.person.tolist()) == set(range(len(PEOPLE_M)))


def test_features_do_not_depend_on_who_else_is_asked_for() -> None:
    surroundings = NearbyServers(SERVERS_M)
    together = by_candidate(surroundings.rows(PEOPLE_M))
    reverse = by_candidate(surroundings.rows(PEOPLE_M[::-1]))
    last = len(PEOPLE_M) - 1
    assert {(last - person, server) for person, server in reverse} == together.keys()
    for (person, server), features in together.items():
        np.testing.assert_array_equal(reverse[last - person, server], features)
        if person == 3:
            alone = by_candidate(surroundings.rows(PEOPLE_M[3:4]))
            np.testing.assert_array_equal(alone[0, server], features)


@pytest.mark.parametrize("offset_m", [(120.0, -77.0), (3e5, 4.4e6)])
def test_elsewhere_the_same_movement_has_the_same_features(offset_m: tuple[float, float]) -> None:
    """Also at coordinates as large as those of a UTM zone."""
    expected = NearbyServers(SERVERS_M).rows(PEOPLE_M)
    found = NearbyServers(SERVERS_M + offset_m).rows(PEOPLE_M + offset_m)
    assert_alike(found, expected, atol=1e-3)


def turned(points_m: FloatArray) -> FloatArray:
    """Return points turned about the origin by 90 degrees."""
    return np.stack((-points_m[..., 1], points_m[..., 0]), axis=-1)


def mirrored(points_m: FloatArray) -> FloatArray:
    return points_m * (-1.0, 1.0)


@pytest.mark.parametrize("change", [turned, mirrored])
def test_directions_are_told_relative_to_the_movement(change: object) -> None:
    assert callable(change)
    expected = NearbyServers(SERVERS_M).rows(PEOPLE_M)
    found = NearbyServers(change(SERVERS_M)).rows(change(PEOPLE_M))
    assert_alike(found, expected, atol=1e-3)


def test_features_tell_a_server_ahead_from_one_behind() -> None:
    servers_m = np.array([(-80.0, 0.0), (0.0, 0.0), (80.0, 0.0)])
    rows = by_candidate(NearbyServers(servers_m).rows(straight(9, (-160, 0), (20, 0))[np.newaxis]))
    assert not np.allclose(rows[0, 0], rows[0, 2], atol=0.5)


def test_people_far_from_all_servers_have_no_candidates() -> None:
    rows = NearbyServers(SERVERS_M).rows(PEOPLE_M + 5000.0)
    assert len(rows.person) == len(rows.server) == len(rows.features) == 0
