"""The master's decisions: predict, plan, choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

import testbed.coordinator
from testbed.config import Migration
from testbed.coordinator import Coordinator, Floats, visits
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.dnn.partition import Plan
from testbed.dnn.partitioner import best_plans
from testbed.gpu.stats import ServerStats
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Candidates
from testbed.policies import Ionn, PerDnn, Policy, Situation, Visits
from testbed.values import AccessPoint, Fix, Offer

#: A convolution, an activation without weights, and a large last layer.
LAYERS = (
    Layer("conv", "Convolution", (-1,), 4_000, 50_000),
    Layer("relu", "ReLU", (0,), 0, 50_000),
    Layer("fc", "InnerProduct", (1,), 900_000, 400),
)
GRAPH = LayerGraph("three", LAYERS, (TensorSpec("x", (60_000,), "uint8"),), 60_000, (2,))
CLIENT_S = (1.0, 0.1, 1.0)
PLACES = tuple(AccessPoint(f"ap{i}", 60.0 * i, 0.0) for i in range(4))


def busy(clients: int) -> ServerStats:
    return ServerStats("modelled", clients, min(1.0, 0.1 * clients), 0.0, 0, 40.0)


def times(graph: LayerGraph, stats: Sequence[ServerStats]) -> npt.NDArray[np.float64]:
    """Every layer takes 1 ms on an idle server, and 1 ms more for each client."""
    return np.outer([0.001 * (1 + load.clients) for load in stats], np.ones(len(graph)))


def build(policy: type[Policy] = PerDnn, n: int = 3) -> Coordinator:
    return Coordinator(
        access_points=PLACES,
        predictor=Stay(n),
        policy=policy(Migration(radius_m=70.0)),
        server_times=times,
        rates_bps=(35e6, 50e6),
        interval_s=30.0,
        gap_s=0.5,
    )


def walk(coordinator: Coordinator, steps: int, start_s: float = 0.0) -> list[int]:
    """Report a client at ap1; return how many offers each report led to, -1 for no prediction."""
    found = []
    for step in range(steps):
        fix = Fix("walker", start_s + 30.0 * step, 60.0, 0.0)
        prediction, offers = coordinator.report(fix)
        found.append(-1 if prediction is None else len(offers))
    return found


def test_no_prediction_before_enough_positions_are_known() -> None:
    coordinator = build()
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1")
    assert walk(coordinator, 4) == [-1, -1, 2, 2]


def test_positions_before_the_window_count() -> None:
    coordinator = build()
    before = [Fix("walker", -60.0, 50.0, 0.0), Fix("walker", -30.0, 55.0, 0.0)]
    coordinator.register("walker", GRAPH, CLIENT_S, before)
    coordinator.attach("walker", "ap1")
    assert walk(coordinator, 1) == [2]


def test_no_prediction_before_the_client_is_at_an_access_point() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    assert coordinator.current("walker") is None
    assert walk(coordinator, 1) == [-1]


def test_the_predictor_reads_the_latest_positions_oldest_first() -> None:
    seen: list[npt.NDArray[np.float64]] = []

    class Recording(Stay):
        def predict(self, recent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            seen.append(recent)
            return super().predict(recent)

    coordinator = Coordinator(
        access_points=PLACES,
        predictor=Recording(2),
        policy=Ionn(Migration()),
        server_times=times,
        rates_bps=(1e6, 1e6),
        interval_s=30.0,
        gap_s=0.5,
    )
    many = [Fix("walker", -30.0 * i, float(i), 0.0) for i in range(9, 0, -1)]
    coordinator.register("walker", GRAPH, CLIENT_S, many)
    coordinator.attach("walker", "ap0")
    prediction, offers = coordinator.report(Fix("walker", 0.0, 7.0, 8.0))
    assert seen[0].tolist() == [[[1.0, 0.0], [7.0, 8.0]]]
    assert prediction is not None and (prediction.x_m, prediction.y_m) == (7.0, 8.0)
    assert prediction.time_s == 0.0
    assert offers == []


def test_offers_end_with_the_interval_and_are_held_for_the_time_to_live() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1")
    _, offers = coordinator.report(Fix("walker", 60.0, 60.0, 0.0))
    assert [offer.destination for offer in offers] == ["ap0", "ap2"]
    for offer in offers:
        assert offer.source == "ap1"
        assert offer.ends_s == 90.0
        assert offer.until_s == 60.0 + 5.5 * 30.0  # who moves in the fifth still finds them


def test_offers_come_from_where_the_client_is_now() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1")
    coordinator.attach("walker", "ap2")
    assert coordinator.current("walker") == "ap2"
    _, offers = coordinator.report(Fix("walker", 0.0, 60.0, 0.0))
    assert {offer.source for offer in offers} == {"ap2"}
    assert [offer.destination for offer in offers] == ["ap1", "ap0"]


def test_the_upload_order_names_each_weighted_server_layer_once() -> None:
    coordinator = build()
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    current = coordinator.attach("walker", "ap1")
    assert current.plan.on_server == (True, True, True)
    # The convolution saves a second for 4 kB, the last layer one for 900 kB; the activation has
    # nothing to send.
    assert current.upload == (0, 2)
    assert current.server_s == (0.001, 0.001, 0.001)


def test_a_server_slower_than_the_client_gets_nothing() -> None:
    coordinator = build()
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    current = coordinator.attach("walker", "ap1", {"ap1": busy(50_000)})
    assert not any(current.plan.on_server)
    assert current.upload == ()


def test_plans_are_kept_and_shared_while_the_times_stay_the_same() -> None:
    coordinator = build()
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    first = coordinator.plan("walker", "ap0")
    assert coordinator.plan("walker", "ap0") is first
    assert coordinator.plan("walker", "ap3") is first
    crowded = coordinator.plan("walker", "ap0", {"ap0": busy(50_000)})
    assert crowded is not first and crowded.upload == ()
    assert coordinator.plan("walker", "ap3") is first
    assert coordinator.plan("walker", "ap0") is crowded  # until another load is heard of
    assert coordinator.plan("walker", "ap0", {"ap0": busy(0)}) is first


def test_the_plans_of_all_servers_that_are_asked_for_are_made_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def counting(
        graph: LayerGraph, client_s: Floats, server_s: Floats, *rates: float
    ) -> list[Plan]:
        made.append(len(server_s))
        return best_plans(graph, client_s, server_s, *rates)

    monkeypatch.setattr(testbed.coordinator, "best_plans", counting)
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    loads = {"ap0": busy(2), "ap1": busy(3), "ap2": busy(2)}
    coordinator.choose("walker", ["ap0", "ap1", "ap2", "ap3"], loads)
    assert made == [3]  # two servers are equally busy
    coordinator.attach("walker", "ap0")
    coordinator.report(Fix("walker", 0.0, 60.0, 0.0))
    assert made == [3]  # ap1 and ap2 are as they were


def test_clients_have_plans_of_their_own() -> None:
    coordinator = build()
    coordinator.register("slow", GRAPH, CLIENT_S, ())
    coordinator.register("fast", GRAPH, (1e-6, 1e-6, 1e-6), ())
    assert coordinator.plan("slow", "ap0").upload == (0, 2)
    assert coordinator.plan("fast", "ap0").upload == ()


def test_registering_again_starts_over() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1")
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    assert coordinator.current("walker") is None


def test_an_unknown_client_is_an_error_not_a_new_client() -> None:
    with pytest.raises(KeyError):
        build().report(Fix("stranger", 0.0, 0.0, 0.0))


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


class Foretold(Stay):
    """Tells everyone the same probabilities of visits; {server: of one interval, of five}."""

    def __init__(self, told: dict[int, tuple[float, float]], n: int = 1, memory: int = 1) -> None:
        super().__init__(n)
        self.told = told
        self.asked: list[Floats] = []
        self._memory = memory

    @property
    def memory(self) -> int:
        return self._memory

    def candidates(self, recent: Floats) -> Candidates:
        self.asked.append(recent)
        return Candidates(np.array([[*self.told, -1]]), np.array([[*self.told.values(), (0, 0)]]))


def foretelling(predictor: Foretold) -> Coordinator:
    """A coordinator with the policy of visits, whose client is at ap1."""
    coordinator = Coordinator(
        access_points=PLACES,
        predictor=predictor,
        policy=Visits(Migration(offer_probability=0.5, keep_probability=0.1)),
        server_times=times,
        rates_bps=(35e6, 50e6),
        interval_s=30.0,
        gap_s=0.5,
    )
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    coordinator.attach("walker", "ap1")
    return coordinator


def offered(coordinator: Coordinator, time_s: float) -> list[str]:
    _, offers = coordinator.report(Fix("walker", time_s, 60.0, 0.0))
    return [offer.destination for offer in offers]


def test_visits_are_told_by_name_without_those_that_are_none() -> None:
    nearby = Candidates(
        np.array([[3, 0, -1], [-1, -1, -1]]),
        np.array([[(0.5, 0.6), (0.1, 0.2), (0, 0)], [(0, 0)] * 3]),
    )
    told = visits(PLACES, nearby, 0)
    assert told == {"ap3": (0.5, 0.6), "ap0": (0.1, 0.2)}
    assert list(told) == ["ap3", "ap0"]
    assert visits(PLACES, nearby, 1) == {}


def test_what_was_offered_is_held_until_its_time_to_live_is_over() -> None:
    predictor = Foretold({1: (0.9, 0.9), 2: (0.6, 0.6), 0: (0.2, 0.2)})
    coordinator = foretelling(predictor)
    assert offered(coordinator, 0.0) == ["ap1", "ap2"]
    predictor.told[2] = (0.2, 0.2)  # not enough to begin with, but to go on
    assert offered(coordinator, 30.0) == ["ap1", "ap2"]
    assert offered(coordinator, 30.0 + 150.0) == ["ap1", "ap2"]
    assert offered(coordinator, 180.0 + 165.1) == ["ap1"]  # half an interval more than five
    assert offered(coordinator, 360.0) == ["ap1"]


def test_each_offer_renews_only_the_time_to_live_of_its_destination() -> None:
    predictor = Foretold({2: (0.6, 0.6), 0: (0.6, 0.6)})
    coordinator = foretelling(predictor)
    assert offered(coordinator, 0.0) == ["ap2", "ap0"]
    predictor.told[0] = (0.05, 0.05)
    assert offered(coordinator, 120.0) == ["ap2"]
    predictor.told.update({2: (0.2, 0.2), 0: (0.2, 0.2)})
    assert offered(coordinator, 166.0) == ["ap2"]


def test_the_server_that_a_client_has_left_holds_what_it_was_told_to_hold() -> None:
    predictor = Foretold({1: (0.2, 0.2), 2: (0.2, 0.2)})
    coordinator = foretelling(predictor)
    assert offered(coordinator, 0.0) == ["ap1"]
    coordinator.associate("walker", "ap2")
    assert offered(coordinator, 30.0) == ["ap1", "ap2"]
    predictor.told[1] = (0.01, 0.01)
    assert offered(coordinator, 60.0) == ["ap2"]


def test_what_one_client_was_offered_is_not_held_for_another() -> None:
    predictor = Foretold({2: (0.6, 0.6)})
    coordinator = foretelling(predictor)
    assert offered(coordinator, 0.0) == ["ap2"]
    coordinator.register("runner", GRAPH, CLIENT_S, ())
    coordinator.attach("runner", "ap1")
    predictor.told[2] = (0.2, 0.2)
    assert coordinator.report(Fix("runner", 30.0, 60.0, 0.0))[1] == []
    coordinator.register("walker", GRAPH, CLIENT_S, ())  # starts over
    coordinator.attach("walker", "ap1")
    assert offered(coordinator, 30.0) == []


def test_what_a_server_is_told_to_hold_it_gets_no_layers_for() -> None:
    coordinator = foretelling(Foretold({1: (0.9, 0.9), 2: (0.9, 0.9)}))
    _, offers = coordinator.report(Fix("walker", 0.0, 60.0, 0.0))
    assert {offer.destination: offer.layers for offer in offers} == {"ap1": (), "ap2": (0, 2)}
    assert {offer.source for offer in offers} == {"ap1"}


def test_a_predictor_reads_up_to_its_memory_from_its_n_positions_on() -> None:
    predictor = Foretold({2: (0.9, 0.9)}, n=2, memory=4)
    coordinator = foretelling(predictor)
    for step in range(6):
        coordinator.report(Fix("walker", 30.0 * step, float(step), 0.0))
    read = [asked[0, :, 0].tolist() for asked in predictor.asked]
    assert all(asked.shape[0] == 1 for asked in predictor.asked)
    assert [each for number, each in enumerate(read) if each not in read[:number]] == [
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
    ]
