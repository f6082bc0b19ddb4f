"""What plans for the load are worth: crowds of clients at shared servers."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import published_graph
from testbed.dnn.partitioning.partition import Costs
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.studies.planning_under_load import Crowd, estimates, plan_changes, serve, slowed

RATES_BPS = (35e6, 50e6)
GRAPH = published_graph("mobilenet")
CLIENT_S = device_profile("odroid-xu4").layer_times(GRAPH)
SERVER = slowed(device_profile("titan-xp"), 100)
PLANNED_WITH = estimates(SERVER, ("idle", "truth"))

crowd_of = partial(
    Crowd, GRAPH, CLIENT_S, SERVER.layer_times(GRAPH), RATES_BPS, gap_s=0.5, intervals=2
)


def best_s(server_s: FloatArray) -> float:
    return best_plan(GRAPH, Costs(CLIENT_S, server_s, *RATES_BPS)).latency_s


def test_a_client_alone_has_its_plans_latency_whatever_it_is_planned_with() -> None:
    alone_s = best_s(SERVER.layer_times(GRAPH))
    for name, estimate in PLANNED_WITH.items():
        served = serve(crowd_of(clients=1), estimate)
        assert served.mean_s == pytest.approx(alone_s), name
        assert served.queries == pytest.approx(60 / (alone_s + 0.5), abs=1)
        assert served.server_share == 1


def test_a_crowd_at_a_slow_server_is_planned_away_from_it() -> None:
    idle, truth = (serve(crowd_of(clients=12), estimate) for estimate in PLANNED_WITH.values())
    assert idle.server_share == 1
    assert truth.server_share < 0.8
    assert truth.queries > 2 * idle.queries
    assert truth.mean_s < 0.5 * idle.mean_s
    assert truth.mean_s < 1.2 * CLIENT_S.sum()


def test_without_load_clients_stay_at_their_nearest_server() -> None:
    idle, truth = PLANNED_WITH.values()
    one = serve(crowd_of(clients=8), idle)
    assert serve(crowd_of(clients=8, servers=4), idle) == one
    spread = serve(crowd_of(clients=8, servers=4, same_nearest=False), idle)
    assert spread.queries > 1.5 * one.queries
    assert serve(crowd_of(clients=8, servers=4), truth).queries > 1.5 * one.queries


def test_the_same_seed_gives_the_same_queries() -> None:
    truth = PLANNED_WITH["truth"]
    crowd = crowd_of(clients=6, servers=2)
    assert serve(crowd, truth, seed=3) == serve(crowd, truth, seed=3)
    assert serve(crowd, truth, seed=3) != serve(crowd, truth, seed=4)


def test_where_plans_change_with_the_servers_pace() -> None:
    server_s = device_profile("titan-xp").layer_times(GRAPH)
    changes = plan_changes(GRAPH, CLIENT_S, server_s, RATES_BPS)
    assert 1 < changes.other_plan_at < changes.all_local_at < changes.loses_at
    kept, at_last = (best_s(server_s * factor * changes.all_local_at) for factor in (0.97, 1.0))
    assert kept < at_last
    assert at_last == pytest.approx(CLIENT_S.sum())
    nowhere = plan_changes(GRAPH, CLIENT_S, np.zeros_like(server_s), RATES_BPS)
    assert set(nowhere) == {np.inf}


def test_a_slowed_device_has_so_many_times_as_long_for_all_layers() -> None:
    for model in ("inception", "mobilenet"):  # measured, and estimated
        graph = published_graph(model)
        expected_s = 100 * device_profile("titan-xp").layer_times(graph)
        assert SERVER.layer_times(graph) == pytest.approx(expected_s)
