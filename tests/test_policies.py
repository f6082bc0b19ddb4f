"""Who gets which layers when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from testbed.config import Migration
from testbed.errors import ConfigurationError
from testbed.policies import POLICIES, Ionn, PerDnn, Policy, Situation, find_policy, servers_around
from testbed.values import AccessPoint, Offer, Prediction

ON_A_LINE = tuple(AccessPoint(name, x, 0.0) for name, x in (("far", 90.0), ("here", 0.0)))
ON_A_LINE += (AccessPoint("near", 40.0, 0.0), AccessPoint("beside", 40.0, 30.0))

PLANS = {"here": (0, 1), "near": (2, 0, 1), "beside": (1,), "far": ()}
LAYER_BYTES = (1_000_000, 2_000_000, 3_000_000)


def situation(x_m: float = 40.0, current: str = "here") -> Situation:
    def plan(server: str) -> Sequence[int]:
        return PLANS[server]

    return Situation(
        current=current,
        prediction=Prediction("walker", 60.0, x_m, 0.0),
        access_points=ON_A_LINE,
        plan=plan,
        layer_bytes=LAYER_BYTES,
        ends_s=90.0,
        until_s=210.0,
    )


def test_servers_around_are_within_the_radius_nearest_first() -> None:
    assert servers_around(situation(), 50.0) == ["near", "beside", "here", "far"]
    assert servers_around(situation(), 40.0) == ["near", "beside", "here"]
    assert servers_around(situation(), 39.9) == ["near", "beside"]
    assert servers_around(situation(x_m=1000.0), 50.0) == []


def test_servers_equally_far_keep_their_order() -> None:
    assert servers_around(situation(x_m=65.0), 25.0) == ["far", "near"]


def test_perdnn_offers_each_server_its_own_plan_but_none_to_the_current_one() -> None:
    offers = PerDnn(Migration(radius_m=50.0)).offers(situation())
    assert [offer.destination for offer in offers] == ["near", "beside", "far"]
    assert [offer.layers for offer in offers] == [(2, 0, 1), (1,), ()]
    for offer in offers:
        assert (offer.client, offer.source) == ("walker", "here")
        assert (offer.ends_s, offer.until_s) == (90.0, 210.0)


def test_a_client_that_stays_is_offered_nothing_at_its_own_server() -> None:
    assert PerDnn(Migration(radius_m=10.0)).offers(situation(x_m=0.0)) == []


@pytest.mark.parametrize(
    ("fraction_mb", "sent"), [(2.9, ()), (3.0, (2,)), (4.5, (2, 0)), (6.0, (2, 0, 1))]
)
def test_fraction_sends_the_most_efficient_layers_that_fit(
    fraction_mb: float, sent: tuple[int, ...]
) -> None:
    offers = PerDnn(Migration(radius_m=5.0, fraction_mb=fraction_mb)).offers(situation())
    assert [offer.layers for offer in offers] == [sent]


@pytest.mark.parametrize(
    ("crowded", "limited"),
    [(("near",), True), (("here",), True), (("far",), False), (("far", "near"), True)],
)
def test_fraction_limits_what_crowded_servers_send_and_receive(
    crowded: tuple[str, ...], limited: bool
) -> None:
    settings = Migration(radius_m=5.0, fraction_mb=4.5, crowded=crowded)
    (offer,) = PerDnn(settings).offers(situation())
    assert offer.layers == ((2, 0) if limited else (2, 0, 1))


def test_crowded_servers_without_a_fraction_are_not_limited() -> None:
    (offer,) = PerDnn(Migration(radius_m=5.0, crowded=("near",))).offers(situation())
    assert offer.layers == (2, 0, 1)


def test_ionn_and_the_bound_migrate_nothing_and_only_the_bound_is_preloaded() -> None:
    for name in ("ionn", "optimal"):
        assert find_policy(name)(Migration()).offers(situation()) == []
    assert {name for name, policy in POLICIES.items() if policy.preloaded} == {"optimal"}


def test_perdnn_names_the_servers_that_it_will_offer_to() -> None:
    policy = PerDnn(Migration(radius_m=50.0))
    assert policy.destinations(situation()) == ["near", "beside", "far"]
    assert policy.destinations(situation(current="near")) == ["beside", "here", "far"]
    for name in ("ionn", "optimal"):
        assert list(find_policy(name)(Migration()).destinations(situation())) == []


class NearestOnly(PerDnn):
    """A user's policy that overrides only what is offered."""

    def offers(self, situation: Situation) -> list[Offer]:
        return super().offers(situation)[:1]


def test_a_policy_that_overrides_offers_alone_still_names_destinations() -> None:
    policy = NearestOnly(Migration(radius_m=50.0))
    assert [offer.destination for offer in policy.offers(situation())] == ["near"]
    assert "near" in policy.destinations(situation())


class Everywhere(Policy):
    """A user's own policy."""


def test_a_policy_of_ones_own_is_found_by_module_and_class() -> None:
    assert find_policy(f"{__name__}:Everywhere") is Everywhere
    assert find_policy("testbed.policies:Ionn") is Ionn


def test_a_policy_without_offers_says_so() -> None:
    assert list(Everywhere(Migration()).destinations(situation())) == []
    with pytest.raises(NotImplementedError):
        Everywhere(Migration()).offers(situation())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("perdn", "did you mean 'perdnn'"),
        ("no.such.module:Policy", "no.such.module"),
        ("testbed.policies:Absent", "Absent"),
        ("testbed.policies:servers_around", "no subclass"),
        ("testbed.values:Offer", "no subclass"),
    ],
)
def test_unusable_policy_names_are_refused_with_their_reason(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_policy(name)
