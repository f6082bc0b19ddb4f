"""Layers go where visits are probable: the policy visits."""

from __future__ import annotations

import pytest

from testbed.decision.policies import Visits
from testbed.settings.experiment import Migration
from tests.decision.situations import situation

PROBABLE = {"near": (0.3, 0.5), "here": (0.2, 0.3), "beside": (0.1, 0.2), "far": (0.01, 0.02)}


def visiting(offer: float, keep: float) -> Visits:
    return Visits(Migration(), Visits.Settings(offer_probability=offer, keep_probability=keep))


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (0.02, ["near", "here", "beside", "far"]),
        (0.2, ["near", "here", "beside"]),
        (0.21, ["near", "here"]),
        (0.6, ["here"]),
    ],
)
def test_visits_goes_where_a_visit_is_probable_enough(offer: float, expected: list[str]) -> None:
    """In the order of the probabilities of the next interval; the current server keeps what is."""
    assert visiting(offer, 0.01).destinations(situation(visits=PROBABLE)) == expected


@pytest.mark.parametrize(
    ("keep", "expected"), [(0.02, ["here", "far"]), (0.03, ["here"]), (0.3, ["here"]), (0.31, [])]
)
def test_visits_keeps_what_is_held_at_a_lower_probability(keep: float, expected: list[str]) -> None:
    held = situation(visits=PROBABLE, held_until_s={"far": 100.0, "beside": 59.0})
    assert visiting(0.9, keep).destinations(held) == expected  # what beside held is gone


@pytest.mark.parametrize(("ttl_intervals", "expected"), [(1, []), (2, ["near"]), (9, ["near"])])
def test_visits_asks_for_the_probability_within_the_time_to_live(
    ttl_intervals: int, expected: list[str]
) -> None:
    """Where the predictor does not look so far ahead, for that within all intervals it knows."""
    own = Visits.Settings(offer_probability=0.4, keep_probability=0.4)
    policy = Visits(Migration(ttl_intervals=ttl_intervals), own)
    assert policy.destinations(situation(visits=PROBABLE)) == expected


def test_visits_offers_for_two_intervals_and_keeps_for_the_time_to_live() -> None:
    soon, late = (0.0, 0.5, 0.5, 0.5, 0.5), (0.0, 0.0, 0.0, 0.0, 0.5)
    policy = visiting(offer=0.5, keep=0.5)
    probable = {"near": soon, "beside": late}
    assert policy.destinations(situation(visits=probable)) == ["near"]
    held = {"near": 100.0, "beside": 100.0}
    kept = policy.destinations(situation(visits=probable, held_until_s=held))
    assert kept == ["near", "beside"]


def test_visits_sends_the_current_server_nothing_and_others_their_plans() -> None:
    offers = visiting(0.1, 0.1).offers(situation(visits=PROBABLE))
    assert [(offer.destination, offer.layers) for offer in offers] == [
        ("near", (2, 0, 1)),
        ("here", ()),
        ("beside", (1,)),
    ]
    for offer in offers:
        assert (offer.client, offer.source) == ("walker", "here")
        assert (offer.ends_s, offer.until_s) == (90.0, 210.0)


def test_visits_obeys_a_fraction_too() -> None:
    own = Visits.Settings(offer_probability=0.4, keep_probability=0.4)
    policy = Visits(Migration(fraction_mb=3.0), own)
    assert [offer.layers for offer in policy.offers(situation(visits=PROBABLE))] == [(2,)]


def test_visits_offers_nothing_where_no_server_is_near() -> None:
    assert visiting(0.1, 0.0).offers(situation(visits={})) == []
