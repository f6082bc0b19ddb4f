"""Who gets which layers when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pytest

from testbed.config import Migration
from testbed.dnn.cold_start import ColdStart
from testbed.errors import ConfigurationError
from testbed.holdings import Holdings
from testbed.mobility.positions import Stay
from testbed.mobility.regression import LinearSvr
from testbed.mobility.visits import VisitPredictor
from testbed.policies import (
    POLICIES,
    Ionn,
    PerDnn,
    Policy,
    Situation,
    Visits,
    build_predictor,
    find_policy,
)
from testbed.values import AccessPoint, Offer, Prediction, names_around

ON_A_LINE = tuple(AccessPoint(name, x, 0.0) for name, x in (("far", 90.0), ("here", 0.0)))
ON_A_LINE += (AccessPoint("near", 40.0, 0.0), AccessPoint("beside", 40.0, 30.0))

PLANS = {"here": (0, 1), "near": (2, 0, 1), "beside": (1,), "far": ()}
LAYER_BYTES = (1_000_000, 2_000_000, 3_000_000)

#: The plan's groups: 3 MB gain 6 queries, and 1 and 2 MB more another and another half.
VALUE = ColdStart((0, 1, 2, 3), np.array([0.0, 3e6, 4e6, 6e6]), np.array([30.0, 36.0, 37.0, 37.5]))


def situation(
    x_m: float = 40.0,
    current: str = "here",
    visits: Mapping[str, Sequence[float]] | None = None,
    held_until_s: Mapping[str, float] | None = None,
    held_bytes: float = 0.0,
    previous: str | None = None,
    up_bytes_s: float = 1e6,
) -> Situation:
    """Return what a policy is asked at 60 s; the client came 40 s before."""

    def plan(server: str) -> Sequence[int]:
        return PLANS[server]

    holdings = Holdings(up_bytes_s)
    if previous is not None:
        holdings.at(previous, 0.0)
    holdings.at(current, 20.0)
    for server, until_s in (held_until_s or {}).items():
        holdings.offer(server, 20.0, until_s)
        holdings.expect(server, held_bytes)
    return Situation(
        current=current,
        prediction=Prediction("walker", 60.0, x_m, 0.0),
        around=partial(names_around, ON_A_LINE, x_m, 0.0),
        plan=plan,
        layer_bytes=LAYER_BYTES,
        ends_s=90.0,
        until_s=210.0,
        visits=lambda: visits or {},
        holdings=holdings,
        cold_start=lambda server: VALUE,
    )


def test_servers_around_are_within_the_radius_nearest_first() -> None:
    assert situation().around(50.0) == ["near", "beside", "here", "far"]
    assert situation().around(40.0) == ["near", "beside", "here"]
    assert situation().around(39.9) == ["near", "beside"]
    assert situation(x_m=1000.0).around(50.0) == []


def test_servers_equally_far_keep_their_order() -> None:
    assert situation(x_m=65.0).around(25.0) == ["far", "near"]


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


def test_a_policy_may_limit_other_transfers() -> None:
    class Receivers(PerDnn):
        def is_limited(self, source: str, destination: str) -> bool:
            return destination in self.settings.crowded

    for crowded, sent in (("near", (2, 0)), ("here", (2, 0, 1))):
        settings = Migration(radius_m=5.0, fraction_mb=4.5, crowded=(crowded,))
        assert [offer.layers for offer in Receivers(settings).offers(situation())] == [sent]


def test_no_policy_is_memoryless_that_does_not_say_so() -> None:
    class Another(PerDnn):
        pass

    assert PerDnn.memoryless and not Another.memoryless


def test_crowded_servers_without_a_fraction_are_not_limited() -> None:
    (offer,) = PerDnn(Migration(radius_m=5.0, crowded=("near",))).offers(situation())
    assert offer.layers == (2, 0, 1)


def test_perdnn_does_not_look_at_what_is_held_nor_at_probabilities() -> None:
    policy = PerDnn(Migration(radius_m=50.0))
    held = situation(visits={"far": (1.0,)}, held_until_s={"near": 1e9, "far": 1e9})
    assert policy.destinations(held) == policy.destinations(situation())
    assert policy.offers(held) == policy.offers(situation())


def test_a_server_holds_where_the_client_is_and_until_an_offers_time_to_live_is_over() -> None:
    now = situation(held_until_s={"near": 60.1, "far": 60.0})  # it is 60 s
    assert [now.holds(server) for server in ("here", "near", "far", "beside")] == [
        True,
        True,
        False,
        False,
    ]


PROBABLE = {"near": (0.3, 0.5), "here": (0.2, 0.3), "beside": (0.1, 0.2), "far": (0.01, 0.02)}


def visiting(offer: float, keep: float) -> Visits:
    return Visits(Migration(offer_probability=offer, keep_probability=keep))


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
    ("keep", "expected"),
    [(0.02, ["here", "far"]), (0.03, ["here"]), (0.3, ["here"]), (0.31, [])],
)
def test_visits_keeps_what_is_held_at_a_lower_probability(keep: float, expected: list[str]) -> None:
    held = situation(visits=PROBABLE, held_until_s={"far": 100.0, "beside": 59.0})
    assert visiting(0.9, keep).destinations(held) == expected  # what beside held is gone


@pytest.mark.parametrize(("ttl_intervals", "expected"), [(1, []), (2, ["near"]), (9, ["near"])])
def test_visits_asks_for_the_probability_within_the_time_to_live(
    ttl_intervals: int, expected: list[str]
) -> None:
    """Where the predictor does not look so far ahead, for that within all intervals it knows."""
    settings = Migration(offer_probability=0.4, keep_probability=0.4, ttl_intervals=ttl_intervals)
    assert Visits(settings).destinations(situation(visits=PROBABLE)) == expected


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
    policy = Visits(Migration(offer_probability=0.4, keep_probability=0.4, fraction_mb=3.0))
    assert [offer.layers for offer in policy.offers(situation(visits=PROBABLE))] == [(2,)]


def test_visits_offers_nothing_where_no_server_is_near() -> None:
    assert visiting(0.1, 0.0).offers(situation(visits={})) == []


def test_ionn_and_the_bound_migrate_nothing_and_only_the_bound_is_preloaded() -> None:
    for name in ("ionn", "routing", "cloud", "optimal"):
        assert find_policy(name)(Migration()).offers(situation()) == []
    assert {name for name, policy in POLICIES.items() if policy.preloaded} == {"optimal", "cloud"}


def test_routing_stays_with_the_first_server_and_others_go_to_the_access_points_own() -> None:
    served = {
        name: policy(Migration()).serving("near", "here") for name, policy in POLICIES.items()
    }
    assert served.pop("routing") == "here"
    assert served.pop("cloud") == "cloud"
    assert set(served.values()) == {"near"}
    assert find_policy("routing")(Migration()).serving("near", None) == "near"


def test_pull_fetches_from_the_server_before_while_that_holds_layers() -> None:
    pull = find_policy("pull")(Migration())
    (kept,) = pull.offers(situation())
    assert (kept.source, kept.destination, kept.layers) == ("here", "here", ())
    held = situation(previous="far", held_until_s={"far": 60.1})
    (fetched,) = pull.offers(held)
    assert (fetched.source, fetched.destination, fetched.layers) == ("far", "here", (0, 1))
    assert (fetched.ends_s, fetched.until_s) == (90.0, 210.0)
    gone = situation(previous="far", held_until_s={"far": 60.0})
    assert [offer.source for offer in pull.offers(gone)] == ["here"]


def test_perdnn_names_the_servers_that_it_will_offer_to() -> None:
    policy = PerDnn(Migration(radius_m=50.0))
    assert policy.destinations(situation()) == ["near", "beside", "far"]
    assert policy.destinations(situation(current="near")) == ["beside", "here", "far"]
    for name in ("ionn", "pull", "optimal"):
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
    assert find_policy("visits") is Visits


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
        ("testbed.policies:find_policy", "no subclass"),
        ("testbed.values:Offer", "no subclass"),
    ],
)
def test_unusable_policy_names_are_refused_with_their_reason(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_policy(name)


def test_each_policy_has_a_predictor_of_its_own_unless_one_is_named() -> None:
    assert isinstance(build_predictor(Migration()), LinearSvr)
    assert isinstance(build_predictor(Migration(policy="visits")), VisitPredictor)
    assert isinstance(build_predictor(Migration(policy="visits", predictor="svr")), LinearSvr)
    with pytest.raises(ConfigurationError, match="unknown predictor 'svm'"):
        build_predictor(Migration(predictor="svm"))


class Stubborn(Stay):
    def __init__(self) -> None:
        super().__init__(1)


def test_a_predictor_that_takes_no_trajectory_length_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Stubborn.*cannot be made"):
        build_predictor(Migration(predictor=f"{__name__}:Stubborn"))
