"""Who gets which layers when; policies by their names."""

from __future__ import annotations

import pytest

from testbed.decision.policies import (
    POLICIES,
    Ionn,
    PerDnn,
    Policy,
    Situation,
    Visits,
    build_predictor,
    find_policy,
)
from testbed.errors import ConfigurationError
from testbed.mobility.positions import Stay
from testbed.mobility.regression import LinearSvr
from testbed.mobility.visits import VisitPredictor
from testbed.settings.experiment import Migration, from_dict
from testbed.values import Offer
from tests.decision.situations import ON_A_LINE, situation


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


def test_ionn_and_the_bound_migrate_nothing_and_only_the_bound_is_preloaded() -> None:
    for name in ("ionn", "routing", "popular", "download", "handoff", "cloud", "optimal"):
        assert find_policy(name)(Migration()).offers(situation()) == []
    everywhere = {name for name, each in POLICIES.items() if each(Migration()).preloads("here")}
    assert everywhere == {"optimal", "cloud"}


def test_routing_stays_with_the_first_server_and_others_go_to_the_access_points_own() -> None:
    policies = {name: policy(Migration()) for name, policy in POLICIES.items()}
    for policy in policies.values():
        policy.learn(ON_A_LINE, [])
    served = {name: policy.serving("near", "here") for name, policy in policies.items()}
    assert served.pop("routing") == served.pop("follow_me") == "here"
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

    def offers(self, situation: Situation) -> list[Offer]:
        return []


def test_a_policy_of_ones_own_is_found_by_module_and_class() -> None:
    assert find_policy(f"{__name__}:Everywhere") is Everywhere
    assert find_policy("testbed.decision.policies:Ionn") is Ionn
    assert find_policy("visits") is Visits
    assert find_policy("testbed.policies:Ionn") is Ionn  # where users' files import from


def test_a_policy_plans_for_nobody_unless_it_says_so() -> None:
    assert list(Everywhere(Migration()).destinations(situation())) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("perdn", "did you mean 'perdnn'"),
        ("no.such.module:Policy", "no.such.module"),
        ("testbed.decision.policies:Absent", "Absent"),
        ("testbed.decision.policies:find_policy", "no subclass"),
        ("testbed.values:Offer", "no subclass"),
    ],
)
def test_unusable_policy_names_are_refused_with_their_reason(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_policy(name)


def predictor(**migration: object) -> object:
    return build_predictor(from_dict({"name": "x", "migration": migration}))


def test_each_policy_has_a_predictor_of_its_own_unless_one_is_named() -> None:
    assert isinstance(predictor(), LinearSvr)
    assert isinstance(predictor(policy="visits"), VisitPredictor)
    assert isinstance(predictor(policy="visits", predictor="svr"), LinearSvr)
    with pytest.raises(ConfigurationError, match="unknown predictor 'svm'"):
        predictor(predictor="svm")


class Stubborn(Stay):
    def __init__(self) -> None:
        super().__init__(1)


def test_a_predictor_that_takes_no_trajectory_length_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Stubborn.*cannot be made"):
        predictor(predictor=f"{__name__}:Stubborn")
