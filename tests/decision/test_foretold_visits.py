"""What the master remembers of its offers, where visits are foretold."""

from __future__ import annotations

import numpy as np

from testbed.arrays import FloatArray
from testbed.decision.coordinator import Coordinator, visits
from testbed.decision.policies import Visits
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Candidates
from testbed.settings.experiment import Migration
from testbed.values import Fix
from tests.decision.coordinators import CLIENT_S, GRAPH, PLACES, times


class Foretold(Stay):
    """Tells everyone the same probabilities of visits; {server: of one interval, of five}."""

    def __init__(self, told: dict[int, tuple[float, float]], n: int = 1, memory: int = 1) -> None:
        super().__init__(n)
        self.told = told
        self.asked: list[FloatArray] = []
        self._memory = memory

    @property
    def memory(self) -> int:
        return self._memory

    def candidates(self, recent: FloatArray) -> Candidates:
        self.asked.append(recent)
        return Candidates(np.array([[*self.told, -1]]), np.array([[*self.told.values(), (0, 0)]]))


def foretelling(predictor: Foretold) -> Coordinator:
    """A coordinator with the policy of visits, whose client is at ap1."""
    coordinator = Coordinator(
        access_points=PLACES,
        predictor=predictor,
        policy=Visits(Migration(), Visits.Settings(offer_probability=0.5, keep_probability=0.1)),
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
