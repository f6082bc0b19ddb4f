"""The master's decisions: predict, plan, offer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import testbed.dnn.partitioning.partitioner
from testbed.arrays import FloatArray
from testbed.decision.coordinator import Coordinator
from testbed.decision.policies import Ionn
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.partition import Plan
from testbed.dnn.partitioning.partitioner import best_plans
from testbed.mobility.positions import Stay
from testbed.settings.experiment import Migration
from testbed.values import Fix
from tests.decision.coordinators import CLIENT_S, GRAPH, PLACES, build, busy, times


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
        graph: LayerGraph, client_s: FloatArray, server_s: FloatArray, *rates: float
    ) -> list[Plan]:
        made.append(len(server_s))
        return best_plans(graph, client_s, server_s, *rates)

    monkeypatch.setattr(testbed.dnn.partitioning.partitioner, "best_plans", counting)
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


def test_a_plan_is_told_again_when_the_load_has_changed_it() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    first = coordinator.attach("walker", "ap1")
    assert coordinator.replan("walker", {"ap1": busy(0)}) == (first, False)
    loaded, changed = coordinator.replan("walker", {"ap1": busy(3)})
    assert changed and sum(loaded.server_s) == pytest.approx(4 * sum(first.server_s))
    assert coordinator.replan("walker", {"ap1": busy(3)}) == (loaded, False)  # that it knows
    assert coordinator.replan("walker", {"ap2": busy(9)}) == (loaded, False)  # where it is not


def test_the_current_plan_is_for_the_goodput_of_the_link_and_future_ones_are_not() -> None:
    coordinator = build(n=1)
    coordinator.register("walker", GRAPH, CLIENT_S, ())
    assert all(coordinator.attach("walker", "ap1").plan.on_server)
    coordinator.measured("walker", (1e5, 1e5))  # 60 kB of input take 4.8 s
    local, changed = coordinator.replan("walker")
    assert changed and not any(local.plan.on_server) and local.upload == ()
    assert local.costs.up_bps == 1e5
    assert all(coordinator.plan("walker", "ap2").plan.on_server)
    moved = coordinator.attach("walker", "ap2")  # nobody has measured there
    assert moved.costs.up_bps == 35e6
