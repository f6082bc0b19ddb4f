"""Policies by which a service, or its layers, follow the client."""

from __future__ import annotations

import pytest

from testbed.decision.following import FollowMe
from testbed.settings.experiment import Migration
from testbed.values import AccessPoint
from tests.decision.situations import situation

ROW = tuple(AccessPoint(f"ap{i}", 90.0 * i, 0.0) for i in range(5))


def follow_me(threshold_m: float) -> FollowMe:
    policy = FollowMe(Migration(), FollowMe.Settings(threshold_m=threshold_m))
    policy.learn(ROW, [])
    return policy


@pytest.mark.parametrize(
    ("threshold_m", "servers"),
    [
        (0.0, ["ap0", "ap1", "ap2", "ap3", "ap4"]),
        (90.0, ["ap0", "ap0", "ap2", "ap2", "ap4"]),
        (200.0, ["ap0", "ap0", "ap0", "ap3", "ap3"]),
        (1e6, ["ap0"] * 5),
    ],
)
def test_the_service_moves_when_the_client_is_further_away_than_the_threshold(
    threshold_m: float, servers: list[str]
) -> None:
    policy, server, found = follow_me(threshold_m), None, []
    for place in ROW:
        server = policy.serving(place.name, server)
        found.append(server)
    assert found == servers


def test_layers_come_from_the_server_before_and_the_one_that_serves_keeps_them() -> None:
    policy = follow_me(200.0)
    elsewhere = situation(current="near", previous="far", held_until_s={"far": 60.1})
    elsewhere.holdings.at("here", 50.0)  # serves, where the client is at another access point
    assert (elsewhere.current, elsewhere.serving) == ("near", "here")
    (kept,) = policy.offers(elsewhere)
    assert (kept.source, kept.destination) == ("here", "here")
    moved = situation(previous="far", held_until_s={"far": 60.1})
    (fetched,) = policy.offers(moved)
    assert (fetched.source, fetched.destination, fetched.layers) == ("far", "here", (0, 1))
