"""The master chooses among servers by what is known of their loads."""

from __future__ import annotations

from testbed.decision.coordinator import Coordinator
from testbed.decision.policies import Policy, Situation
from testbed.values import Fix, Offer
from tests.decision.coordinators import CLIENT_S, GRAPH, build, busy


def chooser() -> Coordinator:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    return coordinator


def test_a_crowded_server_loses_to_an_idle_one_farther_away() -> None:
    loads = {"ap1": busy(30), "ap0": busy(0), "ap2": busy(0)}
    chosen, current = chooser().choose("walker", ["ap1", "ap2", "ap0"], loads)
    assert chosen == "ap2"
    assert current.server_s == (0.001, 0.001, 0.001)
    assert current.plan.latency_s < chooser().plan("walker", "ap1", loads).plan.latency_s


def test_among_equals_the_nearest_is_chosen() -> None:
    for loads in ({}, {"ap2": busy(4), "ap1": busy(4), "ap0": busy(4)}):
        assert chooser().choose("walker", ["ap2", "ap1", "ap0"], loads)[0] == "ap2"


def test_choosing_moves_nobody() -> None:
    coordinator = chooser()
    coordinator.attach("walker", "ap3")
    coordinator.choose("walker", ["ap0", "ap1"])
    assert coordinator.current("walker") == "ap3"


def test_where_no_server_is_worth_it_the_nearest_is_chosen_with_nothing_to_upload() -> None:
    loads = {"ap0": busy(50_000), "ap1": busy(60_000)}
    chosen, current = chooser().choose("walker", ["ap1", "ap0"], loads)
    assert (chosen, current.upload) == ("ap1", ())


def test_future_plans_are_for_the_servers_present_loads() -> None:
    coordinator = chooser()
    coordinator.attach("walker", "ap1")
    situation = coordinator.predict(Fix("walker", 0.0, 60.0, 0.0))
    assert situation is not None
    assert list(coordinator.destinations(situation)) == ["ap0", "ap2"]
    offers = coordinator.offers(situation, {"ap0": busy(50_000), "ap2": busy(1)})
    assert {offer.destination: offer.layers for offer in offers} == {"ap0": (), "ap2": (0, 2)}


def test_a_policy_that_names_no_destinations_plans_with_the_last_known_loads() -> None:
    class Own(Policy):
        def offers(self, situation: Situation) -> list[Offer]:
            client, until_s = situation.prediction.client, situation.until_s
            return [
                Offer(client, situation.current, to, tuple(situation.plan(to)), 0.0, until_s)
                for to in ("ap2", "ap3")
            ]

    coordinator = build(policy=Own, n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1", {"ap1": busy(1), "ap2": busy(50_000)})
    _, offers = coordinator.report(Fix("walker", 0.0, 60.0, 0.0))
    assert [offer.layers for offer in offers] == [(), (0, 2)]
